//! The kernels of x86-64.
//!
//! Which there are was measured (`benches/speed.rs`): two vectors that take turns gain a half with AVX2 and SSE2. They
//! gain nothing with AVX-512, where one of 512 bits keeps the processor busy, and three gain nothing anywhere. Up to
//! eight messages are faster in 256 bits than in 512, whose words take longer to put in place.

use crate::compress::compress;
use crate::kernel::{Kernel, MAX_LANES, State};
use crate::scalar;
use crate::vector::{Avx2, Avx512, Avx512Vl, Sse2};

/// A message alone is in a vector too: with a rotate in one instruction it takes an eighth less time than as a scalar.
pub(crate) static AVX512: [Kernel; 2] =
    [Kernel { lanes: 8, compress: avx512_8 }, Kernel { lanes: 16, compress: avx512_16 }];
pub(crate) static AVX2: [Kernel; 3] =
    [scalar::KERNEL, Kernel { lanes: 8, compress: avx2_8 }, Kernel { lanes: 16, compress: avx2_16 }];
pub(crate) static SSE2: [Kernel; 3] =
    [scalar::KERNEL, Kernel { lanes: 4, compress: sse2_4 }, Kernel { lanes: 8, compress: sse2_8 }];

macro_rules! compile {
    ($name:ident, $features:literal, $vector:ty, $lanes:literal * $vectors:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(states: &mut [State; MAX_LANES], runs: &[*const u8; MAX_LANES], blocks: usize) {
            // SAFETY: the features are those of the vector, and the caller answers for the blocks.
            unsafe { compress::<$vector, $lanes, $vectors>(states, runs, blocks) }
        }
    };
}

compile!(avx512_8, "avx512f,avx512vl", Avx512Vl, 8 * 1);
compile!(avx512_16, "avx512f", Avx512, 16 * 1);
compile!(avx2_8, "avx2", Avx2, 8 * 1);
compile!(avx2_16, "avx2", Avx2, 8 * 2);
compile!(sse2_4, "sse2", Sse2, 4 * 1);
compile!(sse2_8, "sse2", Sse2, 4 * 2);
