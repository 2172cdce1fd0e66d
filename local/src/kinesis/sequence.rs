//! Sequence numbers, formed as the service forms them.

use std::fmt;

use shardflow_core::SequenceNumber;

/// A sequence number in the service's layout, version 2: it orders the records of a shard, and every shard after those
/// it came from. Its text is the decimal number, 56 digits.
///
/// ```text
/// bits 187…184  2
///      183…148  second in which the shard was created
///      147…144  the shard's number, lowest 4 bits
///      143…80   index of the record in its shard, from 1; 0 where the shard starts, 2^63 - 1 where it ends
///       79…72   0
///       71…36   second in which the record arrived
///       35…4    the shard's number
///        3…0    2, the version
/// ```
// Three words, the most significant first, so that the derived order is that of the numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence([u64; 3]);

/// Where the service counts no further: the index in a closed shard's ending number.
const LAST_INDEX: u64 = u64::MAX >> 1;

/// The bits that are left for seconds.
const SECONDS: u64 = (1 << 36) - 1;

/// Decimal text is made of chunks of nineteen digits, the most that fit 64 bits.
const CHUNK: u128 = 10_u128.pow(19);
const CHUNK_DIGITS: usize = 19;

impl Sequence {
    /// The number of the record at `index`, counted from 1, which arrived at `second` in shard number `shard`,
    /// created at second `created`.
    pub(super) fn new(created: u64, shard: u32, index: u64, second: u64) -> Self {
        let shard = u64::from(shard);
        let second = second & SECONDS;
        Self([
            2 << 56 | (created & SECONDS) << 20 | (shard & 0xf) << 16 | index >> 48,
            index << 16 | second >> 28,
            second << 36 | shard << 4 | 2,
        ])
    }

    /// The number of a closed shard's end: above each of its records, below each of its children's.
    pub(super) fn end(created: u64, shard: u32, second: u64) -> Self {
        Self::new(created, shard, LAST_INDEX, second)
    }

    /// The index in it. A number that lies between those of two records has the lower one's.
    pub(super) fn index(self) -> u64 {
        let [top, middle, _] = self.0;
        (top & 0xffff) << 48 | middle >> 16
    }

    /// The second of arrival in it.
    pub(super) fn second(self) -> u64 {
        let [_, middle, bottom] = self.0;
        (middle & 0xff) << 28 | bottom >> 36
    }

    /// Whether it can be of the shard with this number and creation second. Only the bits above the index count: a
    /// client may ask with any number between two records.
    pub(super) fn is_of(self, created: u64, shard: u32) -> bool {
        let prefix = |sequence: Self| sequence.0.first().map(|top| top >> 16);
        prefix(self) == prefix(Self::new(created, shard, 0, 0))
    }

    /// Reads decimal text; none if it is not a number that the layout has room for.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = [0_u64; 3];
        for byte in text.bytes() {
            let mut carry = u128::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
            for word in words.iter_mut().rev() {
                let value = u128::from(*word) * 10 + carry;
                *word = low_word(value);
                carry = value >> 64;
            }
            let [top, ..] = words;
            if top >> 60 != 0 {
                return None;
            }
        }
        (!text.is_empty()).then_some(Self(words))
    }

    /// Appends its text to `out`. Hot: done once for each record that is written or read.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        let digits = self.digits();
        let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
        out.extend(digits.iter().skip(start));
    }

    fn digits(self) -> [u8; 3 * CHUNK_DIGITS] {
        let mut words = self.0;
        let mut digits = [b'0'; 3 * CHUNK_DIGITS];
        for chunk in digits.rchunks_exact_mut(CHUNK_DIGITS) {
            let mut rest = divide_by_chunk(&mut words);
            // Two at a time: half as many divisions that wait for each other.
            for pair in chunk.rchunks_mut(2) {
                let mut two = u8::try_from(rest % 100).expect("two digits are below a hundred");
                rest /= 100;
                for digit in pair.iter_mut().rev() {
                    *digit += two % 10;
                    two /= 10;
                }
            }
        }
        digits
    }
}

/// Long division in place; gives the remainder.
fn divide_by_chunk(words: &mut [u64; 3]) -> u64 {
    let mut rest = 0_u128;
    for word in words {
        let value = rest << 64 | u128::from(*word);
        *word = low_word(value / CHUNK);
        rest = value % CHUNK;
    }
    low_word(rest)
}

#[expect(clippy::cast_possible_truncation, reason = "the word above is carried, or is known to be zero")]
fn low_word(value: u128) -> u64 {
    value as u64
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(3 * CHUNK_DIGITS);
        self.write_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl From<Sequence> for SequenceNumber {
    fn from(sequence: Sequence) -> Self {
        sequence.to_string().parse().expect("it is a number of 56 digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_numbers_that_aws_gave_out() {
        // Shards 0 and 1 of one stream: numbers of the AWS documentation's examples.
        let zero = Sequence::parse("49543463076548007577105092703039560359975228518395012686").unwrap();
        assert!(zero.second() > 1_400_000_000 && zero.second() < 1_500_000_000, "{}", zero.second());
        let text = Sequence::new(1_700_000_000, 3, 1, 1_700_000_001).to_string();
        assert_eq!(text.len(), 56);
        assert!(text.starts_with("49"), "{text}");
    }

    #[test]
    fn parts_come_back_out_of_text() {
        let sequence = Sequence::new(1_700_000_000, 0x1234_5678, 0x1234_5678_9abc, 1_700_000_100);
        let read = Sequence::parse(&sequence.to_string()).unwrap();
        assert_eq!(read, sequence);
        assert_eq!((read.index(), read.second()), (0x1234_5678_9abc, 1_700_000_100));
        assert!(read.is_of(1_700_000_000, 0x1234_5678));
        assert!(!read.is_of(1_700_000_001, 0x1234_5678) && !read.is_of(1_700_000_000, 1));
        assert_eq!(LAST_INDEX, Sequence::end(1, 0, 5).index());
    }

    #[test]
    fn order_is_index_then_time_and_a_younger_shard_comes_after() {
        let first = Sequence::new(100, 0, 1, 101);
        let second = Sequence::new(100, 0, 2, 101);
        let end = Sequence::end(100, 0, 102);
        let child = Sequence::new(101, 7, 0, 101);
        let mut sorted = [child, end, second, first];
        sorted.sort();
        assert_eq!(sorted, [first, second, end, child]);
        let core = |s: Sequence| SequenceNumber::from(s);
        assert!(core(first) < core(second) && core(end) < core(child));
    }

    #[test]
    fn any_number_that_fits_survives_as_text() {
        for bit in 0..188_usize {
            let mut words = [0x0123_4567_89ab_cdef >> 5, 0x0f0f_0f0f_0f0f_0f0f, u64::MAX];
            words[2 - bit / 64] ^= 1 << (bit % 64);
            assert_eq!(Sequence::parse(&Sequence(words).to_string()), Some(Sequence(words)));
            let power =
                Sequence(std::array::from_fn(|word| if 2 - word == bit / 64 { 1 << (bit % 64) } else { 0 }));
            assert_eq!(Sequence::parse(&power.to_string()), Some(power));
        }
        let power = |bit: usize| {
            let mut words = [0; 3];
            words[2 - bit / 64] = 1 << (bit % 64);
            Sequence(words).to_string()
        };
        assert_eq!(power(64), "18446744073709551616");
        assert_eq!(power(127), "170141183460469231731687303715884105728");
        assert_eq!(power(187), "196159429230833773869868419475239575503198607639501078528");
    }

    #[test]
    fn text_that_is_no_such_number_is_refused() {
        for text in ["", "-1", "1x", " 1", "9".repeat(58).as_str()] {
            assert_eq!(Sequence::parse(text), None, "{text:?}");
        }
        assert_eq!(Sequence::parse("0").unwrap().to_string(), "0");
        assert_eq!(Sequence::parse("0007").unwrap().to_string(), "7");
    }
}
