//! A stand-in for Kinesis that takes records as fast as a machine can and keeps none: what producers are measured against.
//!
//! It speaks HTTP/1.1 over TLS to the AWS SDKs, and without TLS to whoever wants its counts.
#![forbid(unsafe_code)]

mod counts;
mod put_records;
mod service;
mod streams;

use std::error::Error;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::service::Service;

/// Prints one line when it is ready, with the URLs for SDKs and for `GET /stats` and `POST /reset`.
///
/// A stream is there when it is first named; one whose name ends in -16 has 16 shards.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port for SDKs; 0 takes any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where to write the certificate that clients have to trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Stop when standard input ends, and so with whoever started this
    #[arg(long)]
    until_eof: bool,
}

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    if let Some(file) = &arguments.ca {
        std::fs::write(file, made.cert.pem())?;
    }
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let sdks = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let counts = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // Tests and scripts wait for this line.
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "bench-sink is ready at https://{}, counts at http://{}",
        sdks.local_addr()?,
        counts.local_addr()?
    )?;
    drop(out);

    let service = Arc::new(Service::default());
    let mut listeners = JoinSet::new();
    listeners.spawn(listen(sdks, Some(acceptor), Arc::clone(&service)));
    listeners.spawn(listen(counts, None, service));
    if arguments.until_eof {
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    } else {
        listeners.join_all().await;
    }
    Ok(())
}

async fn listen(listener: TcpListener, acceptor: Option<TlsAcceptor>, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        // A peer that went away again, say: not the listener's end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (acceptor, service) = (acceptor.clone(), Arc::clone(&service));
        connections.spawn(async move {
            service.counts.connections.add(1);
            if stream.set_nodelay(true).is_err() {
                return;
            }
            match acceptor {
                None => converse(stream, service).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, service).await;
                    }
                }
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, service: Arc<Service>) {
    let answer = service_fn(|request| service.answer(request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    // How it ended is the client's affair.
    let _ended = connection.await.is_ok();
}
