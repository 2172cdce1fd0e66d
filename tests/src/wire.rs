//! An HTTP client that stands between an SDK's client and another, and sees or answers what goes through.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;

/// Asks about each request; what it is given besides is the way on.
type Ask = dyn Fn(HttpRequest, SharedHttpConnector) -> HttpConnectorFuture + Send + Sync;

/// A client that asks about each request of `inner`'s.
pub fn between(
    inner: SharedHttpClient,
    ask: impl Fn(HttpRequest, SharedHttpConnector) -> HttpConnectorFuture + Send + Sync + 'static,
) -> SharedHttpClient {
    SharedHttpClient::new(Between { inner, ask: Arc::new(ask) })
}

/// The operation that a request asks for.
#[must_use]
pub fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// Who has signed it, for which day, region and service: `<access key>/<date>/<region>/kinesis/aws4_request`.
#[must_use]
pub fn credential(request: &HttpRequest) -> &str {
    let signature = request.headers().get("authorization").unwrap_or_default();
    let credential = signature.split_once("Credential=").map_or("", |(_, rest)| rest);
    credential.split(',').next().unwrap_or_default()
}

/// An answer in the protocol of Kinesis.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot: the tests name valid states only")]
pub fn answer(status: u16, body: String) -> HttpResponse {
    let status = status.try_into().expect("a status that exists");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.1");
    response
}

/// The answer with its body in one piece, and that body.
///
/// # Errors
///
/// When the rest of it does not come.
pub async fn collect(mut response: HttpResponse) -> Result<(HttpResponse, Bytes), ConnectorError> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?;
    let body = body.into_bytes();
    *response.body_mut() = SdkBody::from(body.clone());
    Ok((response, body))
}

#[derive(Clone)]
struct Between {
    inner: SharedHttpClient,
    ask: Arc<Ask>,
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl HttpClient for Between {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let on = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Asking { on, ask: Arc::clone(&self.ask) })
    }
}

struct Asking {
    on: SharedHttpConnector,
    ask: Arc<Ask>,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("on", &self.on).finish_non_exhaustive()
    }
}

impl HttpConnector for Asking {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.ask)(request, self.on.clone())
    }
}
