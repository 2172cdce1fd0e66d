//! Shard iterators and page tokens: opaque to clients, and garbage is told from expired.

use base64_simd::URL_SAFE_NO_PAD;
use shardflow_core::HashKey;

/// Wraps `fields` so that a client sees one opaque word, and [`open`] knows its own again. The kind keeps an iterator
/// from being taken for a page token.
pub(super) fn seal(kind: &str, fields: &[&str]) -> String {
    let text = format!("{kind}|{}", fields.join("|"));
    let mut bytes = text.into_bytes();
    let check = check(&bytes);
    bytes.extend(check);
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Takes apart what [`seal`] made, into exactly `N` fields; none for anything else.
pub(super) fn open<const N: usize>(kind: &str, token: &str) -> Option<[String; N]> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
    let (text, found) = bytes.split_last_chunk::<CHECK>()?;
    if *found != check(text) {
        return None;
    }
    let mut fields = std::str::from_utf8(text).ok()?.split('|');
    (fields.next()? == kind).then_some(())?;
    fields.map(str::to_owned).collect::<Vec<_>>().try_into().ok()
}

const CHECK: usize = 8;

/// Not a signature: it tells garbage and torn tokens, not an attacker's.
fn check(text: &[u8]) -> [u8; CHECK] {
    let digest = HashKey::of(&String::from_utf8_lossy(text)).0.to_be_bytes();
    *digest.first_chunk().expect("a digest has sixteen bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_opens() {
        let token = seal("iterator", &["orders", "7"]);
        assert_eq!(open::<2>("iterator", &token).unwrap(), ["orders", "7"]);
        assert_eq!(open::<3>("iterator", &token), None);
        assert_eq!(open::<2>("page", &token), None);
        for garbage in
            ["", "AAAA", "not base64!", token.trim_start_matches(char::is_alphanumeric), &format!("{token}A")]
        {
            assert_eq!(open::<2>("iterator", garbage), None, "{garbage}");
        }
    }
}
