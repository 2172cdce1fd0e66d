//! One compiled form of the compression function: how many lanes it has, and how to call it.

/// What MD5 takes at a time.
pub(crate) type Block = [u8; 64];

/// The four words that go from block to block and become the digest.
pub(crate) type State = [u32; 4];

/// RFC 1321, section 3.3.
pub(crate) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// As many as the widest kernel has.
pub(crate) const MAX_LANES: usize = 16;

/// The compression function for a number of lanes.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) lanes: usize,
    /// Compresses that many blocks from each pointer on.
    ///
    /// # Safety
    ///
    /// The processor has the features it was compiled for, and the blocks can be read.
    pub(crate) compress: unsafe fn(&mut [State; MAX_LANES], &[*const u8; MAX_LANES], usize),
}

impl Kernel {
    /// Compresses as many blocks of each run as the shortest has, each into the state at the same place, and tells how
    /// many these were. States beyond the runs become anything.
    ///
    /// # Safety
    ///
    /// The processor has the features that the kernel was compiled for.
    pub(crate) unsafe fn compress(&self, states: &mut [State; MAX_LANES], runs: &[&[Block]]) -> usize {
        let Some((first, blocks)) = runs.first().zip(runs.iter().map(|run| run.len()).min()) else {
            return 0;
        };
        // A lane without a run repeats the first one, which costs nothing.
        let mut pointers = [first.as_ptr().cast(); MAX_LANES];
        for (pointer, run) in pointers.iter_mut().zip(runs) {
            *pointer = run.as_ptr().cast();
        }
        // SAFETY: the caller answers for the features. Every pointer is that of a run, and no run has fewer blocks.
        unsafe { (self.compress)(states, &pointers, blocks) };
        blocks
    }
}
