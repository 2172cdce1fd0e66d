//! MD5's compression function, over the lanes of any vector.

use std::hint::black_box;

use crate::kernel::{MAX_LANES, State};
use crate::vector::Vector;

/// The compression function for `K` vectors of `N` lanes each, as a [`Kernel`](crate::kernel::Kernel) calls it.
///
/// A step waits for the one before it, which leaves much of the processor idle: several vectors take turns.
///
/// # Safety
///
/// The processor has the features of `V`, and `blocks` blocks lie behind each of the first `K * N` pointers.
#[inline(always)]
pub(crate) unsafe fn compress<V: Vector<N>, const N: usize, const K: usize>(
    states: &mut [State; MAX_LANES],
    runs: &[*const u8; MAX_LANES],
    blocks: usize,
) {
    const { assert!(K * N <= MAX_LANES) }
    let (states, _) = states.as_chunks_mut::<N>();
    let (runs, _) = runs.as_chunks::<N>();
    // SAFETY: the caller answers for the features and the blocks.
    unsafe {
        let mut chain = [[V::splat(0); 4]; K];
        for (chain, states) in chain.iter_mut().zip(&*states) {
            *chain = load(&states.each_ref().map(|state| state.as_ptr().cast()), 0);
        }
        for block in 0..blocks {
            let mut words = [[V::splat(0); 16]; K];
            for (words, runs) in words.iter_mut().zip(runs) {
                *words = load_block(runs, block * 64);
            }
            let before = chain;
            rounds(&mut chain, &words);
            for (word, before) in chain.as_flattened_mut().iter_mut().zip(before.as_flattened()) {
                *word = word.add(*before);
            }
        }
        for (chain, states) in chain.iter().zip(states) {
            store(*chain, &states.each_mut().map(|state| state.as_mut_ptr().cast()));
        }
    }
}

/// The sixteen words of every lane's block.
///
/// # Safety
///
/// The processor has the features of `V`, and there is a block `offset` bytes behind each pointer.
#[inline(always)]
unsafe fn load_block<V: Vector<N>, const N: usize>(from: &[*const u8; N], offset: usize) -> [V; 16] {
    // SAFETY: the caller answers for the features and for four times sixteen bytes.
    let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = unsafe {
        [load(from, offset), load(from, offset + 16), load(from, offset + 32), load(from, offset + 48)]
    };
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Four words of every lane.
///
/// # Safety
///
/// The processor has the features of `V`, and sixteen bytes lie `offset` bytes behind each pointer.
#[inline(always)]
unsafe fn load<V: Vector<N>, const N: usize>(from: &[*const u8; N], offset: usize) -> [V; 4] {
    // SAFETY: the caller answers for the features and the bytes.
    unsafe {
        V::transpose([
            V::load(from, 0, offset),
            V::load(from, 1, offset),
            V::load(from, 2, offset),
            V::load(from, 3, offset),
        ])
    }
}

/// The reverse of [`load`].
///
/// # Safety
///
/// The processor has the features of `V`, and sixteen bytes can be written behind each pointer.
#[inline(always)]
unsafe fn store<V: Vector<N>, const N: usize>(words: [V; 4], to: &[*mut u8; N]) {
    // SAFETY: the caller answers for the features and the bytes.
    unsafe {
        for (first, row) in V::transpose(words).into_iter().enumerate() {
            row.store(to, first);
        }
    }
}

/// The 64 steps of RFC 1321, section 3.4.
///
/// # Safety
///
/// The processor has the features of `V`.
#[inline(always)]
unsafe fn rounds<V: Vector<N>, const N: usize, const K: usize>(
    chain: &mut [[V; 4]; K],
    words: &[[V; 16]; K],
) {
    // A compiler that knows the sines keeps all 64 of them spread out on the stack: for one block per call, which is
    // a partition key, that costs an eighth of the time.
    let sines = black_box(&SINES);
    // Macros, since the number of bits is part of a rotate, and a loop would look up at run time what word is next.
    macro_rules! step {
        ($mix:ident, $step:expr, $word:expr, $left:literal $right:literal) => {
            // Roles move on by one word with each step.
            let [a, b, c, d] = [64 - $step, 65 - $step, 66 - $step, 67 - $step].map(|word| word % 4);
            let sine = V::splat(sines[$step]);
            for (chain, words) in chain.iter_mut().zip(words) {
                let mixed = V::$mix(chain[b], chain[c], chain[d]);
                // Only `mixed` waits for the step before this one, so it comes last.
                let sum = words[$word % 16].add(sine).add(chain[a]).opaque().add(mixed);
                chain[a] = sum.rotate::<$left, $right>().add(chain[b]);
            }
        };
    }
    macro_rules! round {
        ($mix:ident, $by:literal * i + $from:literal, [$($first:literal)*],
         $left0:literal $right0:literal, $left1:literal $right1:literal,
         $left2:literal $right2:literal, $left3:literal $right3:literal) => {
            $(
                step!($mix, $first, $by * $first + $from, $left0 $right0);
                step!($mix, $first + 1, $by * ($first + 1) + $from, $left1 $right1);
                step!($mix, $first + 2, $by * ($first + 2) + $from, $left2 $right2);
                step!($mix, $first + 3, $by * ($first + 3) + $from, $left3 $right3);
            )*
        };
    }
    // SAFETY: the caller answers for the features.
    unsafe {
        round!(f, 1 * i + 0, [0 4 8 12], 7 25, 12 20, 17 15, 22 10);
        round!(g, 5 * i + 1, [16 20 24 28], 5 27, 9 23, 14 18, 20 12);
        round!(h, 3 * i + 5, [32 36 40 44], 4 28, 11 21, 16 16, 23 9);
        round!(i, 7 * i + 0, [48 52 56 60], 6 26, 10 22, 15 17, 21 11);
    }
}

/// The integer part of 2^32 times the sine of 1 to 64, in radians.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];
