//! Which vectors the processor has.

use crate::Digest;
use crate::kernel::Kernel;
use crate::scalar;
use crate::schedule;

/// A way of computing digests that this machine is capable of.
///
/// [`digest_all`](crate::digest_all) goes the [fastest](Self::fastest); the others are there to be tested and measured.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    name: &'static str,
    /// Ascending in lanes. The processor has what they need: whoever makes a back end has asked it.
    kernels: &'static [Kernel],
}

impl Backend {
    /// The fastest one.
    #[must_use]
    pub fn fastest() -> Self {
        // Asked anew each time: the standard library remembers what the processor has.
        Self::vectors().into_iter().flatten().next().unwrap_or(Self::SCALAR)
    }

    /// Every one, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::vectors().into_iter().flatten().chain([Self::SCALAR])
    }

    /// What it is called: `avx512`, `avx2`, `sse2`, `neon` or `scalar`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Does what [`digest_all`](crate::digest_all) does.
    pub fn digest_all<'a>(&self, messages: impl IntoIterator<Item = (&'a [u8], &'a mut Digest)>) {
        // SAFETY: the processor has what the kernels need.
        unsafe { schedule::digest_all(self.kernels, messages.into_iter()) }
    }

    const SCALAR: Self = Self { name: "scalar", kernels: &scalar::SCALAR };

    #[cfg(target_arch = "x86_64")]
    fn vectors() -> [Option<Self>; 3] {
        use crate::x86::{AVX2, AVX512, SSE2};
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        let avx2 = is_x86_feature_detected!("avx2");
        [
            avx512.then_some(Self { name: "avx512", kernels: &AVX512 }),
            avx2.then_some(Self { name: "avx2", kernels: &AVX2 }),
            Some(Self { name: "sse2", kernels: &SSE2 }),
        ]
    }

    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    fn vectors() -> [Option<Self>; 1] {
        let neon = std::arch::is_aarch64_feature_detected!("neon");
        [neon.then_some(Self { name: "neon", kernels: &crate::arm::NEON })]
    }

    #[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
    fn vectors() -> [Option<Self>; 0] {
        []
    }
}
