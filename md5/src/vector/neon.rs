//! Four lanes of NEON, which every 64-bit ARM has.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Neon(uint32x4_t);

impl Vector<4> for Neon {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn splat(word: u32) -> Self {
        Self(vdupq_n_u32(word))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(from: &[*const u8; 4], first: usize, offset: usize) -> Self {
        // SAFETY: the caller answers for the address; bytes need no alignment.
        Self(vreinterpretq_u32_u8(unsafe { vld1q_u8(from[first].add(offset)) }))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store(self, to: &[*mut u8; 4], first: usize) {
        // SAFETY: the caller answers for the address; bytes need no alignment.
        unsafe { vst1q_u8(to[first], vreinterpretq_u8_u32(self.0)) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add(self, other: Self) -> Self {
        Self(vaddq_u32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn opaque(self) -> Self {
        let mut vector = self.0;
        // SAFETY: it is no instruction at all.
        unsafe { asm!("/* {:v} */", inout(vreg) vector, options(pure, nomem, nostack, preserves_flags)) }
        Self(vector)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // Inserting the lower bits saves the or.
        Self(vsriq_n_u32::<RIGHT>(vshlq_n_u32::<LEFT>(self.0), self.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        Self(vbslq_u32(b.0, c.0, d.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        Self(vbslq_u32(d.0, b.0, c.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        Self(veorq_u32(veorq_u32(c.0, d.0), b.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        Self(veorq_u32(vornq_u32(b.0, d.0), c.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn low_words(self, other: Self) -> Self {
        Self(vzip1q_u32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn high_words(self, other: Self) -> Self {
        Self(vzip2q_u32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn low_halves(self, other: Self) -> Self {
        let (ours, theirs) = (vreinterpretq_u64_u32(self.0), vreinterpretq_u64_u32(other.0));
        Self(vreinterpretq_u32_u64(vzip1q_u64(ours, theirs)))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn high_halves(self, other: Self) -> Self {
        let (ours, theirs) = (vreinterpretq_u64_u32(self.0), vreinterpretq_u64_u32(other.0));
        Self(vreinterpretq_u32_u64(vzip2q_u64(ours, theirs)))
    }
}
