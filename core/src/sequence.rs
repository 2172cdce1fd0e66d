//! Sequence numbers, which order the records of a shard.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::Invalid;

/// The sequence number of a Kinesis record: a decimal number of any length. Cheap to clone.
///
/// AWS uses 186 bits, more than any integer type holds, and other servers use other lengths and even leading zeros.
/// So the text is kept as it came, for it goes back to the service; order and equality are those of the number.
#[derive(Clone)]
pub struct SequenceNumber(Arc<str>);

impl SequenceNumber {
    /// The number as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.significant(), other.significant());
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for SequenceNumber {}

impl Hash for SequenceNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.significant().hash(state);
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SequenceNumber {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The API reference allows 129 digits; a bound keeps hostile input from being stored and compared.
        if (1..=129).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::text("sequence number", text, "1 to 129 decimal digits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> SequenceNumber {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_of_186_bits_keep_order_and_text() {
        let low = "49590338271490256608559692538361571095921575989136588898";
        let high = "49590338271490256608559692540925702759324208523137515618";
        assert!(number(low) < number(high));
        assert!(number("9") < number("10"));
        assert_eq!(number("007"), number("7"));
        assert_eq!(number("007").as_str(), "007");
        assert_eq!(number("0"), number("000"));
    }

    #[test]
    fn only_digits_are_a_number() {
        let long = "1".repeat(130);
        for text in ["", "-1", "TRIM_HORIZON", "1 ", "１", &long] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_numbers(a: u128, b: u128, zeros in 0usize..4) {
            let padded = format!("{}{a}", "0".repeat(zeros));
            prop_assert_eq!(number(&padded).cmp(&number(&b.to_string())), a.cmp(&b));
        }
    }
}
