//! The `shardflow-local` command: the service on a port until it is told to stop.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use shardflow_core::StreamName;
use shardflow_local::{Config, Limits, Listen, Local, Server, StartError};

/// Kinesis, DynamoDB and a CloudWatch sink on localhost, for tests and for trying things out.
///
/// Prints one line when it is ready. Point an AWS SDK at the URL in it; any credentials will do. Nothing is kept when it
/// stops.
#[derive(Debug, Parser)]
#[command(name = "shardflow-local", version)]
struct Arguments {
    /// Port to listen on; 0 takes any that is free
    #[arg(long, default_value_t = 4566)]
    port: u16,

    /// TLS with a certificate made at the start, for clients that speak nothing else (the KPL)
    #[arg(long)]
    tls: bool,

    /// Create a stream at the start; can be given several times
    #[arg(long = "stream", value_name = "NAME:SHARDS")]
    streams: Vec<NewStream>,

    /// Never throttle; sizes and lifetimes are limited all the same
    #[arg(long)]
    no_limits: bool,

    /// Region of --stream, and of requests that do not say theirs
    #[arg(long, default_value = "us-east-1")]
    region: String,

    /// Account in ARNs, twelve digits
    #[arg(long, default_value = "000000000000")]
    account: String,
}

/// A stream to be created at the start.
#[derive(Clone, Debug)]
struct NewStream {
    name: StreamName,
    shards: u32,
}

impl FromStr for NewStream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shards) = text.rsplit_once(':').ok_or("write NAME:SHARDS, as in orders:4")?;
        let name = name.parse().map_err(|error: shardflow_core::Invalid| error.to_string())?;
        match shards.parse() {
            Ok(shards @ 1..=Limits::SHARDS) => Ok(Self { name, shards }),
            Ok(_) | Err(_) => Err(format!("SHARDS is a number of 1 to {}", Limits::SHARDS)),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let port = arguments.port;
    // One thread: a million records a second fit it, and it has nothing to share.
    let run = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let wrong_argument = error
                .downcast_ref()
                .is_some_and(|error| matches!(error, StartError::Account { .. } | StartError::Region { .. }));
            complain(&explain(error.as_ref(), port));
            if wrong_argument { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let limits = if arguments.no_limits { Limits::unthrottled() } else { Limits::default() };
    let config = Config::default().region(arguments.region).account(arguments.account).limits(limits);
    let local = Local::new(config)?;
    for stream in &arguments.streams {
        local.create_stream(stream.name.as_str(), stream.shards)?;
    }
    let server = local.serve(Listen::default().port(arguments.port).tls(arguments.tls)).await?;
    // Before the ready line: whoever reads it may stop us at once.
    let stopped = stop_signal()?;
    announce(&server)?;
    stopped.await;
    server.shutdown().await;
    Ok(())
}

/// One line on standard output, which whoever started us may be waiting for; the certificate after it.
fn announce(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "shardflow-local is ready at {}", server.endpoint())?;
    if let Some(certificate) = server.certificate_pem() {
        write!(out, "{certificate}")?;
    }
    out.flush()
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// The error and what it comes from, and what to do about a busy port.
fn explain(error: &(dyn Error + 'static), port: u16) -> String {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if let Some(StartError::Listen { source, .. }) = error.downcast_ref()
        && source.kind() == io::ErrorKind::AddrInUse
    {
        text.push_str(&format!(
            "\nSomething listens on port {port} already. Stop it, choose another port with --port, or let --port 0 \
             find one."
        ));
    }
    text
}

fn complain(text: &str) {
    // If standard error is closed, nobody is left to be told.
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}
