//! The service on a loopback port: HTTP/1.1 and HTTP/2, plain or over TLS.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::StartError;
use crate::http::{Body, Endpoint, Reply};
use crate::tls::Certificate;

/// Where and how to listen. The address is always the loopback one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listen {
    port: u16,
    tls: bool,
}

impl Listen {
    /// The port. Default: 0, any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// TLS, with a certificate for `localhost` and `127.0.0.1` made at the start. Default: off. For clients that speak
    /// nothing else, such as the KPL, and for HTTP/2 with those SDKs that negotiate it only there.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }
}

/// A listening service. It stops when this is dropped; connections are cut then.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    port: u16,
    certificate: Option<Certificate>,
    tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(endpoint: Arc<Endpoint>, listen: Listen) -> Result<Self, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port));
        let refused = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let certificate = listen.tls.then(Certificate::make).transpose()?;
        let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let scheme = if listen.tls { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, endpoint));
        Ok(Self { endpoint: format!("{scheme}://127.0.0.1:{port}"), port, certificate, tasks })
    }

    /// The URL to give to an SDK as its endpoint, such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that a client has to trust, in PEM; none without TLS.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(Certificate::pem)
    }

    /// Stops listening and cuts every connection. When it returns, the port is free.
    ///
    /// Cancel safe: what it has not stopped, the drop does.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, endpoint: Arc<Endpoint>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            // The set would otherwise keep every connection that ever was.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&endpoint)));
                }
                // Out of file descriptors, or the peer went away again: neither is the listener's end.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, endpoint: Arc<Endpoint>) {
    // Answers are written whole: waiting for more to send would only delay them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match acceptor {
        None => converse(stream, endpoint).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, endpoint).await;
            }
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, endpoint: Arc<Endpoint>) {
    let cut = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (endpoint, cut) = (Arc::clone(&endpoint), Arc::clone(&cut));
        async move { Ok::<_, Infallible>(answer(&endpoint, request, &cut).await) }
    });
    let mut builder = auto::Builder::new(Streams::default());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MULTIPLEXED);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = cut.notified() => {}
        // How it ended is the client's affair.
        _ = connection => {}
    }
}

/// Requests at a time on one HTTP/2 connection: a subscription to each of many shards goes through one.
const MULTIPLEXED: u32 = 10_000;

/// Most bytes of a request: ten MiB of records in base64, and room for keys.
const REQUEST_BYTES: usize = 32 << 20;

async fn answer(
    endpoint: &Endpoint,
    request: hyper::Request<Incoming>,
    cut: &Notify,
) -> hyper::Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, REQUEST_BYTES).collect().await else {
        let mut response = hyper::Response::new(Body::Full(Bytes::new()));
        *response.status_mut() = hyper::StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    match endpoint.handle(hyper::Request::from_parts(head, body.to_bytes())).await {
        Reply::Answer(response) => response,
        Reply::Cut => {
            cut.notify_one();
            std::future::pending().await
        }
    }
}

/// Runs the requests of an HTTP/2 connection, and ends them with it.
#[derive(Clone, Debug, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().expect("nothing panics while it holds the tasks");
        while tasks.try_join_next().is_some() {}
        tasks.spawn(future);
    }
}
