//! Runs the conformance suite against a server: `cargo run -p shardflow-tests --bin conformance -- --endpoint URL --server
//! NAME`, or against our own service when no URL is given.
#![expect(clippy::print_stdout, reason = "this is what the command is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use clap::{Parser, ValueEnum};
use serde_json::json;
use shardflow_local::{Config, Limits, Listen, Local, Server, Service};
use shardflow_tests::conformance::{Deviations, Line, TOPICS, Tally, Target, Time, Verdict, run};

/// Checks whether a server does what AWS does.
///
/// Prints a line a check. Fails if a check fails that is not among the known deviations of the server, or passes
/// although it is.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server's URL. Without one, our own service is started for the run
    #[arg(long, value_name = "URL", requires = "server")]
    endpoint: Option<String>,

    /// The server's name in the table of deviations
    #[arg(long, value_name = "NAME", default_value = Target::OURS)]
    server: String,

    /// Services to check: kinesis, dynamodb, cloudwatch; those that the server has, if none is given
    #[arg(long, value_delimiter = ',')]
    services: Vec<ServiceName>,

    /// Only checks and topics whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Print each line as a JSON object
    #[arg(long)]
    json: bool,

    /// A certificate in PEM that is to be trusted
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The server throttles shards: check how
    #[arg(long, requires = "endpoint")]
    throttles: bool,

    /// The server has no SubscribeToShard
    #[arg(long, requires = "endpoint")]
    no_fan_out: bool,

    /// Longest time that a check may let pass on a server whose clock cannot be advanced, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    longest: u64,

    /// Longest time that a check may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceName {
    Kinesis,
    Dynamodb,
    Cloudwatch,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match check(Arguments::parse()).await {
        Ok(Tally { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            println!("error: {why}");
            ExitCode::from(2)
        }
    }
}

async fn check(arguments: Arguments) -> Result<Tally, String> {
    let known = Deviations::known()?;
    let patience = Duration::from_secs(arguments.timeout);
    let mut ours = Vec::new();
    let targets = match &arguments.endpoint {
        Some(endpoint) => {
            let time = if arguments.server == Target::OURS {
                Time::Admin
            } else {
                Time::Wall { longest: Duration::from_secs(arguments.longest) }
            };
            let target = Target::at(&arguments.server, endpoint, http(&arguments)?, time);
            vec![target.throttles(arguments.throttles).fan_out(!arguments.no_fan_out).patience(patience)]
        }
        None => {
            let mut targets = Vec::new();
            for throttles in [false, true] {
                let (target, server) = start(throttles).await?;
                ours.push(server);
                targets.push(target.patience(patience));
            }
            targets
        }
    };
    let mut tally = Tally::default();
    for topic in TOPICS.iter().filter(|topic| arguments.wants(topic.service)) {
        for check in topic.checks.iter().filter(|check| arguments.names(topic.name, check.name)) {
            let line = run(topic, check, &targets, &known).await;
            tally.count(&line.verdict);
            arguments.print(&line);
        }
    }
    match arguments.json {
        false => println!("{tally}"),
        true => {
            let Tally { passed, failed, deviations, left_out } = tally;
            let sum = json!({ "passed": passed, "failed": failed, "known_deviations": deviations, "left_out": left_out });
            println!("{sum}");
        }
    }
    Ok(tally)
}

/// Starts our own service on a port. Its changes take long enough to be seen; its clock is put forward meanwhile.
async fn start(throttles: bool) -> Result<(Target, Server), String> {
    let limits = if throttles { Limits::default() } else { Limits::unthrottled() };
    let config = Config::default().limits(limits).transition(Duration::from_millis(500));
    let local = Local::new(config).map_err(|error| error.to_string())?;
    let server = local.serve(Listen::default()).await.map_err(|error| error.to_string())?;
    Ok((Target::ours(&local, server.endpoint(), Builder::new().build_http(), throttles), server))
}

fn http(arguments: &Arguments) -> Result<SharedHttpClient, String> {
    let tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let Some(file) = &arguments.ca else { return Ok(tls.build_https()) };
    let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let trust = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trust).build().map_err(|error| error.to_string())?;
    Ok(tls.tls_context(context).build_https())
}

impl Arguments {
    fn wants(&self, service: Service) -> bool {
        if self.services.is_empty() {
            return Target::services_of(&self.server).contains(&service);
        }
        self.services.iter().any(|name| match name {
            ServiceName::Kinesis => service == Service::Kinesis,
            ServiceName::Dynamodb => service == Service::DynamoDb,
            ServiceName::Cloudwatch => service == Service::CloudWatch,
        })
    }

    fn names(&self, topic: &str, check: &str) -> bool {
        self.only.as_deref().is_none_or(|only| topic.contains(only) || check.contains(only))
    }

    fn print(&self, line: &Line) {
        if !self.json {
            println!("{line}");
            return;
        }
        let (verdict, detail) = match &line.verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Failed { why } => ("failed", Some(why)),
            Verdict::Deviates { why, .. } => ("deviates", Some(why)),
            Verdict::LeftOut { reason } => ("left out", Some(reason)),
        };
        println!(
            "{}",
            json!({
                "topic": line.topic,
                "check": line.check,
                "verdict": verdict,
                "detail": detail,
                "seconds": line.took.as_secs_f64(),
            })
        );
    }
}
