//! The kernel of one lane: the `md-5` crate.

use std::slice;

use crate::kernel::{Block, Kernel, MAX_LANES, State};

pub(crate) static SCALAR: [Kernel; 1] = [KERNEL];

pub(crate) const KERNEL: Kernel = Kernel { lanes: 1, compress };

/// # Safety
///
/// `blocks` blocks lie behind the first pointer.
unsafe fn compress(states: &mut [State; MAX_LANES], runs: &[*const u8; MAX_LANES], blocks: usize) {
    // SAFETY: the caller answers for the blocks, which are bytes and need no alignment.
    let blocks = unsafe { slice::from_raw_parts(runs[0].cast::<Block>(), blocks) };
    md5::block_api::compress(&mut states[0], blocks);
}
