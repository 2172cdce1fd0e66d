//! The digest of a request.

use std::fmt::Write as _;

/// SHA-256 of a body, in hexadecimal, by the library that a feature has brought for TLS: AWS-LC where there are both.
///
/// The SDK's own is as fast where the processor has instructions for it, and takes twice the time where it has none.
#[must_use]
pub fn sha256(body: &[u8]) -> String {
    // Whoever asked for AWS-LC may not use another.
    #[cfg(feature = "rustls-aws-lc")]
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    #[cfg(not(feature = "rustls-aws-lc"))]
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("there is always room in a string");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_standard() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
