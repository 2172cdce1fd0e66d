//! The spans of what a consumer asks for. Their fields are not looked at unless somebody wants them.

use std::time::Duration;

use shardflow_core::{LeaseChange, ShardId, Stream};
use shardflow_engine::Failure;
use shardflow_engine::consume::{self, Batch, ReadAnswer, ReadRequest};
use shardflow_engine::lease;
use tracing::field::{Empty, debug, display};
use tracing::{Span, debug_span};

/// The span of what a shard asks for; none for what is done at once.
pub(crate) fn of_shard(stream: &Stream, shard_id: &ShardId, request: &consume::Request) -> Span {
    use consume::Request;
    match request {
        Request::Read(request) => of_reading(stream, shard_id, request),
        Request::Process(batch) => of_batch(stream, shard_id, batch),
        Request::Initialize => debug_span!("initialize", %stream, %shard_id, outcome = Empty, took = Empty),
        Request::Stop(why) => {
            debug_span!("stopping", %stream, %shard_id, ?why, outcome = Empty, took = Empty)
        }
        Request::DeadLetter { batch, .. } => {
            let span = debug_span!(
                "dead_letter",
                %stream,
                %shard_id,
                sequence_number = Empty,
                outcome = Empty,
                took = Empty
            );
            if let Some(record) = batch.records.first() {
                span.record("sequence_number", display(&record.sequence_number));
            }
            span
        }
        Request::Room { .. }
        | Request::Pass(_)
        | Request::Restart
        | Request::EnterChildren(_)
        | Request::CheckpointEnd => Span::none(),
    }
}

fn of_reading(stream: &Stream, shard_id: &ShardId, request: &ReadRequest) -> Span {
    match request {
        ReadRequest::OpenIterator(_) => {
            debug_span!("get_shard_iterator", %stream, %shard_id, outcome = Empty, took = Empty)
        }
        ReadRequest::GetRecords { .. } => debug_span!(
            "get_records",
            %stream,
            %shard_id,
            records = Empty,
            behind = Empty,
            outcome = Empty,
            took = Empty
        ),
        ReadRequest::ListShards => {
            debug_span!("list_shards", %stream, %shard_id, outcome = Empty, took = Empty)
        }
        ReadRequest::FindConsumer { .. } => {
            debug_span!("find_consumer", %stream, %shard_id, outcome = Empty, took = Empty)
        }
        ReadRequest::Subscribe { .. } => {
            debug_span!("subscribe_to_shard", %stream, %shard_id, outcome = Empty, took = Empty)
        }
        ReadRequest::Receive { .. } => debug_span!(
            "receive",
            %stream,
            %shard_id,
            records = Empty,
            behind = Empty,
            outcome = Empty,
            took = Empty
        ),
    }
}

fn of_batch(stream: &Stream, shard_id: &ShardId, batch: &Batch) -> Span {
    let span = debug_span!(
        "process",
        %stream,
        %shard_id,
        first = Empty,
        last = Empty,
        records = batch.records.len(),
        behind = ?batch.behind,
        outcome = Empty,
        took = Empty
    );
    if let (Some(first), Some(last)) = (batch.records.first(), batch.records.last()) {
        span.record("first", display(&first.sequence_number));
        span.record("last", display(&last.sequence_number));
    }
    span
}

/// Completes the span of what a shard has asked for.
pub(crate) fn end_of_shard(span: &Span, answer: &consume::Answer, took: Duration) {
    use consume::Answer;
    let outcome = match answer {
        Answer::Failed(failure) | Answer::Panicked(failure) => failure.code.as_str(),
        Answer::Done => "done",
        Answer::Untouched => "untouched",
        Answer::Read(_) | Answer::Fresh { .. } => "answered",
    };
    span.record("outcome", outcome).record("took", debug(took));
    let (records, behind) = match answer {
        Answer::Read(ReadAnswer::Page(page)) => (page.records.len(), page.behind),
        Answer::Read(ReadAnswer::Delivered(delivery)) => (delivery.records.len(), delivery.behind),
        _ => return,
    };
    span.record("records", records).record("behind", debug(behind));
}

/// The span of a request about leases.
pub(crate) fn of_leases(only: Option<&Stream>, request: &lease::Request) -> Span {
    use lease::Request;
    let (what, key) = match request {
        Request::ListShards { stream, .. } => {
            let span = debug_span!("list_shards", stream = Empty, outcome = Empty, took = Empty);
            match (stream, only) {
                (Some(stream), _) => span.record("stream", display(stream)),
                (None, Some(only)) => span.record("stream", display(only)),
                (None, None) => &span,
            };
            return span;
        }
        Request::Describe(stream) => {
            return debug_span!("describe_stream", %stream, outcome = Empty, took = Empty);
        }
        Request::Look => ("look", None),
        Request::Assigned => ("assigned", None),
        Request::Get(key) => ("get", Some(key)),
        Request::Write { key, change } => (word(change), Some(key)),
        Request::Create(row) => ("create", Some(&row.key)),
        Request::Delete(row) => ("delete", Some(&row.key)),
        Request::Report(_) => ("report", None),
        Request::Forget { .. } => ("forget", None),
        Request::Lock(_) => ("lock", None),
        Request::Claim(_) => ("claim", None),
    };
    let span = debug_span!("lease_table", what, lease_key = Empty, outcome = Empty, took = Empty);
    if let Some(key) = key {
        span.record("lease_key", key.as_str());
    }
    span
}

fn word(change: &LeaseChange) -> &'static str {
    match change {
        LeaseChange::Renew { .. } => "renew",
        LeaseChange::Checkpoint { .. } => "checkpoint",
        LeaseChange::Prepare { .. } => "prepare",
        LeaseChange::Take { .. } => "take",
        LeaseChange::StartHandoff { .. } => "start_handoff",
        LeaseChange::Assign { .. } => "assign",
        LeaseChange::Evict { .. } => "evict",
        LeaseChange::Rewind { .. } => "rewind",
        LeaseChange::HashKeys { .. } => "hash_keys",
        LeaseChange::Children { .. } => "children",
    }
}

/// Completes the span of a request about leases.
pub(crate) fn end_of_leases(span: &Span, answer: &lease::Answer, took: Duration) {
    use lease::Answer;
    let outcome = match answer {
        Answer::Failed(Failure { code, .. }) => code.as_str(),
        Answer::Conflict(_) => "conflict",
        Answer::Written => "written",
        Answer::View { .. } | Answer::Keys(_) | Answer::Row(_) | Answer::Shards(_) | Answer::Described(_) => {
            "answered"
        }
    };
    span.record("outcome", outcome).record("took", debug(took));
}
