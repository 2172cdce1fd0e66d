//! The answer of GetRecords, read in one pass.
//!
//! The SDK copies all that it reads of an answer, byte by byte where it can have escapes, and copies it again when it makes its
//! types of it; records are megabytes. Here the body is taken away before the SDK reads it, and data is decoded from where
//! it lies. All else, from endpoint to the service's errors, is the SDK's.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use shardflow_core::{HashKeyRange, Invalid, KinesisRecord, PartitionKey, Shard};
use shardflow_engine::Failure;
use shardflow_engine::consume::Page;
use shardflow_sdk::unreadable;

/// Takes the body of an answer that is no error, and leaves the SDK one without records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(Arc<Mutex<Option<Taken>>>);

#[derive(Debug)]
struct Taken {
    body: SdkBody,
    length: usize,
}

impl Body {
    const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
    /// More than an answer of 10 MiB of data takes as text; room for more is made when there is more.
    const USUAL: usize = 16 << 20;

    /// The answer in it; nothing if it was left to the SDK.
    pub(crate) async fn read(&self) -> Option<Result<Page, Failure>> {
        let Taken { body, length } = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let mut text = Vec::with_capacity(length.min(Self::USUAL));
        let mut chunks = ByteStream::new(body);
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => text.extend_from_slice(&chunk),
                Err(error) => return Some(Err(Failure::unknown("Unreadable", error.to_string()))),
            }
        }
        Some(page(&text))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Body {
    fn name(&self) -> &'static str {
        "Body"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let is_json = response.headers().get("content-type") == Some(Self::CONTENT_TYPE);
        if response.status().is_success() && is_json {
            let length = response.headers().get("content-length").and_then(|length| length.parse().ok());
            let body = std::mem::replace(response.body_mut(), SdkBody::from(r#"{"Records":[]}"#));
            let taken = Taken { body, length: length.unwrap_or_default() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        }
        Ok(())
    }
}

fn page(text: &[u8]) -> Result<Page, Failure> {
    let answer: Answer<'_> =
        serde_json::from_slice(text).map_err(|error| Failure::unknown("Unreadable", error.to_string()))?;
    answer.page().map_err(|error| unreadable(&error))
}

// Everything can be absent or null, as to the SDK.

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    records: Option<Vec<RecordShape<'a>>>,
    #[serde(borrow, default)]
    next_shard_iterator: Text<'a>,
    #[serde(default)]
    millis_behind_latest: Option<i64>,
    #[serde(borrow, default)]
    child_shards: Option<Vec<ChildShape<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordShape<'a> {
    #[serde(borrow, default)]
    sequence_number: Text<'a>,
    #[serde(default)]
    approximate_arrival_timestamp: Option<f64>,
    #[serde(borrow, default)]
    data: Text<'a>,
    #[serde(borrow, default)]
    partition_key: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShape<'a> {
    #[serde(borrow, default)]
    shard_id: Text<'a>,
    #[serde(borrow, default)]
    parent_shards: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    hash_key_range: RangeShape<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RangeShape<'a> {
    #[serde(borrow, default)]
    starting_hash_key: Text<'a>,
    #[serde(borrow, default)]
    ending_hash_key: Text<'a>,
}

/// Text where it lies, unless it has escapes. Null is none.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextReader).map(Self)
    }
}

struct TextReader;

impl<'de> Visitor<'de> for TextReader {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

impl Answer<'_> {
    fn page(self) -> Result<Page, Invalid> {
        let behind =
            self.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()).unwrap_or_default();
        let records = self.records.unwrap_or_default().into_iter().map(RecordShape::record);
        let children = self.child_shards.unwrap_or_default().into_iter().map(ChildShape::child);
        Ok(Page {
            records: records.collect::<Result<_, _>>()?,
            next: Some(self.next_shard_iterator.0.into_owned()).filter(|next| !next.is_empty()),
            behind: Duration::from_millis(behind),
            children: children.collect::<Result<_, _>>()?,
        })
    }
}

impl RecordShape<'_> {
    fn record(self) -> Result<KinesisRecord, Invalid> {
        let data = STANDARD.decode_to_vec(self.data.0.as_bytes());
        let data =
            data.map_err(|_| Invalid::new("data of a record", self.sequence_number.0.as_ref(), "is base64"))?;
        // Where the service distributes records by itself there need be no key.
        let key = Some(self.partition_key.0).filter(|key| !key.is_empty());
        Ok(KinesisRecord {
            sequence_number: self.sequence_number.0.parse()?,
            partition_key: key.map(|key| PartitionKey::as_written(Bytes::copy_from_slice(key.as_bytes()))),
            data: data.into(),
            approximate_arrival: self.approximate_arrival_timestamp.and_then(arrival),
        })
    }
}

impl ChildShape<'_> {
    fn child(self) -> Result<Shard, Invalid> {
        let RangeShape { starting_hash_key, ending_hash_key } = self.hash_key_range;
        let range = HashKeyRange::new(starting_hash_key.0.parse()?, ending_hash_key.0.parse()?)?;
        let mut shard = Shard::new(self.shard_id.0.parse()?, range);
        let mut parents = self.parent_shards.unwrap_or_default().into_iter();
        shard.parent = parents.next().map(|id| id.0.parse()).transpose()?;
        shard.adjacent_parent = parents.next().map(|id| id.0.parse()).transpose()?;
        Ok(shard)
    }
}

/// Seconds since 1970, which the service tells to the millisecond.
fn arrival(seconds: f64) -> Option<SystemTime> {
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = u64::try_from((whole + Duration::from_micros(500)).as_millis()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"SequenceNumber":"49","ApproximateArrivalTimestamp":1700000000.123,"Data":"aGVsbG8=","PartitionKey":"k"}"#;

    fn read(text: &str) -> Page {
        page(text.as_bytes()).unwrap()
    }

    #[test]
    fn records_are_read_with_what_they_have() {
        let page = read(&format!(
            r#"{{"MillisBehindLatest":1500,"NextShardIterator":"AAA=","Records":[{RECORD},{{"SequenceNumber":"50","Data":"","PartitionKey":null,"New":[1]}}]}}"#
        ));
        assert_eq!((page.next.as_deref(), page.behind), (Some("AAA="), Duration::from_millis(1500)));
        let [first, second] = &page.records[..] else { panic!("{page:?}") };
        assert_eq!((first.sequence_number.as_str(), &first.data[..]), ("49", &b"hello"[..]));
        assert_eq!(first.partition_key.as_ref().unwrap().as_str(), "k");
        let arrival = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!((first.approximate_arrival, second.approximate_arrival), (Some(arrival), None));
        assert!(second.data.is_empty() && second.partition_key.is_none());
    }

    #[test]
    fn the_end_of_a_shard_tells_its_children() {
        let child = r#"{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}"#;
        let page = read(&format!(r#"{{"Records":[],"NextShardIterator":null,"ChildShards":[{child}]}}"#));
        assert_eq!((page.next, page.children.len()), (None, 1));
        assert_eq!(page.children[0].parent.as_ref().unwrap().as_str(), "shardId-000000000000");
        assert_eq!(page.children[0].adjacent_parent, None);
        assert!(read(r#"{"ChildShards":null}"#).children.is_empty());
    }

    #[test]
    fn keys_keep_all_their_characters() {
        let page = read(
            r#"{"Records":[{"SequenceNumber":"1","Data":"","PartitionKey":"\u00e4\"\\\ud83d\ude00ä"}]}"#,
        );
        assert_eq!(page.records[0].partition_key.as_ref().unwrap().as_str(), "ä\"\\😀ä");
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for text in [
            "",
            "{",
            r#"{"Records":[{"SequenceNumber":"x","Data":""}]}"#,
            r#"{"Records":[{"SequenceNumber":"1","Data":"?"}]}"#,
        ] {
            assert_eq!(page(text.as_bytes()).unwrap_err().code, "Unreadable", "{text}");
        }
    }
}
