//! Four lanes of SSE2, which every x86-64 has.

use std::arch::x86_64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Sse2(__m128i);

impl Vector<4> for Sse2 {
    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn splat(word: u32) -> Self {
        Self(_mm_set1_epi32(word.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn load(from: &[*const u8; 4], first: usize, offset: usize) -> Self {
        // SAFETY: the caller answers for the address; the instruction takes unaligned ones.
        Self(unsafe { _mm_loadu_si128(from[first].add(offset).cast()) })
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn store(self, to: &[*mut u8; 4], first: usize) {
        // SAFETY: the caller answers for the address; the instruction takes unaligned ones.
        unsafe { _mm_storeu_si128(to[first].cast(), self.0) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm_add_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(_mm_or_si128(_mm_slli_epi32::<LEFT>(self.0), _mm_srli_epi32::<RIGHT>(self.0)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        Self(_mm_xor_si128(_mm_and_si128(_mm_xor_si128(c.0, d.0), b.0), d.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        Self(_mm_or_si128(_mm_and_si128(d.0, b.0), _mm_andnot_si128(d.0, c.0)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        Self(_mm_xor_si128(_mm_xor_si128(c.0, d.0), b.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        let not_d = _mm_xor_si128(d.0, _mm_set1_epi32(-1));
        Self(_mm_xor_si128(_mm_or_si128(b.0, not_d), c.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn low_words(self, other: Self) -> Self {
        Self(_mm_unpacklo_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn high_words(self, other: Self) -> Self {
        Self(_mm_unpackhi_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn low_halves(self, other: Self) -> Self {
        Self(_mm_unpacklo_epi64(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn high_halves(self, other: Self) -> Self {
        Self(_mm_unpackhi_epi64(self.0, other.0))
    }
}
