//! The service as an SDK's HTTP client: no socket, no serialised bytes on a wire, and a paused clock works.

use std::io;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;

use crate::http::{Body, Endpoint, Reply};

/// Makes a client that hands requests to the service.
pub(crate) fn http_client(endpoint: Arc<Endpoint>) -> SharedHttpClient {
    SharedHttpClient::new(InProcess { endpoint })
}

#[derive(Clone, Debug)]
struct InProcess {
    endpoint: Arc<Endpoint>,
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let endpoint = Arc::clone(&self.endpoint);
        HttpConnectorFuture::new(exchange(endpoint, request))
    }
}

async fn exchange(endpoint: Arc<Endpoint>, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let body = match body.bytes() {
        Some(bytes) => bytes::Bytes::copy_from_slice(bytes),
        None => body.collect().await.map_err(ConnectorError::user)?.to_bytes(),
    };
    match endpoint.handle(http::Request::from_parts(head, body)).await {
        Reply::Answer(response) => {
            let response = response.map(|body| match body {
                Body::Full(bytes) => SdkBody::from(bytes),
                events @ Body::Events(_) => SdkBody::from_body_1_x(events),
            });
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        }
        Reply::Cut => {
            let cut = io::Error::new(io::ErrorKind::ConnectionReset, "the connection was cut on request");
            Err(ConnectorError::io(cut.into()))
        }
    }
}
