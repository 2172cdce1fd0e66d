//! What the compression function needs of a processor's vectors.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512vl;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sse2;
#[cfg(target_arch = "x86_64")]
mod ternary;

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512, avx512vl::Avx512Vl, sse2::Sse2};

/// Words of 32 bits, one in each of `N` lanes.
///
/// A vector is made of groups of 128 bits, since most instructions that move words do not reach beyond. Lanes `4g` to
/// `4g + 3` are group `g`.
///
/// # Safety
///
/// A function may be called only where the processor has the features that its implementation enables.
pub(crate) trait Vector<const N: usize>: Copy {
    /// `word` in every lane.
    unsafe fn splat(word: u32) -> Self;

    /// Sixteen bytes for each group `g`, from `offset` bytes behind the pointer at `first + 4g`.
    ///
    /// # Safety
    ///
    /// They can be read. They need no alignment.
    unsafe fn load(from: &[*const u8; N], first: usize, offset: usize) -> Self;

    /// Writes each group `g` to the pointer at `first + 4g`.
    ///
    /// # Safety
    ///
    /// Sixteen bytes can be written there. They need no alignment.
    unsafe fn store(self, to: &[*mut u8; N], first: usize);

    unsafe fn add(self, other: Self) -> Self;

    /// The same words, which the compiler then has to compute before it adds others.
    ///
    /// It takes sums apart and puts constants last. Where the sum is the longest chain of a step, as with a rotate and
    /// a mixing function of one instruction each, that costs a fifth of the time.
    #[inline(always)]
    unsafe fn opaque(self) -> Self {
        self
    }

    /// Rotates each word to the left by `LEFT` bits. `RIGHT` is what these are short of 32.
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;

    /// RFC 1321's F: `c` where `b` is set, else `d`.
    unsafe fn f(b: Self, c: Self, d: Self) -> Self;

    /// RFC 1321's G: `b` where `d` is set, else `c`.
    unsafe fn g(b: Self, c: Self, d: Self) -> Self;

    /// RFC 1321's H: `b ^ c ^ d`.
    unsafe fn h(b: Self, c: Self, d: Self) -> Self;

    /// RFC 1321's I: `c ^ (b | !d)`.
    unsafe fn i(b: Self, c: Self, d: Self) -> Self;

    /// In each group, the lower two words of both, alternating.
    unsafe fn low_words(self, other: Self) -> Self;

    /// In each group, the upper two words of both, alternating.
    unsafe fn high_words(self, other: Self) -> Self;

    /// In each group, the lower half of both.
    unsafe fn low_halves(self, other: Self) -> Self;

    /// In each group, the upper half of both.
    unsafe fn high_halves(self, other: Self) -> Self;

    /// Exchanges rows and columns in each group: four words from each of four lanes become one word from each, four
    /// times; and the reverse.
    #[inline(always)]
    unsafe fn transpose(rows: [Self; 4]) -> [Self; 4] {
        // SAFETY: the caller answers for the features.
        unsafe {
            let low = [rows[0].low_words(rows[1]), rows[2].low_words(rows[3])];
            let high = [rows[0].high_words(rows[1]), rows[2].high_words(rows[3])];
            [
                low[0].low_halves(low[1]),
                low[0].high_halves(low[1]),
                high[0].low_halves(high[1]),
                high[0].high_halves(high[1]),
            ]
        }
    }
}
