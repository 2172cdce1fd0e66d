//! Cuts records out of the answer of GetRecords while it comes in.

use memchr::memchr2;

/// What has come of an answer, as far as it is not in the records that were cut out.
///
/// Only what tells where a record ends is looked at: brackets, and the quotes of texts, which can have brackets in them. Where
/// a record was, `null` is left, and so what is left is as right or as wrong as it was.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// What has come of the record that comes now.
    begun: Vec<u8>,
    rest: Vec<u8>,
    /// Objects and lists that are open.
    depth: usize,
    in_list: bool,
    in_record: bool,
    in_text: bool,
    /// Whether the last character makes another one of the next.
    escaped: bool,
}

impl Cutter {
    /// Takes what has come. Gives each record that is complete now.
    pub(super) fn take<E>(
        &mut self,
        chunk: &[u8],
        mut record: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut from, mut at) = (0, 0);
        while let Some(byte) = self.next(chunk, &mut at) {
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => {
                    if byte == b'{' && self.depth == LIST && self.in_list {
                        self.rest.extend_from_slice(&chunk[from..at]);
                        self.rest.extend_from_slice(b"null");
                        self.in_record = true;
                        from = at;
                    } else if byte == b'[' && self.depth == LIST - 1 {
                        self.rest.extend_from_slice(&chunk[from..at]);
                        from = at;
                        self.in_list = self.is_list_of_records();
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == LIST && self.in_record {
                        self.in_record = false;
                        self.give(&chunk[from..=at], &mut record)?;
                        from = at + 1;
                    } else if self.depth < LIST {
                        self.in_list = false;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let to = if self.in_record { &mut self.begun } else { &mut self.rest };
        to.extend_from_slice(&chunk[from..]);
        Ok(())
    }

    /// The answer, with `null` in the place of each record.
    pub(super) fn rest(mut self) -> Vec<u8> {
        // One that was not complete makes nothing complete.
        self.rest.append(&mut self.begun);
        self.rest
    }

    /// The next byte outside of texts, and where it is.
    fn next(&mut self, chunk: &[u8], at: &mut usize) -> Option<u8> {
        while self.in_text {
            if self.escaped {
                chunk.get(*at)?;
                self.escaped = false;
                *at += 1;
            }
            let Some(found) = chunk.get(*at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
                *at = chunk.len();
                return None;
            };
            *at += found + 1;
            match chunk[*at - 1] {
                b'"' => self.in_text = false,
                _ => self.escaped = true,
            }
        }
        chunk.get(*at).copied()
    }

    /// Whether the list that begins behind what is left is that of the records.
    fn is_list_of_records(&self) -> bool {
        let name = self.rest.trim_ascii_end().strip_suffix(b":");
        name.is_some_and(|name| name.trim_ascii_end().ends_with(b"\"Records\""))
    }

    fn give<E>(&mut self, end: &[u8], record: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.begun.is_empty() {
            return record(end);
        }
        self.begun.extend_from_slice(end);
        record(&self.begun)?;
        self.begun.clear();
        Ok(())
    }
}

/// Within the answer's object and the list of its records.
const LIST: usize = 2;
