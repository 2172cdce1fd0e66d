//! A way for the fuzz target `lease_row` to the reader of rows.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Item;
use super::row;

/// Reads a lease of attributes by name, type and value, and once more what is written of it.
///
/// # Errors
///
/// What is wrong with it.
#[doc(hidden)]
pub fn read_lease_row(attributes: &[(&str, char, &str)]) -> Result<(), String> {
    let value = |kind, text: &str| match kind {
        'N' => AttributeValue::N(text.into()),
        'L' => AttributeValue::Ss(text.split(',').map(str::to_owned).collect()),
        'B' => AttributeValue::B(text.as_bytes().to_vec().into()),
        '0' => AttributeValue::Null(true),
        _ => AttributeValue::S(text.into()),
    };
    let item: Item =
        attributes.iter().map(|(name, kind, text)| ((*name).into(), value(*kind, text))).collect();
    let mut read = row::read(&item).map_err(|error| error.to_string())?;
    // What a row that is entered does not have.
    (read.checkpoint_owner, read.pending, read.throughput) = (None, None, None);
    let again = row::read(&row::write(&read)).map_err(|error| error.to_string());
    assert_eq!(again, Ok(read), "{item:?}");
    Ok(())
}

#[cfg(test)]
#[path = "../../../fuzz/src/lease_row.rs"]
mod lease_row;

#[cfg(test)]
mod tests {
    use super::lease_row;

    #[test]
    fn the_corpus_of_lease_rows_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/lease_row");
        let mut replayed = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
            let path = entry.expect("a directory entry").path();
            lease_row::check(&std::fs::read(&path).expect("a readable file"), super::read_lease_row);
            replayed += 1;
        }
        assert!(replayed >= 10, "only {replayed} inputs in {corpus}");
    }
}
