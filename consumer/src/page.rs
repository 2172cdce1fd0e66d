//! The answer of GetRecords, read while it comes in.
//!
//! The SDK collects an answer, copies all that it reads of it, byte by byte where it can have escapes, and copies it again when
//! it makes its types of it; records are megabytes. Here the body is taken away before the SDK reads it, and data is decoded
//! from where the connection has left it. All else, from endpoint to the service's errors, is the SDK's.

mod cut;

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

use self::cut::Cutter;

/// Takes the body of an answer that is no error, and leaves the SDK one without records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(Arc<Mutex<Option<Taken>>>);

#[derive(Debug)]
struct Taken(SdkBody);

impl Body {
    const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

    /// The answer in it; nothing if it was left to the SDK.
    pub(crate) async fn read(&self) -> Option<Result<Page, Failure>> {
        let Taken(body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(read(ByteStream::new(body)).await)
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
            let body = std::mem::replace(response.body_mut(), SdkBody::from(r#"{"Records":[]}"#));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Taken(body));
        }
        Ok(())
    }
}

async fn read(mut chunks: ByteStream) -> Result<Page, Failure> {
    let mut page = Reader::default();
    while let Some(chunk) = chunks.next().await {
        page.take(&chunk.map_err(|error| Failure::unknown("Unreadable", error.to_string()))?)?;
    }
    page.finish()
}

/// An answer of which a part has come.
#[derive(Default)]
struct Reader {
    cutter: Cutter,
    records: Vec<KinesisRecord>,
}

impl Reader {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let Self { cutter, records } = self;
        cutter.take(chunk, |text| {
            let record: RecordShape<'_> = parsed(text)?;
            records.push(record.record().map_err(|error| unreadable(&error))?);
            Ok(())
        })
    }

    /// All has come.
    fn finish(self) -> Result<Page, Failure> {
        let rest = self.cutter.rest();
        let answer: Answer<'_> = parsed(&rest)?;
        answer.page(self.records).map_err(|error| unreadable(&error))
    }
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| Failure::unknown("Unreadable", error.to_string()))
}

// Everything can be absent or null, as to the SDK.

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    /// Where each record was that has been cut out.
    #[serde(default)]
    records: Option<Vec<()>>,
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
    data: Option<Raw<'a>>,
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

/// Text of which nobody asks whether it is UTF-8, where it lies, unless it has escapes.
struct Raw<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(RawReader).map(Self)
    }
}

struct RawReader;

impl<'de> Visitor<'de> for RawReader {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or null")
    }

    fn visit_borrowed_bytes<E>(self, text: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl Answer<'_> {
    fn page(self, records: Vec<KinesisRecord>) -> Result<Page, Invalid> {
        let behind =
            self.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()).unwrap_or_default();
        let places = self.records.unwrap_or_default().len();
        if places != records.len() {
            return Err(Invalid::new("the records of an answer", places, "objects, all of them"));
        }
        let children = self.child_shards.unwrap_or_default().into_iter().map(ChildShape::child);
        Ok(Page {
            records,
            next: Some(self.next_shard_iterator.0.into_owned()).filter(|next| !next.is_empty()),
            behind: Duration::from_millis(behind),
            children: children.collect::<Result<_, _>>()?,
        })
    }
}

impl RecordShape<'_> {
    fn record(self) -> Result<KinesisRecord, Invalid> {
        let data = STANDARD.decode_to_vec(self.data.as_ref().map_or(&[][..], |data| &data.0));
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

    fn page(text: &[u8]) -> Result<Page, Failure> {
        let mut reader = Reader::default();
        reader.take(text)?;
        reader.finish()
    }

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
    fn it_does_not_matter_where_an_answer_is_cut_on_its_way() {
        let text = format!(
            r#" {{ "New" : [{{"Records":[1]}}], "Records" : [ {RECORD} , {{"Data":"a\/8=","PartitionKey":"}}\"]\\","SequenceNumber":"50"}}],"NextShardIterator":"\"Records\":["}} "#
        );
        let whole = read(&text);
        assert_eq!((whole.records.len(), whole.next.as_deref()), (2, Some("\"Records\":[")));
        assert_eq!(whole.records[1].partition_key.as_ref().unwrap().as_str(), "}\"]\\");
        assert_eq!(whole.records[1].data[..], [0x6b, 0xff]);
        for length in 1..text.len() {
            let mut reader = Reader::default();
            text.as_bytes().chunks(length).for_each(|chunk| reader.take(chunk).unwrap());
            let page = reader.finish().unwrap();
            assert_eq!((page.records, page.next), (whole.records.clone(), whole.next.clone()), "{length}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for text in [
            "",
            "{",
            r#"{"Records":[{"SequenceNumber":"x","Data":""}]}"#,
            r#"{"Records":[{"SequenceNumber":"1","Data":"?"}]}"#,
            r#"{"Records":[{"SequenceNumber":"1","Data":""}{"SequenceNumber":"2","Data":""}]}"#,
            r#"{"Records":[{"SequenceNumber":"1","Data":""}"#,
            r#"{"Records":[null]}"#,
            r#"{"Records":[{"SequenceNumber":"1","Data":""},7]}"#,
        ] {
            assert_eq!(page(text.as_bytes()).unwrap_err().code, "Unreadable", "{text}");
        }
    }
}
