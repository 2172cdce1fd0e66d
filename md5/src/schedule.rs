//! Which message goes through which lane, and through how many lanes at once.

use crate::Digest;
use crate::kernel::{Block, Kernel, MAX_LANES, START};
use crate::lane::Lane;

/// Computes every digest with `kernels`, which ascend in lanes.
///
/// # Safety
///
/// The processor has the features that the kernels were compiled for.
pub(crate) unsafe fn digest_all<'a>(
    kernels: &[Kernel],
    mut messages: impl Iterator<Item = (&'a [u8], &'a mut Digest)>,
) {
    let Some(widest) = kernels.last() else { return };
    let mut lanes = [const { Lane::EMPTY }; MAX_LANES];
    let mut states = [START; MAX_LANES];
    // The first ones have a message each, the others none.
    let mut taken = 0;
    for (lane, (message, digest)) in lanes.iter_mut().take(widest.lanes).zip(messages.by_ref()) {
        lane.start(message, digest);
        taken += 1;
    }
    while taken > 0 {
        let kernel = kernels.iter().find(|kernel| taken <= kernel.lanes).unwrap_or(widest);
        let mut runs: [&[Block]; MAX_LANES] = [&[]; MAX_LANES];
        for (run, lane) in runs.iter_mut().zip(&lanes[..taken]) {
            *run = lane.run();
        }
        // SAFETY: the caller answers for the features.
        let blocks = unsafe { kernel.compress(&mut states, &runs[..taken]) };
        for at in (0..taken).rev() {
            lanes[at].advance(blocks);
            if !lanes[at].run().is_empty() {
                continue;
            }
            lanes[at].finish(&states[at]);
            states[at] = START;
            if let Some((message, digest)) = messages.next() {
                lanes[at].start(message, digest);
                continue;
            }
            taken -= 1;
            if at < taken {
                lanes.swap(at, taken);
                states.swap(at, taken);
            }
        }
    }
}
