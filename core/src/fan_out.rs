//! How a consumer of enhanced fan-out is addressed: by name, or by ARN.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::stream::{IDENTIFIER, is_identifier};
use crate::{Invalid, StreamArn};

/// The name of a consumer of enhanced fan-out, which is one stream's own: 1 to 128 of the characters `a-z A-Z 0-9 _ . -`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConsumerName(Arc<str>);

impl ConsumerName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ConsumerName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_identifier(text) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::text("consumer name", text, IDENTIFIER))
        }
    }
}

/// The ARN of a consumer of enhanced fan-out: its stream's, its name, and the second at which it was registered.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConsumerArn(Arc<str>);

impl ConsumerArn {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ConsumerArn {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let rule = "<stream ARN>/consumer/<name>:<seconds>";
        let invalid = || Invalid::text("consumer ARN", text, rule);
        let (stream, consumer) = text.split_once("/consumer/").ok_or_else(invalid)?;
        let (name, created) = consumer.split_once(':').ok_or_else(invalid)?;
        stream.parse::<StreamArn>()?;
        name.parse::<ConsumerName>()?;
        if created.is_empty() || !created.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_a_streams_with_a_name_and_a_time() {
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:1700000000";
        assert_eq!(arn.parse::<ConsumerArn>().unwrap().as_str(), arn);
        for (wrong, what) in [
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "consumer ARN"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing", "consumer ARN"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:x", "consumer ARN"),
            ("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/b b:1", "consumer name"),
            ("arn:aws:sqs:eu-west-1:123456789012:stream/orders/consumer/billing:1", "stream ARN"),
        ] {
            assert_eq!(wrong.parse::<ConsumerArn>().unwrap_err().what(), what, "{wrong:?}");
        }
        assert!("a b".parse::<ConsumerName>().is_err());
    }
}
