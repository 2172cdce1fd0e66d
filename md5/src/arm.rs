//! The kernels of 64-bit ARM.

use crate::compress::compress;
use crate::kernel::{Kernel, MAX_LANES, State};
use crate::scalar;
use crate::vector::Neon;

/// Two vectors take turns as with SSE2, which has as many lanes and as long a chain of instructions in a step.
pub(crate) static NEON: [Kernel; 3] =
    [scalar::KERNEL, Kernel { lanes: 4, compress: neon_4 }, Kernel { lanes: 8, compress: neon_8 }];

macro_rules! compile {
    ($name:ident, $lanes:literal * $vectors:literal) => {
        #[target_feature(enable = "neon")]
        unsafe fn $name(states: &mut [State; MAX_LANES], runs: &[*const u8; MAX_LANES], blocks: usize) {
            // SAFETY: the feature is that of the vector, and the caller answers for the blocks.
            unsafe { compress::<Neon, $lanes, $vectors>(states, runs, blocks) }
        }
    };
}

compile!(neon_4, 4 * 1);
compile!(neon_8, 4 * 2);
