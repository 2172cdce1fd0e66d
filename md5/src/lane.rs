//! A message on its way through a lane.

use crate::Digest;
use crate::kernel::{Block, State};

/// A message, cut into blocks: its own as long as they are whole, then one or two that are padded.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    /// Never empty.
    whole: Option<&'a [Block]>,
    /// What remained of the message, and RFC 1321's padding: the blocks from `done` to `padded`.
    padding: [Block; 2],
    done: usize,
    padded: usize,
    digest: Option<&'a mut Digest>,
}

impl<'a> Lane<'a> {
    /// Without a message. All zeros, since a call makes sixteen of them and may have but two short messages.
    pub(crate) const EMPTY: Self =
        Self { whole: None, padding: [[0; 64]; 2], done: 0, padded: 0, digest: None };

    /// Takes a message, and the place of its digest.
    pub(crate) fn start(&mut self, message: &'a [u8], digest: &'a mut Digest) {
        let (whole, rest) = message.as_chunks();
        self.whole = some(whole);
        self.done = 0;
        self.padded = if rest.len() + END <= 64 { 1 } else { 2 };
        self.digest = Some(digest);
        self.padding[0] = [0; 64];
        if self.padded == 2 {
            self.padding[1] = [0; 64];
        }
        let padding = self.padding[..self.padded].as_flattened_mut();
        padding[..rest.len()].copy_from_slice(rest);
        padding[rest.len()] = 0x80;
        if let Some(length) = padding.last_chunk_mut() {
            *length = (message.len() as u64).wrapping_mul(8).to_le_bytes();
        }
    }

    /// The blocks to compress next, as many as lie behind one another. None are left when the message has ended.
    pub(crate) fn run(&self) -> &[Block] {
        self.whole.unwrap_or_else(|| &self.padding[self.done..self.padded])
    }

    /// Leaves the first `blocks` of the run behind.
    pub(crate) fn advance(&mut self, blocks: usize) {
        match self.whole {
            Some(whole) => self.whole = some(&whole[blocks..]),
            None => self.done += blocks,
        }
    }

    /// Writes the digest to its place.
    pub(crate) fn finish(&mut self, state: &State) {
        if let Some(digest) = self.digest.take() {
            for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
                *bytes = word.to_le_bytes();
            }
        }
    }
}

fn some(blocks: &[Block]) -> Option<&[Block]> {
    (!blocks.is_empty()).then_some(blocks)
}

/// A bit, of which a byte is taken up, and the length.
const END: usize = 1 + 8;
