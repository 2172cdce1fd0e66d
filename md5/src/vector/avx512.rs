//! Sixteen lanes of AVX-512F, which rotates in one instruction and has any function of three bits in another.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Vector;
use super::ternary::{F, G, H, I};

#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512i);

impl Vector<16> for Avx512 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn splat(word: u32) -> Self {
        Self(_mm512_set1_epi32(word.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(from: &[*const u8; 16], first: usize, offset: usize) -> Self {
        // SAFETY: the caller answers for the addresses; the instruction takes unaligned ones.
        let group = |g: usize| unsafe { _mm_loadu_si128(from[first + 4 * g].add(offset).cast()) };
        // By halves: inserting into 256 bits costs half of inserting into 512.
        let half = |g: usize| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(group(g)), group(g + 1));
        Self(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(0)), half(2)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(self, to: &[*mut u8; 16], first: usize) {
        // SAFETY: the caller answers for the addresses; the instruction takes unaligned ones.
        let put = |g: usize, group| unsafe { _mm_storeu_si128(to[first + 4 * g].cast(), group) };
        put(0, _mm512_castsi512_si128(self.0));
        put(1, _mm512_extracti32x4_epi32::<1>(self.0));
        put(2, _mm512_extracti32x4_epi32::<2>(self.0));
        put(3, _mm512_extracti32x4_epi32::<3>(self.0));
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm512_add_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn opaque(self) -> Self {
        let mut vector = self.0;
        // SAFETY: it is no instruction at all.
        unsafe { asm!("/* {} */", inout(zmm_reg) vector, options(pure, nomem, nostack, preserves_flags)) }
        Self(vector)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(_mm512_rol_epi32::<LEFT>(self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        Self(_mm512_ternarylogic_epi32::<F>(b.0, c.0, d.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        Self(_mm512_ternarylogic_epi32::<G>(b.0, c.0, d.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        Self(_mm512_ternarylogic_epi32::<H>(b.0, c.0, d.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        Self(_mm512_ternarylogic_epi32::<I>(b.0, c.0, d.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn low_words(self, other: Self) -> Self {
        Self(_mm512_unpacklo_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn high_words(self, other: Self) -> Self {
        Self(_mm512_unpackhi_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn low_halves(self, other: Self) -> Self {
        Self(_mm512_unpacklo_epi64(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn high_halves(self, other: Self) -> Self {
        Self(_mm512_unpackhi_epi64(self.0, other.0))
    }
}
