//! Carrying requests out with the AWS SDK.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryOutput;
use aws_sdk_kinesis::types::{self, RecordDistributionStrategy, ShardFilter, ShardFilterType};
use shardflow_core::{RecordDistribution, Shard, Stream, limits};
use shardflow_engine::Failure;
use shardflow_engine::produce::{Answer, Description, Placed, PutEntry, Request};
use tokio::time::Instant;
use tracing::field::{Empty, debug};
use tracing::{Instrument as _, Span, debug_span};

use shardflow_sdk::{bounded, classify, kinesis_within, list_shards, timeouts, unreadable};

use crate::Config;
use crate::body::{Body, Pages};

/// The service, as far as a producer needs it. Every call ends within the time-out.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    kinesis: aws_sdk_kinesis::Client,
    stream: Stream,
    timeout: Duration,
    pages: Arc<Pages>,
}

impl Client {
    pub(crate) fn new(client: &aws_sdk_kinesis::Client, stream: Stream, config: &Config) -> Self {
        let timeout = config.request_timeout;
        let timeouts = timeouts(timeout).to_builder().connect_timeout(config.connect_timeout.0).build();
        Self { kinesis: kinesis_within(client, timeouts), stream, timeout, pages: Arc::default() }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(crate) async fn carry_out(&self, request: Request) -> Answer {
        let span = self.span(&request);
        let started = (!span.is_disabled()).then(Instant::now);
        let answer = async {
            match request {
                Request::ListShards { closed } => self.list_shards(closed).await.map(Answer::Shards),
                Request::Describe => self.describe().await.map(Answer::Described),
                Request::PutRecords(entries) => self.put_records(entries).await.map(Answer::Put),
            }
        };
        let answer = answer.instrument(span.clone()).await.unwrap_or_else(Answer::Failed);
        if let Some(started) = started {
            tell(&span, &answer, started.elapsed());
        }
        answer
    }

    /// The span of a request. Its fields are not looked at unless somebody wants it.
    fn span(&self, request: &Request) -> Span {
        let stream = &self.stream;
        match request {
            Request::ListShards { closed } => {
                debug_span!("list_shards", %stream, closed, outcome = Empty, took = Empty)
            }
            Request::Describe => {
                debug_span!("describe_stream_summary", %stream, outcome = Empty, took = Empty)
            }
            Request::PutRecords(entries) => debug_span!(
                "put_records",
                %stream,
                entries = entries.len(),
                bytes = entries.iter().map(PutEntry::size).sum::<usize>(),
                outcome = Empty,
                failed = Empty,
                took = Empty,
            ),
        }
    }

    async fn put_records(&self, entries: Vec<PutEntry>) -> Result<Vec<Result<Placed, Failure>>, Failure> {
        let body = Body::new(&self.stream, &entries, &self.pages);
        drop(entries);
        let call = self.kinesis.put_records().set_records(Some(Vec::new()));
        let call = match &self.stream {
            Stream::Name(name) => call.stream_name(name.as_str()),
            Stream::Arn(arn) => call.stream_arn(arn.as_str()),
        };
        let call = call.customize().interceptor(body);
        let sent = async { call.send().await.map_err(|error| classify(&error)) };
        bounded(self.timeout, sent).await?.records.into_iter().map(|entry| Ok(placed(entry))).collect()
    }

    async fn describe(&self) -> Result<Description, Failure> {
        let call = self.kinesis.describe_stream_summary();
        let call = match &self.stream {
            Stream::Name(name) => call.stream_name(name.as_str()),
            Stream::Arn(arn) => call.stream_arn(arn.as_str()),
        };
        let sent = async { call.send().await.map_err(|error| classify(&error)) };
        let described = bounded(self.timeout, sent).await.and_then(|answer| description(&answer));
        described.inspect_err(|failure| {
            let Failure { code, message, .. } = failure;
            let stream = &self.stream;
            tracing::warn!(%stream, code, message, "DescribeStreamSummary failed: what is not known stays so");
        })
    }

    async fn list_shards(&self, closed: bool) -> Result<Vec<Shard>, Failure> {
        let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
        let open = open.map_err(|error| Failure::refused("NotSent", error.to_string()))?;
        list_shards(&self.kinesis, &self.stream, (!closed).then_some(open), self.timeout).await
    }
}

/// Completes the span of a request.
fn tell(span: &Span, answer: &Answer, took: Duration) {
    let outcome = match answer {
        Answer::Failed(failure) => failure.code.as_str(),
        Answer::Put(_) | Answer::Shards(_) | Answer::Described(_) => "answered",
    };
    span.record("outcome", outcome).record("took", debug(took));
    if let Answer::Put(results) = answer {
        span.record("failed", results.iter().filter(|result| result.is_err()).count());
    }
}

fn description(answer: &DescribeStreamSummaryOutput) -> Result<Description, Failure> {
    let summary = answer.stream_description_summary();
    let distribution = match summary.and_then(|summary| summary.record_distribution_strategy()) {
        // Servers and streams that know of no other way do not tell.
        None | Some(RecordDistributionStrategy::UserPartitionKey) => RecordDistribution::UserPartitionKey,
        Some(RecordDistributionStrategy::Auto) => RecordDistribution::Auto,
        Some(other) => {
            let message = format!("a record distribution strategy that is not known: {}", other.as_str());
            return Err(Failure::unknown("Unreadable", message));
        }
    };
    let kib = summary.and_then(|summary| summary.max_record_size_in_kib());
    let record_bytes =
        kib.and_then(|kib| usize::try_from(kib).ok()).map_or(limits::RECORD_BYTES_DEFAULT, |kib| kib << 10);
    Ok(Description { distribution, record_bytes })
}

fn placed(entry: types::PutRecordsResultEntry) -> Result<Placed, Failure> {
    match (entry.shard_id, entry.sequence_number, entry.error_code) {
        (Some(shard_id), Some(sequence_number), None) => Ok(Placed {
            shard_id: shard_id.parse().map_err(|error| unreadable(&error))?,
            sequence_number: sequence_number.parse().map_err(|error| unreadable(&error))?,
        }),
        (_, _, Some(code)) => Err(Failure::refused(code, entry.error_message.unwrap_or_default())),
        _ => Err(Failure::unknown("Unreadable", "an entry without place and without error")),
    }
}
