//! The body of a PutRecords request, written once and straight into its place.
//!
//! The SDK copies each entry's data, makes text of it, and copies that into the body; here it is encoded where it is sent
//! from. All else, from endpoint to signature, is the SDK's.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use base64_simd::STANDARD;
use bytes::Bytes;
use shardflow_core::Stream;
use shardflow_engine::produce::PutEntry;

/// Puts a body in the place of the one that the SDK has made.
#[derive(Debug)]
pub(crate) struct Body(Bytes);

impl Body {
    const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

    pub(crate) fn new(stream: &Stream, entries: &[PutEntry], pages: &Arc<Pages>) -> Self {
        let mut text = pages.take();
        write(stream, entries, &mut text);
        Self(Bytes::from_owner(Page { text, pages: Arc::clone(pages) }))
    }
}

/// Buffers of bodies that have been sent, for the next ones. Megabytes that come and go with every request would be
/// spread over the arenas of all threads.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<Vec<Vec<u8>>>);

impl Pages {
    /// More are not kept.
    const MOST: usize = 4;

    fn take(&self) -> Vec<u8> {
        let mut text = self.lock().pop().unwrap_or_default();
        text.clear();
        text
    }

    fn keep(&self, text: Vec<u8>) {
        let mut pages = self.lock();
        if pages.len() < Self::MOST {
            pages.push(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that goes back where it came from.
struct Page {
    text: Vec<u8>,
    pages: Arc<Pages>,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pages.keep(std::mem::take(&mut self.text));
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Body {
    fn name(&self) -> &'static str {
        "Body"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        match request.headers().get("content-type") {
            Some(Self::CONTENT_TYPE) => {}
            other => return Err(format!("the client speaks {other:?}, not {}", Self::CONTENT_TYPE).into()),
        }
        request.headers_mut().insert("content-length", self.0.len().to_string());
        *request.body_mut() = SdkBody::from(self.0.clone());
        hash(&self.0, config);
        Ok(())
    }
}

/// Tells the SDK the digest that it signs, unless the client was told to sign another way.
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc"))]
fn hash(body: &[u8], config: &mut ConfigBag) {
    use aws_runtime::auth::PayloadSigningOverride;

    if config.load::<PayloadSigningOverride>().is_none() {
        let digest = PayloadSigningOverride::Precomputed(shardflow_sdk::sha256(body));
        config.interceptor_state().store_put(digest);
    }
}

/// The SDK does it by itself.
#[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc")))]
fn hash(_body: &[u8], _config: &mut ConfigBag) {}

fn write(stream: &Stream, entries: &[PutEntry], body: &mut Vec<u8>) {
    body.reserve(entries.iter().map(most_bytes).sum::<usize>() + AROUND);
    body.extend_from_slice(br#"{"Records":["#);
    for (place, entry) in entries.iter().enumerate() {
        body.extend_from_slice(if place == 0 { br#"{"Data":""# } else { br#",{"Data":""# });
        STANDARD.encode_append(&entry.data, body);
        body.push(b'"');
        if let Some(key) = entry.explicit_hash_key {
            infallible(write!(body, r#","ExplicitHashKey":"{key}""#));
        }
        if let Some(key) = &entry.partition_key {
            body.extend_from_slice(br#","PartitionKey":"#);
            infallible(serde_json::to_writer(&mut *body, key.as_str()));
        }
        body.push(b'}');
    }
    let (name, value) = match stream {
        Stream::Name(name) => ("StreamName", name.as_str()),
        Stream::Arn(arn) => ("StreamARN", arn.as_str()),
    };
    infallible(write!(body, r#"],"{name}":"{value}"}}"#));
}

/// Writing into memory.
fn infallible<E: std::fmt::Debug>(written: Result<(), E>) {
    written.expect("there is always room in a vector");
}

/// What an entry takes unless its key is all escapes.
fn most_bytes(entry: &PutEntry) -> usize {
    let key = entry.partition_key.as_ref().map_or(0, |key| key.as_bytes().len());
    STANDARD.encoded_length(entry.data.len()) + key + AROUND
}

/// More than the names, the longest hash key, and the longest ARN of a stream take.
const AROUND: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shardflow_core::{HashKey, PartitionKey};

    use super::*;

    fn entry(key: Option<&'static str>, hash_key: Option<u128>, data: &'static [u8]) -> PutEntry {
        PutEntry {
            partition_key: key.map(PartitionKey::from_static),
            explicit_hash_key: hash_key.map(HashKey),
            data: Bytes::from_static(data),
        }
    }

    fn written(stream: &str, entries: &[PutEntry]) -> Value {
        let mut body = Vec::new();
        write(&stream.parse().unwrap(), entries, &mut body);
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn entries_are_told_in_order_with_what_they_have() {
        let entries = [
            entry(Some("a"), Some(u128::MAX), b"hello"),
            entry(Some("b"), None, b""),
            entry(None, None, &[0xff, 0xfe, 0xfd]),
        ];
        let expected = json!({
            "Records": [
                {"Data": "aGVsbG8=", "ExplicitHashKey": "340282366920938463463374607431768211455", "PartitionKey": "a"},
                {"Data": "", "PartitionKey": "b"},
                {"Data": "//79"},
            ],
            "StreamName": "orders",
        });
        assert_eq!(written("orders", &entries), expected);
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        assert_eq!(written(arn, &[]), json!({"Records": [], "StreamARN": arn}));
    }

    #[test]
    fn keys_keep_all_their_characters() {
        for key in ["\"", "\\", "\u{0}\n\u{1f}", "ä€😀", "</script>", "\u{2028}\u{7f}"] {
            let body = written("s", &[entry(Some(key), None, b"x")]);
            assert_eq!(body["Records"][0]["PartitionKey"], key);
        }
    }

    #[test]
    fn a_body_is_written_without_being_moved() {
        let data = vec![7; 51_200];
        let entry = PutEntry { data: data.into(), ..entry(Some("a"), Some(u128::MAX), b"") };
        let entries = vec![entry; 100];
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders".parse().unwrap();
        let most = entries.iter().map(most_bytes).sum::<usize>() + AROUND;
        let mut body = Vec::new();
        write(&arn, &entries, &mut body);
        assert!(body.len() <= most && body.capacity() == most);
    }

    #[test]
    fn the_memory_of_a_body_that_was_sent_is_used_again() {
        let pages = Arc::default();
        let stream = "orders".parse().unwrap();
        let first = Body::new(&stream, &[entry(Some("a"), None, b"some")], &pages);
        let (place, text) = (first.0.as_ptr(), first.0.clone());
        drop(first);
        assert!(pages.lock().is_empty(), "it is still read");
        drop(text);
        let second = Body::new(&stream, &[entry(Some("a"), None, b"more")], &pages);
        assert_eq!(second.0.as_ptr(), place);
        assert_eq!(&second.0[21..25], b"bW9y");
    }
}
