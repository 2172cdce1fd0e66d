//! GetRecords between the machine and JSON: the hot path of reading.

use base64_simd::STANDARD;
use bytes::Bytes;

use super::answer::{Protocol, to_json};
use super::endpoint::{Endpoint, Incoming, Reply};
use super::exchange::Applied;
use super::kinesis::{decode, iterated_stream};
use super::put_records::write_text;
use crate::control::Call;
use crate::kinesis::stamp::Stamp;
use crate::kinesis::{EncryptionType, GetRecordsRequest, GetRecordsResponse, ReadRecord};

impl Endpoint {
    pub(super) async fn get_records(&self, incoming: Incoming<'_>) -> Reply {
        let request: GetRecordsRequest = match decode(&incoming.body) {
            Ok(request) => request,
            Err(error) => return self.unread(&incoming, Protocol::Json11, &error.into()),
        };
        let stream = iterated_stream(&request);
        let Incoming { operation, region, body } = &incoming;
        let resource = stream.as_deref();
        let call = Call { operation: *operation, resource, region, at: self.clock.now(), body };
        self.carry_out(call, Protocol::Json11, |_| {
            let now = self.clock.now();
            let answer = self.regions.with(region, |kinesis| kinesis.get_records(now, request))?;
            Ok(Applied::fully(Protocol::Json11.answer(encode(&answer))))
        })
        .await
    }
}

fn encode(answer: &GetRecordsResponse) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + room_for(&answer.records));
    out.extend(br#"{"MillisBehindLatest":"#);
    out.extend(answer.millis_behind_latest.to_string().as_bytes());
    if let Some(next) = &answer.next_shard_iterator {
        out.extend(br#","NextShardIterator":"#);
        write_text(&mut out, next);
    }
    if let Some(children) = &answer.child_shards {
        out.extend(br#","ChildShards":"#);
        out.extend::<Bytes>(to_json(children));
    }
    out.extend(br#","Records":"#);
    write_records(&mut out, &answer.records, answer.encryption);
    out.push(b'}');
    out
}

pub(super) fn room_for(records: &[ReadRecord]) -> usize {
    // Names, 56 digits and a timestamp.
    const RECORD: usize = 180;
    records
        .iter()
        .map(|record| {
            let key = record.partition_key.as_ref().map_or(0, |key| key.as_bytes().len());
            RECORD + key + record.data.len().div_ceil(3) * 4
        })
        .sum()
}

/// Writes records as GetRecords and SubscribeToShard give them.
pub(super) fn write_records(out: &mut Vec<u8>, records: &[ReadRecord], encryption: EncryptionType) {
    out.push(b'[');
    for (place, record) in records.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_record(out, record, encryption);
    }
    out.push(b']');
}

fn write_record(out: &mut Vec<u8>, record: &ReadRecord, encryption: EncryptionType) {
    out.extend(br#"{"SequenceNumber":""#);
    record.sequence.write_to(out);
    let arrival = Stamp::of(record.arrival).millis();
    out.extend(br#"","ApproximateArrivalTimestamp":"#);
    out.extend(format!("{}.{:03}", arrival / 1000, arrival % 1000).as_bytes());
    out.extend(br#","Data":""#);
    STANDARD.encode_append(&record.data, out);
    out.push(b'"');
    if let Some(key) = &record.partition_key {
        out.extend(br#","PartitionKey":"#);
        write_text(out, key.as_str());
    }
    if encryption == EncryptionType::Kms {
        out.extend(br#","EncryptionType":"KMS""#);
    }
    out.push(b'}');
}
