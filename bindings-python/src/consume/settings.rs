//! What a consumer is told, by keyword arguments and by the KCL's options.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::Client;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use shardflow_consumer::{
    Config, ConfigKey, DynamoDbLeases, FanOutConsumer, InitialPosition, Invalid, Retrieval, Stream, Streams,
    TableName, UnknownKey,
};

use crate::keywords::Keywords;
use crate::{aws, error};

/// Everything that a consumer is made of.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) kinesis: Client,
    pub(crate) leases: DynamoDbLeases,
    pub(crate) source: Source,
    pub(crate) config: Config,
    pub(crate) application: String,
    pub(crate) checkpoint_on_next: bool,
    pub(crate) exit_timeout: Duration,
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    One(Stream),
    Several(Streams),
}

impl Source {
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::One(stream) => vec![stream.to_string()],
            Self::Several(streams) => {
                streams.list().into_iter().map(|(stream, _)| stream.to_string()).collect()
            }
        }
    }
}

impl Settings {
    pub(crate) fn read(
        py: Python<'_>,
        streams: &Bound<'_, PyAny>,
        application: &str,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let source = source(streams)?;
        let table: TableName = application.parse().map_err(|wrong| error::invalid(&wrong))?;
        let keywords = Keywords::new(keywords)?;
        let config = options(Config::default(), &keywords)?;
        let config = limits(timing(reading(config, &keywords)?, &keywords)?, &keywords)?;
        let checkpoint_on_next = match choice(&keywords, "checkpoint", "'manual' or 'on_next'")?.as_deref() {
            None | Some("manual") => false,
            Some("on_next") => true,
            Some(other) => return Err(not_a_choice("checkpoint", other, "'manual' or 'on_next'")),
        };
        let exit_timeout = keywords.seconds("exit_timeout")?.unwrap_or(EXIT_TIMEOUT);
        let dynamodb_endpoint = keywords.text("dynamodb_endpoint_url")?;
        let access = aws::Access::read(&keywords)?;
        keywords.finish()?;
        let sdk = access.sdk_config(py)?;
        // Connections of their own: what keeps the leases must not wait for what reads.
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk).http_client(aws::http_client());
        if let Some(url) = dynamodb_endpoint {
            dynamodb = dynamodb.endpoint_url(url);
        }
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.build());
        Ok(Self {
            kinesis: Client::new(&sdk),
            leases: DynamoDbLeases::new(dynamodb, table),
            source,
            config,
            application: application.to_owned(),
            checkpoint_on_next,
            exit_timeout,
        })
    }
}

/// As a producer's: long enough for most batches.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A name or ARN, or several of them.
fn source(streams: &Bound<'_, PyAny>) -> PyResult<Source> {
    let stream = |name: &str| name.parse::<Stream>().map_err(|wrong| error::invalid(&wrong));
    if let Ok(one) = streams.cast::<PyString>() {
        return Ok(Source::One(stream(one.to_str()?)?));
    }
    let wrong = |_| error::option("streams", streams, "a stream's name or ARN, or a list of them");
    let names: Vec<String> = streams.extract().map_err(wrong)?;
    let names = names.iter().map(|name| stream(name)).collect::<PyResult<Vec<_>>>()?;
    Ok(Source::Several(Streams::new(names)))
}

/// The KCL's options, which come first: a keyword argument says more plainly what is meant.
fn options(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    for (name, text) in keywords.options()? {
        let key: ConfigKey =
            name.parse().map_err(|unknown: UnknownKey| error::unknown_option(&name, &text, &unknown))?;
        config = config.set(key, &text).map_err(|wrong| error::kcl_option(&wrong, &text))?;
    }
    Ok(config)
}

/// What is read, from where, and by which way.
fn reading(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    if let Some(start) = keywords.take("start")? {
        config = config.initial_position(position(&start)?);
    }
    let rule = "'polling', 'fan_out' or 'auto'";
    let consumer = match keywords.text("fan_out_consumer")? {
        Some(name) => name.parse().map_err(|wrong: Invalid| error::invalid(&wrong))?,
        None => FanOutConsumer::Application,
    };
    if let Some(retrieval) = choice(keywords, "retrieval", rule)? {
        config = config.retrieval(match retrieval.as_str() {
            "polling" => Retrieval::Polling,
            "fan_out" => Retrieval::FanOut { consumer },
            "auto" => Retrieval::Auto { consumer },
            other => return Err(not_a_choice("retrieval", other, rule)),
        });
    }
    Ok(config)
}

fn position(start: &Bound<'_, PyAny>) -> PyResult<InitialPosition> {
    let wrong = || error::option("start", start, "'TRIM_HORIZON', 'LATEST' or a datetime with a time zone");
    if let Ok(text) = start.extract::<String>() {
        return match text.as_str() {
            "TRIM_HORIZON" => Ok(InitialPosition::TrimHorizon),
            "LATEST" => Ok(InitialPosition::Latest),
            _ => Err(wrong()),
        };
    }
    // One without a time zone would be another moment on another host.
    let zone = start.getattr("tzinfo").map_err(|_| wrong())?;
    if zone.is_none() {
        return Err(wrong());
    }
    let seconds: f64 = start.call_method0("timestamp")?.extract()?;
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    let at: Option<SystemTime> = UNIX_EPOCH.checked_add(since);
    at.map(InitialPosition::AtTimestamp).ok_or_else(wrong)
}

fn timing(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    if let Some(time) = keywords.seconds("failover_time")? {
        config = config.failover_time(time);
    }
    if let Some(time) = keywords.seconds("idle_time_between_reads")? {
        config = config.idle_time_between_reads(time);
    }
    if let Some(time) = keywords.seconds("request_timeout")? {
        config = config.request_timeout(time);
    }
    if let Some(time) = keywords.seconds("start_within")? {
        config = config.start_within(time);
    }
    if let Some(time) = keywords.seconds("unhealthy_after")? {
        config = config.unhealthy_after(time);
    }
    if let Some(time) = keywords.seconds("warn_after")? {
        config = config.warn_after(time);
    }
    Ok(config)
}

fn limits(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    let count = |name: &str| -> PyResult<Option<usize>> {
        Ok(keywords.number(name)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    };
    if let Some(bytes) = count("max_buffered_bytes")? {
        config = config.max_buffered_bytes(bytes);
    }
    if let Some(leases) = count("max_leases")? {
        config = config.max_leases(leases);
    }
    if let Some(records) = count("max_records")? {
        config = config.max_records(records);
    }
    if let Some(batches) = count("read_ahead")? {
        config = config.read_ahead(batches);
    }
    if let Some(id) = keywords.text("worker_id")? {
        config = config.worker_id(id.parse().map_err(|wrong: Invalid| error::invalid(&wrong))?);
    }
    Ok(config)
}

fn choice(keywords: &Keywords<'_>, name: &str, rule: &str) -> PyResult<Option<String>> {
    let Some(value) = keywords.take(name)? else { return Ok(None) };
    value.extract().map(Some).map_err(|_| error::option(name, &value, rule))
}

fn not_a_choice(name: &str, value: &str, rule: &str) -> PyErr {
    error::config(name, value, &format!("{name} cannot be {value:?}: it takes {rule}"))
}
