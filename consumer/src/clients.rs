//! Whom to ask about which stream: one client, or one for each of several.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardflow_core::{InitialPosition, Stream, StreamArn, StreamIdentifier};
use shardflow_engine::{Failure, consume};

use crate::client::Client;
use crate::streams::Streams;
use crate::watch::lock;
use crate::{FanOutConsumer, Retrieval};

/// The clients of a worker. Clones share them.
#[derive(Clone, Debug)]
pub(crate) enum Clients {
    /// Of the only stream.
    One(Client),
    /// Of several.
    Several(Arc<Directory>),
}

/// The streams that were found, and how to reach them.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) streams: Streams,
    pub(crate) timeout: Duration,
    pub(crate) retrieval: Retrieval,
    /// What a consumer without a name of its own is called.
    pub(crate) application: Option<String>,
    /// Where a stream starts that does not say.
    pub(crate) position: InitialPosition,
    pub(crate) found: Mutex<BTreeMap<StreamIdentifier, Client>>,
}

impl Clients {
    /// The client of a stream that leases are of.
    pub(crate) fn of(&self, stream: Option<&StreamIdentifier>) -> Client {
        match (self, stream) {
            (Self::One(client), _) => client.clone(),
            (Self::Several(directory), Some(identifier)) => directory.of(identifier),
            (Self::Several(_), None) => unreachable!("a worker of several streams has no leases without one"),
        }
    }

    /// How a stream's shards are read.
    pub(crate) fn settings(&self, stream: &Stream, settings: &consume::Settings) -> consume::Settings {
        let mut settings = settings.clone();
        if let Self::Several(directory) = self {
            let position = directory.streams.config(stream).position.unwrap_or(directory.position);
            settings.timestamp = match position {
                InitialPosition::AtTimestamp(at) => Some(at),
                InitialPosition::TrimHorizon | InitialPosition::Latest => None,
            };
        }
        settings
    }

    /// Finds out which stream that is.
    pub(crate) async fn describe(&self, stream: &Stream) -> Result<StreamIdentifier, Failure> {
        match self {
            Self::One(_) => unreachable!("the only stream needs no identifier"),
            Self::Several(directory) => directory.describe(stream).await,
        }
    }
}

impl Directory {
    fn of(&self, identifier: &StreamIdentifier) -> Client {
        let mut found = lock(&self.found);
        let client = found.entry(identifier.clone()).or_insert_with(|| {
            // Nobody has named it, and it is read nevertheless: the table has leases of it.
            let stream = self.addressed(identifier);
            self.client(&stream, stream.arn(), None)
        });
        client.clone()
    }

    async fn describe(&self, stream: &Stream) -> Result<StreamIdentifier, Failure> {
        if let (Some(arn), Some(here)) = (stream.arn(), self.region())
            && arn.region() != here
        {
            let there = arn.region();
            let message =
                format!("the stream is in {there}, and the client in {here}: a consumer reads one region");
            return Err(Failure::refused(OTHER_REGION, message));
        }
        let client = Client::through(self.kinesis.clone(), stream.clone(), self.timeout);
        let (identifier, arn) = client.describe().await?;
        let consumer = self.streams.config(stream).consumer;
        let client = self.client(stream, Some(&arn), consumer);
        // One that is known keeps its consumer of enhanced fan-out, which was looked for already.
        lock(&self.found).entry(identifier.clone()).or_insert(client);
        Ok(identifier)
    }

    fn client(&self, stream: &Stream, arn: Option<&StreamArn>, consumer: Option<FanOutConsumer>) -> Client {
        let retrieval = retrieval_of(&self.retrieval, arn, consumer);
        Client::through(self.kinesis.clone(), stream.clone(), self.timeout)
            .retrieving(&retrieval, self.application.as_deref())
    }

    /// As the KCL does: by an ARN of the client's region.
    fn addressed(&self, identifier: &StreamIdentifier) -> Stream {
        let arn = self.region().and_then(|region| {
            let partition = match region {
                _ if region.starts_with("cn-") => "aws-cn",
                _ if region.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            };
            let (account, name) = (identifier.account(), identifier.name());
            format!("arn:{partition}:kinesis:{region}:{account}:stream/{name}").parse().ok()
        });
        arn.map_or_else(|| Stream::Name(identifier.name().clone()), Stream::Arn)
    }

    fn region(&self) -> Option<&str> {
        self.kinesis.config().region().map(AsRef::as_ref)
    }
}

/// The code of a stream in another region than the client's.
pub(crate) const OTHER_REGION: &str = "OtherRegion";

/// How the records of one of several streams come. A consumer's ARN is one stream's.
fn retrieval_of(all: &Retrieval, arn: Option<&StreamArn>, own: Option<FanOutConsumer>) -> Retrieval {
    let consumer = |common: &FanOutConsumer| match (&own, common) {
        (Some(own), _) => own.clone(),
        (None, FanOutConsumer::Arn(common))
            if !arn.is_some_and(|arn| common.as_str().starts_with(&format!("{arn}/"))) =>
        {
            FanOutConsumer::Application
        }
        (None, common) => common.clone(),
    };
    match all {
        Retrieval::Polling => Retrieval::Polling,
        Retrieval::FanOut { consumer: common } => Retrieval::FanOut { consumer: consumer(common) },
        Retrieval::Auto { consumer: common } => Retrieval::Auto { consumer: consumer(common) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_is_named_for_all_streams_serves_those_whose_it_is() {
        let arn: StreamArn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders".parse().unwrap();
        let other: StreamArn = "arn:aws:kinesis:eu-west-1:123456789012:stream/order".parse().unwrap();
        let named: FanOutConsumer = "billing".parse().unwrap();
        let by_arn: FanOutConsumer = format!("{arn}/consumer/billing:1").parse().unwrap();
        let fan_out = |consumer: &FanOutConsumer| Retrieval::FanOut { consumer: consumer.clone() };
        let application = FanOutConsumer::Application;
        for (common, arn, own, expected) in [
            (&named, &arn, None, &named),
            (&by_arn, &arn, None, &by_arn),
            (&by_arn, &other, None, &application),
            (&named, &arn, Some(by_arn.clone()), &by_arn),
        ] {
            assert_eq!(retrieval_of(&fan_out(common), Some(arn), own), fan_out(expected));
        }
        assert_eq!(retrieval_of(&Retrieval::Polling, None, Some(named)), Retrieval::Polling);
    }
}
