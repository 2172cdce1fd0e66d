//! Eight lanes of AVX2.

use std::arch::x86_64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub(super) __m256i);

impl Vector<8> for Avx2 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn splat(word: u32) -> Self {
        Self(_mm256_set1_epi32(word.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(from: &[*const u8; 8], first: usize, offset: usize) -> Self {
        // SAFETY: the caller answers for the addresses; the instruction takes unaligned ones.
        let group = |g: usize| unsafe { _mm_loadu_si128(from[first + 4 * g].add(offset).cast()) };
        Self(_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(group(0)), group(1)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(self, to: &[*mut u8; 8], first: usize) {
        // SAFETY: the caller answers for the addresses; the instruction takes unaligned ones.
        let put = |g: usize, group| unsafe { _mm_storeu_si128(to[first + 4 * g].cast(), group) };
        put(0, _mm256_castsi256_si128(self.0));
        put(1, _mm256_extracti128_si256::<1>(self.0));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm256_add_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(_mm256_or_si256(_mm256_slli_epi32::<LEFT>(self.0), _mm256_srli_epi32::<RIGHT>(self.0)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        Self(_mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(c.0, d.0), b.0), d.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        Self(_mm256_or_si256(_mm256_and_si256(d.0, b.0), _mm256_andnot_si256(d.0, c.0)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        Self(_mm256_xor_si256(_mm256_xor_si256(c.0, d.0), b.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        let not_d = _mm256_xor_si256(d.0, _mm256_set1_epi32(-1));
        Self(_mm256_xor_si256(_mm256_or_si256(b.0, not_d), c.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn low_words(self, other: Self) -> Self {
        Self(_mm256_unpacklo_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn high_words(self, other: Self) -> Self {
        Self(_mm256_unpackhi_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn low_halves(self, other: Self) -> Self {
        Self(_mm256_unpacklo_epi64(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn high_halves(self, other: Self) -> Self {
        Self(_mm256_unpackhi_epi64(self.0, other.0))
    }
}
