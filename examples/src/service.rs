//! Where an example runs: on a service of its own in the same process, on one behind a URL, or on AWS.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::types::{Shard, StreamStatus};
use shardflow_consumer::{ShardId, Stream};
use shardflow_local::{Config as LocalConfig, Listen, Local, Server};
use shardflow_producer::HttpsClient;
use tokio::time::{sleep, timeout};

/// What an example that needs a service ends with when it does not get it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What an error says, and what it came from.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Longest that a stream is waited for. At AWS creating one takes half a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// Clients of a service, and a stream there.
#[derive(Debug)]
pub struct Service {
    /// Kinesis.
    pub kinesis: aws_sdk_kinesis::Client,
    /// DynamoDB, over connections of its own: leases must not wait behind records.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The stream.
    pub stream: Stream,
    /// Whether this has created the stream, and may split and delete it.
    own: bool,
    /// Where it is, for a person.
    place: String,
    embedded: Option<Server>,
}

impl Service {
    /// Finds or starts the service, and finds or creates the stream, with so many shards.
    ///
    /// With an endpoint both Kinesis and DynamoDB are there. With neither endpoint nor stream, the service is embedded:
    /// it lives in this process and behind a loopback port. With a stream alone, they are those of AWS that the
    /// environment leads to, as with any AWS tool. A stream that is not named gets a name made of `run`.
    ///
    /// # Errors
    ///
    /// When there is no such service, or it refuses.
    pub async fn start(
        endpoint: Option<&str>,
        stream: Option<Stream>,
        run: &str,
        shards: u32,
    ) -> Result<Self, Error> {
        let embedded = match (endpoint, &stream) {
            (None, None) => Some(Local::new(LocalConfig::default())?.serve(Listen::default().port(0)).await?),
            _ => None,
        };
        let endpoint = embedded.as_ref().map(Server::endpoint).or(endpoint);
        let config = sdk_config(endpoint).await?;
        let place = match (&embedded, endpoint) {
            (Some(server), _) => format!("the embedded service at {}", server.endpoint()),
            (None, Some(endpoint)) => endpoint.to_owned(),
            (None, None) => "AWS".to_owned(),
        };
        let stream = stream.map_or_else(|| run.parse(), Ok)?;
        let mut service = Self {
            kinesis: aws_sdk_kinesis::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(
                aws_sdk_dynamodb::config::Builder::from(&config)
                    .http_client(HttpsClient::ring().build()?)
                    .build(),
            ),
            stream,
            own: false,
            place,
            embedded,
        };
        service.own = service.create_stream(shards).await?;
        service.active().await?;
        Ok(service)
    }

    /// Where it is, for a person.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether the stream was created here and nobody else uses it.
    #[must_use]
    pub fn owns_stream(&self) -> bool {
        self.own
    }

    /// How many shards are open.
    ///
    /// # Errors
    ///
    /// When the service refuses.
    pub async fn open_shards(&self) -> Result<usize, Error> {
        Ok(self.shards().await?.iter().filter(|shard| is_open(shard)).count())
    }

    /// Splits the first open shard in the middle, waits until that is done, and tells which shard it was and which are
    /// its children.
    ///
    /// # Errors
    ///
    /// When the service refuses, or there is no shard to split.
    pub async fn split_a_shard(&self) -> Result<(ShardId, BTreeSet<ShardId>), Error> {
        let name = self.stream.name().as_str();
        let before = self.shards().await?;
        let shard = before.iter().find(|shard| is_open(shard)).ok_or("the stream has no open shard")?;
        let range = shard.hash_key_range().ok_or("the shard has no range of hash keys")?;
        let (first, last): (u128, u128) =
            (range.starting_hash_key().parse()?, range.ending_hash_key().parse()?);
        let middle = first + (last - first) / 2 + 1;
        let split = self.kinesis.split_shard().stream_name(name).shard_to_split(shard.shard_id());
        split.new_starting_hash_key(middle.to_string()).send().await?;
        self.active().await?;
        let after = self.shards().await?;
        let children = after.iter().filter(|child| child.parent_shard_id() == Some(shard.shard_id()));
        let children = children.map(|child| child.shard_id().parse()).collect::<Result<BTreeSet<_>, _>>()?;
        match children.len() {
            2 => Ok((shard.shard_id().parse()?, children)),
            other => Err(format!("{} was split into {other} shards", shard.shard_id()).into()),
        }
    }

    /// Deletes a lease table, and the stream if this has created it; stops the embedded service.
    ///
    /// # Errors
    ///
    /// When the service refuses one of them. The other is deleted nevertheless.
    pub async fn clean_up(self, table: &str) -> Result<(), Error> {
        if let Some(server) = self.embedded {
            server.shutdown().await;
            return Ok(());
        }
        let tables = match self.dynamodb.delete_table().table_name(table).send().await {
            Err(error) if !error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                Err(format!("the table {table} stays: {}", chain(&error)))
            }
            _ => Ok(()),
        };
        if self.own {
            let name = self.stream.name().as_str();
            let delete = self.kinesis.delete_stream().stream_name(name).enforce_consumer_deletion(true);
            if let Err(error) = delete.send().await {
                return Err(format!("the stream {name} stays: {}", chain(&error)).into());
            }
        }
        Ok(tables?)
    }

    /// Its shards: a stream of an example has no second page of them.
    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        let listed = self.kinesis.list_shards().stream_name(self.stream.name().as_str()).send().await?;
        Ok(listed.shards.unwrap_or_default())
    }

    /// Whether the stream had to be created.
    async fn create_stream(&self, shards: u32) -> Result<bool, Error> {
        let name = self.stream.name().as_str();
        let described = self.kinesis.describe_stream_summary().stream_name(name).send().await;
        let Err(error) = described else { return Ok(false) };
        if !error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) {
            return Err(format!("no Kinesis at {}: {}", self.place, chain(&error)).into());
        }
        let create = self.kinesis.create_stream().stream_name(name);
        create.shard_count(i32::try_from(shards)?).send().await?;
        Ok(true)
    }

    /// Waits until the stream is ACTIVE.
    async fn active(&self) -> Result<(), Error> {
        let active = async {
            loop {
                let describe =
                    self.kinesis.describe_stream_summary().stream_name(self.stream.name().as_str());
                let described = describe.send().await?;
                let summary = described.stream_description_summary();
                if summary.is_some_and(|summary| *summary.stream_status() == StreamStatus::Active) {
                    return Ok(());
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(PATIENCE, active).await.map_err(|_| format!("the stream is not ACTIVE after {PATIENCE:?}"))?
    }
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
}

/// What the environment says, at an endpoint if there is one.
async fn sdk_config(endpoint: Option<&str>) -> Result<SdkConfig, Error> {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(30))
        .build();
    let https = HttpsClient::ring().build()?;
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(https).timeout_config(patience);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
        // A stand-in on this machine takes any credentials; it shall not be needed to have some.
        let here = ["//localhost", "//127.", "//[::1]"].iter().any(|host| endpoint.contains(host));
        if here && std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
            loader = loader
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("any", "any", None, None, "example"));
        }
    }
    Ok(loader.load().await)
}
