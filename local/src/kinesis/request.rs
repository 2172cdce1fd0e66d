//! Rules that members of several requests follow.

use shardflow_core::HashKey;
use shardflow_core::limits::{NAME_CHARS, PAGE_RESULTS, TAG_KEY_CHARS, TAG_VALUE_CHARS, TAGS};

use super::error::KinesisError;

/// Names of streams, shards and consumers.
pub(super) fn identifier(value: &str, member: &str) -> Result<(), KinesisError> {
    let fits = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    match value.len() {
        0 => Err(KinesisError::constraint(value, member, "have length greater than or equal to 1")),
        1..=NAME_CHARS if fits => Ok(()),
        1..=NAME_CHARS => Err(KinesisError::constraint(
            value,
            member,
            "satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        )),
        _ => Err(KinesisError::constraint(value, member, "have length less than or equal to 128")),
    }
}

/// A hash key as requests carry it; none if it is beyond the last one, which is for the call to refuse.
pub(crate) fn hash_key(text: &str, member: &str) -> Result<Option<HashKey>, KinesisError> {
    let digits = (1..=39).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits && (text == "0" || !text.starts_with('0')) {
        return Ok(text.parse().ok());
    }
    Err(KinesisError::constraint(text, member, "satisfy regular expression pattern: 0|([1-9]\\d{0,38})"))
}

/// How many results a page has. More than a full page can be asked for, but is not given.
pub(super) fn page_size(value: Option<u32>, full: usize, member: &str) -> Result<usize, KinesisError> {
    match value {
        None => Ok(full),
        Some(0) => Err(KinesisError::constraint(0, member, "have value greater than or equal to 1")),
        Some(size) if size > PAGE_RESULTS => {
            Err(KinesisError::constraint(size, member, "have value less than or equal to 10000"))
        }
        Some(size) => Ok(full.min(size as usize)),
    }
}

/// Adds tags, unless that breaks their rules.
pub(super) fn add_tags(
    tags: &mut std::collections::BTreeMap<String, String>,
    new: std::collections::BTreeMap<String, String>,
) -> Result<(), KinesisError> {
    for (key, value) in &new {
        if !(1..=TAG_KEY_CHARS).contains(&key.chars().count()) {
            return Err(KinesisError::constraint(key, "tags", "have keys of 1 to 128 characters"));
        }
        if value.chars().count() > TAG_VALUE_CHARS {
            return Err(KinesisError::constraint(value, "tags", "have values of at most 256 characters"));
        }
    }
    let added = new.keys().filter(|key| !tags.contains_key(*key)).count();
    if tags.len() + added > TAGS {
        return Err(KinesisError::invalid_argument(format!("A resource cannot have more than {TAGS} tags.")));
    }
    tags.extend(new);
    Ok(())
}
