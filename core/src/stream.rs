//! How a stream is addressed: by name, or by ARN.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Invalid, limits};

/// A stream, addressed by its name in the client's own account and region, or by an ARN in any.
///
/// ```
/// use shardflow_core::Stream;
///
/// let here: Stream = "orders".parse()?;
/// let there: Stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders".parse()?;
/// assert_eq!(here.name(), there.name());
/// # Ok::<(), shardflow_core::Invalid>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stream {
    /// By name.
    Name(StreamName),
    /// By ARN.
    Arn(StreamArn),
}

impl Stream {
    /// The stream's name, whichever way it is addressed.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        match self {
            Self::Name(name) => name,
            Self::Arn(arn) => arn.name(),
        }
    }

    /// Its ARN, where it is addressed by one.
    #[must_use]
    pub fn arn(&self) -> Option<&StreamArn> {
        match self {
            Self::Name(_) => None,
            Self::Arn(arn) => Some(arn),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Arn(arn) => arn.fmt(f),
        }
    }
}

impl FromStr for Stream {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("arn:") { text.parse().map(Self::Arn) } else { text.parse().map(Self::Name) }
    }
}

impl From<StreamName> for Stream {
    fn from(name: StreamName) -> Self {
        Self::Name(name)
    }
}

impl From<StreamArn> for Stream {
    fn from(arn: StreamArn) -> Self {
        Self::Arn(arn)
    }
}

/// The name of a stream: 1 to 128 of the characters `a-z A-Z 0-9 _ . -`. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_identifier(text) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::text("stream name", text, IDENTIFIER))
        }
    }
}

/// The ARN of a stream, `arn:<partition>:kinesis:<region>:<account>:stream/<name>`. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamArn {
    text: Arc<str>,
    name: StreamName,
}

impl StreamArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The region, such as `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account, twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        self.part(4)
    }

    fn part(&self, index: usize) -> &str {
        self.text.split(':').nth(index).expect("an ARN is parsed with six parts")
    }
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for StreamArn {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::text("stream ARN", text, "arn:<partition>:kinesis:<region>:<12 digits>:stream/<name>")
        };
        let [arn, partition, service, region, account, resource]: [&str; 6] =
            text.split(':').collect::<Vec<_>>().try_into().map_err(|_| invalid())?;
        let name = resource.strip_prefix("stream/").ok_or_else(invalid)?;
        let known =
            arn == "arn" && partition.starts_with("aws") && service == "kinesis" && !region.is_empty();
        let numbered = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !known || !numbered {
            return Err(invalid());
        }
        Ok(Self { text: text.into(), name: name.parse()? })
    }
}

/// The rule that names of streams, shards and consumers follow. API: `[a-zA-Z0-9_.-]+`, 1 to 128.
pub(crate) const IDENTIFIER: &str = "1 to 128 of the characters a-z A-Z 0-9 _ . -";

pub(crate) fn is_identifier(text: &str) -> bool {
    (1..=limits::NAME_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Who decides which shard of a stream takes a record. API UpdateStreamRecordDistributionStrategy.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RecordDistribution {
    /// `USER_PARTITION_KEY`: its explicit hash key, or else the MD5 of its partition key. What a stream has unless it was
    /// told otherwise.
    #[default]
    UserPartitionKey,
    /// `AUTO`: the service, whatever keys the record has; it need not have any. For on-demand streams. A KCL drops
    /// aggregates on such a stream.
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_gives_its_parts_and_a_name_stays_a_name() {
        let stream: Stream = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b_c-9".parse().unwrap();
        let arn = stream.arn().unwrap();
        assert_eq!(
            (arn.region(), arn.account(), arn.name().as_str()),
            ("cn-north-1", "123456789012", "a.b_c-9")
        );
        assert_eq!("orders".parse::<Stream>().unwrap(), Stream::Name("orders".parse().unwrap()));
    }

    #[test]
    fn wrong_names_and_arns_are_refused_with_their_rule() {
        let long = "x".repeat(129);
        for text in ["", "a b", "a/b", "ä", &long] {
            let error = text.parse::<Stream>().unwrap_err();
            assert_eq!((error.what(), error.rule()), ("stream name", IDENTIFIER), "{text:?}");
        }
        for text in [
            "arn:",
            "arn:aws:kinesis:eu-west-1:1234:stream/orders",
            "arn:aws:sqs:eu-west-1:123456789012:stream/orders",
            "arn:aws:kinesis:eu-west-1:123456789012:orders",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders:x",
        ] {
            assert_eq!(text.parse::<Stream>().unwrap_err().what(), "stream ARN", "{text:?}");
        }
    }
}
