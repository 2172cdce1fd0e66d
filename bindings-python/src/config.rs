//! What a producer is told, by keyword arguments and by the KPL's options.

use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use shardflow_core::{Invalid, Stream};
use shardflow_producer::{AggregateSize, Config, ConfigKey, Ordering, RecordError, UnknownKey};

use crate::callbacks::{Callbacks, Word};
use crate::keywords::Keywords;
use crate::{aws, error};

/// Everything that a producer is made of.
pub(crate) struct Settings {
    pub(crate) client: Client,
    pub(crate) stream: Stream,
    pub(crate) config: Config,
    pub(crate) exit_timeout: Duration,
    /// Failures that nobody asked for, and that no `on_failure` was told.
    pub(crate) lost: Arc<AtomicU64>,
}

impl Settings {
    pub(crate) fn read(py: Python<'_>, stream: &str, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let stream: Stream = stream.parse().map_err(|wrong| error::invalid(&wrong))?;
        let keywords = Keywords::new(keywords)?;
        let config = options(Config::default(), &keywords)?;
        let config = limits(timing(packing(config, &keywords)?, &keywords)?, &keywords)?;
        let lost = Arc::default();
        let config = listen(config, &keywords, Arc::clone(&lost))?;
        let exit_timeout = keywords.seconds("exit_timeout")?.unwrap_or(EXIT_TIMEOUT);
        let access = aws::Access::read(&keywords)?;
        keywords.finish()?;
        let client = Client::new(&access.sdk_config(py)?);
        Ok(Self { client, stream, config, exit_timeout, lost })
    }
}

/// As long as a record lives by default, so that at exit each has had its chance.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The KPL's options, which come first: a keyword argument says more plainly what is meant.
fn options(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    for (name, text) in keywords.options()? {
        let key: ConfigKey =
            name.parse().map_err(|unknown: UnknownKey| error::unknown_option(&name, &text, &unknown))?;
        config = config.set(key, &text).map_err(|wrong| error::kpl_option(&wrong, &text))?;
    }
    Ok(config)
}

fn timing(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    if let Some(linger) = keywords.seconds("linger")? {
        config = config.linger(linger);
    }
    if let Some(ttl) = keywords.seconds("record_ttl")? {
        config = config.record_ttl(ttl);
    }
    if let Some(timeout) = keywords.seconds("request_timeout")? {
        config = config.request_timeout(timeout);
    }
    if let Some(timeout) = keywords.seconds("connect_timeout")? {
        config = config.connect_timeout(valid("connect_timeout", timeout.as_secs_f64(), timeout.try_into())?);
    }
    Ok(config)
}

fn packing(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    if let Some(aggregation) = keywords.take("aggregation")? {
        let rule = "True, False or the most bytes of an aggregate, 64 to 10485760";
        let wrong = || error::option("aggregation", &aggregation, rule);
        config = match aggregation.cast::<PyBool>() {
            Ok(flag) if flag.is_true() => config.aggregate(AggregateSize::default()),
            Ok(_) => config.aggregate(None),
            Err(_) => {
                let bytes: u64 = aggregation.extract().map_err(|_| wrong())?;
                config.aggregate(AggregateSize::try_from(bytes).map_err(|_| wrong())?)
            }
        };
    }
    if let Some(ordering) = keywords.take("ordering")? {
        let wrong = || error::option("ordering", &ordering, "'none' or 'per_key'");
        let text: String = ordering.extract().map_err(|_| wrong())?;
        config = match text.as_str() {
            "none" => config.ordering(Ordering::None),
            "per_key" => config.ordering(Ordering::PerKey),
            _ => return Err(wrong()),
        };
    }
    Ok(config)
}

fn limits(mut config: Config, keywords: &Keywords<'_>) -> PyResult<Config> {
    if let Some(bytes) = keywords.number("max_buffered_bytes")? {
        let size = usize::try_from(bytes).unwrap_or(usize::MAX).try_into();
        config = config.max_buffered_bytes(valid("max_buffered_bytes", bytes, size)?);
    }
    if let Some(bytes) = keywords.number("max_record_bytes")? {
        config = config.max_record_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    if let Some(count) = keywords.number("requests_in_flight")? {
        config = config.requests_in_flight(valid("requests_in_flight", count, count.try_into())?);
    }
    if let Some(percent) = keywords.number("rate_limit")? {
        config = config.rate_limit(valid("rate_limit", percent, percent.try_into())?);
    }
    if let Some(fail) = keywords.flag("fail_if_throttled")? {
        config = config.fail_if_throttled(fail);
    }
    Ok(config)
}

/// Where failures go that no ticket took: to the log, and to `on_failure` or else into the count of what is lost.
fn listen(config: Config, keywords: &Keywords<'_>, lost: Arc<AtomicU64>) -> PyResult<Config> {
    let callbacks = Callbacks::here();
    let call = keywords.take("on_failure")?;
    if let Some(other) = call.as_ref().filter(|call| !call.is_callable()) {
        return Err(error::option("on_failure", other, "a function of one RecordError"));
    }
    let call = call.map(|call| Arc::new(call.unbind()));
    Ok(config.on_failure(move |failure: RecordError| {
        let partition_key = failure.record().partition_key();
        tracing::warn!(target: "shardflow", error = %failure, %partition_key, "a record was not delivered");
        match &call {
            Some(call) => {
                callbacks.tell(Word::Failure { call: Arc::clone(call), error: Box::new(failure) });
            }
            None => {
                lost.fetch_add(1, atomic::Ordering::Relaxed);
            }
        }
    }))
}

fn valid<T>(name: &str, value: impl ToString, valid: Result<T, Invalid>) -> PyResult<T> {
    valid.map_err(|invalid| {
        let value = value.to_string();
        error::config(name, &value, &format!("{name} cannot be {value}: {}", invalid.rule()))
    })
}
