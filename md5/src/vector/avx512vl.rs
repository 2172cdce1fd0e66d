//! Eight lanes of AVX-512VL: AVX2 with a rotate and any function of three bits in one instruction each.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Vector;
use super::avx2::Avx2;
use super::ternary::{F, G, H, I};

#[derive(Clone, Copy)]
pub(crate) struct Avx512Vl(Avx2);

impl Vector<8> for Avx512Vl {
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { Avx2::splat(word) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn load(from: &[*const u8; 8], first: usize, offset: usize) -> Self {
        // SAFETY: AVX-512VL includes AVX2; the caller answers for the addresses.
        Self(unsafe { Avx2::load(from, first, offset) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn store(self, to: &[*mut u8; 8], first: usize) {
        // SAFETY: AVX-512VL includes AVX2; the caller answers for the addresses.
        unsafe { self.0.store(to, first) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { self.0.add(other.0) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn opaque(self) -> Self {
        let mut vector = self.0.0;
        // SAFETY: it is no instruction at all.
        unsafe { asm!("/* {} */", inout(ymm_reg) vector, options(pure, nomem, nostack, preserves_flags)) }
        Self(Avx2(vector))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(Avx2(_mm256_rol_epi32::<LEFT>(self.0.0)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        Self(Avx2(_mm256_ternarylogic_epi32::<F>(b.0.0, c.0.0, d.0.0)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        Self(Avx2(_mm256_ternarylogic_epi32::<G>(b.0.0, c.0.0, d.0.0)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        Self(Avx2(_mm256_ternarylogic_epi32::<H>(b.0.0, c.0.0, d.0.0)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        Self(Avx2(_mm256_ternarylogic_epi32::<I>(b.0.0, c.0.0, d.0.0)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn low_words(self, other: Self) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { self.0.low_words(other.0) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn high_words(self, other: Self) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { self.0.high_words(other.0) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn low_halves(self, other: Self) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { self.0.low_halves(other.0) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn high_halves(self, other: Self) -> Self {
        // SAFETY: AVX-512VL includes AVX2.
        Self(unsafe { self.0.high_halves(other.0) })
    }
}
