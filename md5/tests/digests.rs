//! Digests through every back end that the machine has, against those of the `md-5` crate.

use proptest::collection::vec;
use proptest::prelude::*;
use shardflow_md5::{Backend, Digest, digest, digest_all};

/// RFC 1321, appendix A.5.
const KNOWN: [(&str, &str); 7] = [
    ("", "d41d8cd98f00b204e9800998ecf8427e"),
    ("a", "0cc175b9c0f1b6a831c399e269772661"),
    ("abc", "900150983cd24fb0d6963f7d28e17f72"),
    ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
    (
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "57edf4a22be3c955ac49da2e2107b67a",
    ),
];

#[test]
fn known_messages_have_their_digests() {
    for backend in Backend::available() {
        let digests = through(backend, &KNOWN.map(|(message, _)| message.as_bytes()));
        for ((message, known), digest) in KNOWN.iter().zip(digests) {
            assert_eq!(hex(&digest), *known, "{message:?} by {}", backend.name());
        }
    }
    assert_eq!(
        KNOWN.map(|(message, _)| hex(&digest(message.as_bytes()))),
        KNOWN.map(|(_, known)| known.to_owned())
    );
}

/// A message ends in any of the 64 places of a block, and its length and its last bytes share one or not.
#[test]
fn every_length_up_to_four_blocks() {
    let bytes: Vec<u8> = (0..=255_u8).map(|n| n.wrapping_mul(7)).collect();
    let messages: Vec<&[u8]> = (0..=bytes.len()).map(|length| &bytes[..length]).collect();
    agree(&messages);
    for message in messages {
        agree(&[message]);
    }
}

/// From none to more than two full vectors, so that lanes are left over, are filled again and move.
#[test]
fn every_number_of_messages() {
    let bytes = [0x5a; 200];
    for count in 0..40 {
        let messages: Vec<&[u8]> = (0..count).map(|n| &bytes[..n * 31 % 200]).collect();
        agree(&messages);
    }
}

#[test]
fn the_fastest_comes_first_and_every_machine_has_one() {
    let names: Vec<_> = Backend::available().map(|backend| backend.name()).collect();
    assert_eq!(names[0], Backend::fastest().name());
    assert_eq!(names.last(), Some(&"scalar"));
}

proptest! {
    /// Messages that end at different blocks, at any alignment.
    #[test]
    fn any_messages(
        bytes in vec(any::<u8>(), 2_000),
        places in vec((0_usize..2_000, 0_usize..2_000), 0..50),
    ) {
        let messages: Vec<&[u8]> = places.iter().map(|&(one, other)| &bytes[one.min(other)..one.max(other)]).collect();
        agree(&messages);
    }
}

fn agree(messages: &[&[u8]]) {
    let expected: Vec<Digest> = messages.iter().map(|message| digest(message)).collect();
    for backend in Backend::available() {
        assert_eq!(through(backend, messages), expected, "by {}", backend.name());
    }
    let mut digests = vec![Digest::default(); messages.len()];
    digest_all(messages.iter().copied().zip(&mut digests));
    assert_eq!(digests, expected);
}

fn through(backend: Backend, messages: &[&[u8]]) -> Vec<Digest> {
    // What was there before does not matter.
    let mut digests = vec![[0xa5; 16]; messages.len()];
    backend.digest_all(messages.iter().copied().zip(&mut digests));
    digests
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
