//! MD5 digests of many messages at once, one in each SIMD lane.
#![expect(
    unsafe_code,
    reason = "vector instructions are unsafe to call; they are here so that they are nowhere else"
)]

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod arm;
mod backend;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
mod compress;
mod kernel;
mod lane;
mod scalar;
mod schedule;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use backend::Backend;

/// An MD5 digest, in the order in which it is written.
pub type Digest = [u8; 16];

/// The digest of one message.
#[must_use]
pub fn digest(message: &[u8]) -> Digest {
    <md5::Md5 as md5::Digest>::digest(message).into()
}

/// Writes the digest of every message to the place that comes with it.
pub fn digest_all<'a>(messages: impl IntoIterator<Item = (&'a [u8], &'a mut Digest)>) {
    Backend::fastest().digest_all(messages);
}
