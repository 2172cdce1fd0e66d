//! PutRecords and PutRecord between JSON and the machine: the hot path of writing.
//!
//! Text is borrowed from the body, all data of a request is decoded into one allocation that its records share, and the
//! answer is written into one buffer.

use std::borrow::Cow;

use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use shardflow_core::{HashKey, PartitionKey};

use super::answer::{Protocol, Refusal};
use super::endpoint::{Endpoint, Incoming, Reply};
use super::exchange::{Applied, FailingEntries};
use super::kinesis::{stream_in_arn, unreadable};
use crate::control::Call;
use crate::kinesis::{
    EncryptionType, ErrorCode, KinesisError, PutRecordRequest, PutRecordsEntry, PutRecordsRequest,
    PutRecordsResponse, PutRecordsResult, StreamRef, request,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
    #[serde(default)]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN", default)]
    stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow, default)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Text<'a>>,
    #[serde(default)]
    sequence_number_for_ordering: Option<String>,
    #[serde(default)]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN", default)]
    stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow, default)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Text<'a>>,
}

impl Entry<'_> {
    fn key_bytes(&self) -> &[u8] {
        self.partition_key.as_ref().map_or(&[], |key| key.0.as_bytes())
    }
}

/// Text borrowed from the body where it has no escapes. A type of its own, since an `Option<Cow<str>>` never borrows.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Endpoint {
    pub(super) async fn put_records(&self, incoming: Incoming<'_>) -> Reply {
        let request = match decode(&incoming.body) {
            Ok(request) => request,
            Err(error) => return self.unread(&incoming, Protocol::Json11, &error.into()),
        };
        let stream = named(&request.stream).map(str::to_owned);
        let Incoming { operation, region, body } = &incoming;
        let resource = stream.as_deref();
        let call = Call { operation: *operation, resource, region, at: self.clock.now(), body };
        self.carry_out(call, Protocol::Json11, |failing| {
            let response = self.put(region, request, failing)?;
            if let Some(stream) = resource {
                self.regions.wake(region, stream);
            }
            let failed_entries = response.failed_record_count();
            let response = Protocol::Json11.answer(encode(&response, failed_entries));
            Ok(Applied { response, failed_entries })
        })
        .await
    }

    fn put(
        &self,
        region: &str,
        mut request: PutRecordsRequest,
        failing: Option<FailingEntries>,
    ) -> Result<PutRecordsResponse, Refusal> {
        let now = self.clock.now();
        let put = |request| self.regions.with(region, |kinesis| kinesis.put_records(now, request));
        let Some(FailingEntries { entries, code }) = failing else { return Ok(put(request)?) };

        let mut places = 0..;
        let mut failed = Vec::new();
        request.records.retain(|entry| {
            let place = places.next().unwrap_or_default();
            let picked = entries.picks(place, entry.partition_key.as_ref().map(PartitionKey::as_str));
            if picked {
                failed.push(place);
            }
            !picked
        });
        let mut response = if request.records.is_empty() {
            PutRecordsResponse { records: Vec::new(), encryption: EncryptionType::None }
        } else {
            put(request)?
        };
        for place in failed {
            let message = "failed on request".to_owned();
            response.records.insert(place, PutRecordsResult::Failed { code: code.clone(), message });
        }
        Ok(response)
    }
}

/// Reads a PutRecord request.
pub(super) fn decode_one(body: &[u8]) -> Result<PutRecordRequest, KinesisError> {
    let one: One<'_> = parse(body)?;
    let entry =
        Entry { data: one.data, partition_key: one.partition_key, explicit_hash_key: one.explicit_hash_key };
    let record = entries(vec![entry])?.pop().expect("one went in");
    Ok(PutRecordRequest {
        stream: StreamRef { stream_name: one.stream_name, stream_arn: one.stream_arn },
        record,
        sequence_number_for_ordering: one.sequence_number_for_ordering,
    })
}

fn decode(body: &[u8]) -> Result<PutRecordsRequest, KinesisError> {
    let request: Request<'_> = parse(body)?;
    let stream = StreamRef { stream_name: request.stream_name, stream_arn: request.stream_arn };
    Ok(PutRecordsRequest { stream, records: entries(request.records)? })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, KinesisError> {
    // Checked as a whole, which is faster than string by string.
    let text = std::str::from_utf8(body)
        .map_err(|error| KinesisError::new(ErrorCode::Serialization, error.to_string()))?;
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn entries(entries: Vec<Entry<'_>>) -> Result<Vec<PutRecordsEntry>, KinesisError> {
    let room = entries.iter().map(|entry| entry.data.0.len() / 4 * 3 + entry.key_bytes().len()).sum();
    let mut arena = Vec::with_capacity(room);
    let mut ends = Vec::with_capacity(entries.len());
    for entry in &entries {
        STANDARD
            .decode_append(entry.data.0.as_bytes(), &mut arena)
            .map_err(|_| KinesisError::new(ErrorCode::Serialization, "Data is not base64"))?;
        let data = arena.len();
        arena.extend(entry.key_bytes());
        ends.push((data, arena.len()));
    }
    let arena = Bytes::from(arena);
    let mut start = 0;
    entries
        .iter()
        .zip(ends)
        .map(|(entry, (data, end))| {
            let key = entry.partition_key.as_ref().map(|_| PartitionKey::as_written(arena.slice(data..end)));
            let explicit_hash_key =
                entry.explicit_hash_key.as_ref().map(|key| hash_key(&key.0)).transpose()?;
            let data = arena.slice(start..data);
            start = end;
            Ok(PutRecordsEntry { data, partition_key: key, explicit_hash_key })
        })
        .collect()
}

fn hash_key(text: &str) -> Result<HashKey, KinesisError> {
    request::hash_key(text, "explicitHashKey")?.ok_or_else(|| {
        KinesisError::invalid_argument(format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
        ))
    })
}

fn named(stream: &StreamRef) -> Option<&str> {
    stream.stream_name.as_deref().or_else(|| stream.stream_arn.as_deref().and_then(stream_in_arn))
}

fn encode(response: &PutRecordsResponse, failed: usize) -> Vec<u8> {
    // An entry is two names, 56 digits and a shard id.
    const ENTRY: usize = 130;
    let mut out = Vec::with_capacity(64 + response.records.len() * ENTRY);
    out.extend(br#"{"FailedRecordCount":"#);
    out.extend(failed.to_string().as_bytes());
    if response.encryption == EncryptionType::Kms {
        out.extend(br#","EncryptionType":"KMS""#);
    }
    out.extend(br#","Records":["#);
    for (place, record) in response.records.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match record {
            PutRecordsResult::Stored { shard, sequence } => {
                out.extend(br#"{"SequenceNumber":""#);
                sequence.write_to(&mut out);
                out.extend(br#"","ShardId":""#);
                out.extend(shard.as_str().as_bytes());
                out.extend(br#""}"#);
            }
            PutRecordsResult::Failed { code, message } => {
                out.extend(br#"{"ErrorCode":"#);
                write_text(&mut out, code);
                out.extend(br#","ErrorMessage":"#);
                write_text(&mut out, message);
                out.push(b'}');
            }
        }
    }
    out.extend(b"]}");
    out
}

/// Writes text as JSON does, with quotes and escapes.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}
