//! How records come to a worker: whether it asks for them, or they are sent.

use std::str::FromStr;

use shardflow_core::{ConsumerArn, ConsumerName, Invalid};

/// How records come to a worker.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Retrieval {
    /// They are asked for, up to five times a second and shard. All applications that read a stream share 2 MiB a second
    /// of each shard.
    #[default]
    Polling,
    /// They are sent, by enhanced fan-out: 2 MiB a second of each shard for this application alone, a fifth of a second
    /// sooner. A consumer that is not there is registered, **which costs money** for each shard and hour until somebody
    /// deregisters it; nothing here does.
    ///
    /// Where that is not allowed, or the stream has twenty consumers, the worker polls and logs why.
    FanOut {
        /// The consumer.
        consumer: FanOutConsumer,
    },
    /// By enhanced fan-out if the consumer is there already, else by polling. It is looked for whenever a shard is begun.
    Auto {
        /// The consumer.
        consumer: FanOutConsumer,
    },
}

/// A consumer of enhanced fan-out. Two applications must not have the same one: they would take each other's
/// subscriptions.
///
/// Parses from a name or an ARN.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum FanOutConsumer {
    /// The one that has the application's name, which is the lease table's. A store that has none, or a reader without
    /// leases, polls.
    #[default]
    Application,
    /// The one of that name.
    Named(ConsumerName),
    /// That one.
    Arn(ConsumerArn),
}

impl FromStr for FanOutConsumer {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("arn:") { text.parse().map(Self::Arn) } else { text.parse().map(Self::Named) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_a_name_or_an_arn() {
        let named = FanOutConsumer::Named("billing".parse().unwrap());
        assert_eq!("billing".parse::<FanOutConsumer>().unwrap(), named);
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:1700000000";
        let by_arn = FanOutConsumer::Arn(arn.parse().unwrap());
        assert_eq!(arn.parse::<FanOutConsumer>().unwrap(), by_arn);
        assert!("a b".parse::<FanOutConsumer>().is_err());
    }
}
