//! The protobuf wire format, as far as reading and writing aggregates needs it.

use std::ops::Range;

/// Bytes that `value` takes as a varint.
pub(super) fn varint_len(value: u64) -> usize {
    // 7 bits a byte; 0 takes one byte too.
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends `value` as a varint in its shortest form.
pub(super) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

/// Appends a length-delimited field: its tag, its length and its bytes.
pub(super) fn put_bytes(to: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    to.push(tag);
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Bytes that a length-delimited field with a one-byte tag takes.
pub(super) fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// One field of a message. Fixed-size fields and groups do not occur in an aggregate: they are passed over.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Value {
    Varint(u64),
    /// Where its bytes lie in the buffer that the reader was given.
    Bytes(Range<usize>),
    Other,
}

/// Reads the fields of a message, in whatever order they come.
pub(super) struct Fields<'a> {
    /// Up to the end of the message.
    buffer: &'a [u8],
    at: usize,
}

/// The bytes are not a protobuf message.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Broken;

impl<'a> Fields<'a> {
    pub(super) fn new(buffer: &'a [u8], range: Range<usize>) -> Self {
        Self { buffer: &buffer[..range.end], at: range.start }
    }

    /// The next field and its number; `None` at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value)>, Broken> {
        if self.at == self.buffer.len() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                let start = self.at;
                self.skip(len)?;
                Value::Bytes(start..self.at)
            }
            3 => {
                self.skip_group(number)?;
                Value::Other
            }
            fixed => {
                self.skip_fixed(fixed)?;
                Value::Other
            }
        };
        Ok(Some((number, value)))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Broken> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Broken)?;
        let (number, wire_type) = (tag >> 3, tag.to_le_bytes()[0] & 7);
        if number == 0 { Err(Broken) } else { Ok((number, wire_type)) }
    }

    /// A varint of at most ten bytes, in its shortest form or padded. Bits above the 64th are dropped, as protobuf does.
    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        // Tags have one byte, and lengths and indices of an aggregate one or two.
        match self.buffer.get(self.at..) {
            Some([byte @ ..0x80, ..]) => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            Some([low, high @ ..0x80, ..]) => {
                self.at += 2;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.buffer.get(self.at).ok_or(Broken)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<(), Broken> {
        if len > self.buffer.len() - self.at {
            return Err(Broken);
        }
        self.at += len;
        Ok(())
    }

    fn skip_fixed(&mut self, wire_type: u8) -> Result<(), Broken> {
        match wire_type {
            1 => self.skip(8),
            5 => self.skip(4),
            _ => Err(Broken),
        }
    }

    /// Passes over a group up to its own end, nested groups included.
    fn skip_group(&mut self, number: u32) -> Result<(), Broken> {
        /// Protobuf's own bound on nesting; without one, hostile input would fill the list.
        const NESTING: usize = 100;
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                0 => drop(self.varint()?),
                2 => {
                    let len = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                    self.skip(len)?;
                }
                3 if open.len() < NESTING => open.push(number),
                4 if number == innermost => drop(open.pop()),
                fixed => self.skip_fixed(fixed)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u32, Value)>, Broken> {
        let mut fields = Fields::new(message, 0..message.len());
        let mut all = Vec::new();
        while let Some(field) = fields.next()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn lengths_are_those_that_are_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value), "{value}");
            assert_eq!(fields(&[&[0x08], &bytes[..]].concat()), Ok(vec![(1, Value::Varint(value))]));
        }
    }

    #[test]
    fn every_wire_type_is_passed_over() {
        let message = [
            &[0x08, 0x80, 0x80, 0x00][..],   // 1: 0, padded to three bytes
            &[0x11, 1, 2, 3, 4, 5, 6, 7, 8], // 2: fixed64
            &[0x1d, 1, 2, 3, 4],             // 3: fixed32
            &[0x23, 0x2b, 0x08, 0x01, 0x2c, 0x32, 0x01, 0xff, 0x24], // 4: group with a group in it
            &[0x32, 0x02, b'h', b'i'],       // 6: bytes
        ]
        .concat();
        let numbers: Vec<_> = fields(&message).unwrap().into_iter().map(|(n, _)| n).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 6]);
    }

    #[test]
    fn what_is_cut_or_wrong_is_broken() {
        for message in [
            &[0x08][..],                                                               // no value
            &[0x0a, 0x05, 1, 2], // fewer bytes than told
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // a length that overflows
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // eleven bytes
            &[0x00, 0x00],       // field number 0
            &[0x0e],             // wire type 6
            &[0x0c],             // the end of no group
            &[0x0b],             // a group without end
            &[0x0b, 0x14],       // the end of another group
        ] {
            assert_eq!(fields(message), Err(Broken), "{message:x?}");
        }
        assert_eq!(fields(&[0x0b; 4096]), Err(Broken));
    }
}
