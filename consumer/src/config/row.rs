//! What is known of each of the KCL's options, and how text becomes its value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use shardflow_sdk::Takes::{self, Flag, OneOf, Text};

use super::{Config, ConfigKey};
use crate::{ConfigError, DynamoDbLeases, UnknownKey};

/// Where an option of the KCL counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applies {
    /// In the consumer: [`Config::set`] takes it.
    Consumer,
    /// In the lease table: [`DynamoDbLeases::set`] takes it.
    Table,
    /// In a call of this library; says in which.
    Call(&'static str),
    /// In the SDK's clients that consumer and lease table are given; says how.
    Client(&'static str),
    /// In whatever publishes the metrics; says how.
    Publisher(&'static str),
    /// Nowhere; says why.
    Nowhere(&'static str),
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => f.write_str("set on the consumer's configuration"),
            Self::Table => f.write_str("set on the lease table"),
            Self::Call(how) => write!(f, "set in code: {how}"),
            Self::Client(how) => write!(f, "set on the SDK's client: {how}"),
            Self::Publisher(how) => write!(f, "set on the publisher of metrics: {how}"),
            Self::Nowhere(why) => write!(f, "of no use here: {why}"),
        }
    }
}

impl ConfigKey {
    /// Where it counts.
    #[must_use]
    pub fn applies(self) -> Applies {
        match self.row() {
            Row::Own { .. } => Applies::Consumer,
            Row::Table { .. } => Applies::Table,
            Row::Elsewhere { applies, .. } => applies,
        }
    }

    /// What it is unless it is set, as text; nothing if that is no text, or if it does not count here.
    #[must_use]
    pub fn default_text(self) -> Option<&'static str> {
        match self.row() {
            Row::Own { default, .. } | Row::Table { default, .. } => Some(default),
            Row::Elsewhere { .. } => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// What it is with the KCL, as text; nothing if that is no text.
    #[must_use]
    pub fn kcl_default_text(self) -> Option<&'static str> {
        let (Row::Own { kcl, .. } | Row::Table { kcl, .. } | Row::Elsewhere { kcl, .. }) = self.row();
        Some(kcl).filter(|text| !text.is_empty())
    }

    /// What text it takes.
    pub(crate) fn accepts(self) -> String {
        match self.row() {
            Row::Own { takes, .. } => takes.to_string(),
            Row::Table { takes, .. } => takes.to_string(),
            Row::Elsewhere { .. } => String::new(),
        }
    }

    /// Sets it, if it is the consumer's.
    pub(super) fn apply_to_config(self, config: Config, text: &str) -> Result<Config, ConfigError> {
        match self.row() {
            Row::Own { takes, .. } => self.apply(takes, config, text),
            Row::Table { .. } | Row::Elsewhere { .. } => Err(self.elsewhere()),
        }
    }

    /// Sets it, if it is the lease table's.
    pub(crate) fn apply_to_table(
        self,
        leases: DynamoDbLeases,
        text: &str,
    ) -> Result<DynamoDbLeases, ConfigError> {
        match self.row() {
            Row::Table { takes, .. } => self.apply(takes, leases, text),
            Row::Own { .. } | Row::Elsewhere { .. } => Err(self.elsewhere()),
        }
    }

    /// The KCL's words are in capitals, whatever they are written in, and it knows other words for true.
    fn apply<C>(self, takes: Takes<C>, to: C, text: &str) -> Result<C, ConfigError> {
        let word = text.trim();
        let upper = word.to_ascii_uppercase();
        let word = match (&takes, upper.as_str()) {
            (Flag(_), "YES" | "Y" | "ON" | "1") => "true",
            (Flag(_), "NO" | "N" | "OFF" | "0") => "false",
            (OneOf(_), upper) => upper,
            (Flag(_) | Takes::Number { .. } | Takes::Millis { .. } | Text(..), _) => word,
        };
        takes.apply(to, word).ok_or_else(|| ConfigError::Invalid { key: self, text: text.to_owned() })
    }

    fn elsewhere(self) -> ConfigError {
        ConfigError::Elsewhere { key: self, applies: self.applies() }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Parses the KCL's name, and those by which its daemon for other languages also knows an option: `workerId`, names
/// behind `pollingConfig.` or `fanoutConfig.`, and credentials providers in any case.
impl FromStr for ConfigKey {
    type Err = UnknownKey;

    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        let plain = match name {
            "workerId" => "workerIdentifier",
            _ => ["pollingConfig.", "fanoutConfig."]
                .iter()
                .find_map(|of| name.strip_prefix(of))
                .unwrap_or(name),
        };
        let key = Self::ALL.iter().copied().find(|key| {
            let any_case = key.name().starts_with("awsCredentialsProvider");
            key.name() == plain || any_case && key.name().eq_ignore_ascii_case(plain)
        });
        key.ok_or_else(|| UnknownKey::new(name))
    }
}

/// What is known of a key: its defaults here and with the KCL, what it takes, or why it takes nothing.
pub(super) enum Row {
    Own { default: &'static str, kcl: &'static str, takes: Takes<Config> },
    Table { default: &'static str, kcl: &'static str, takes: Takes<DynamoDbLeases> },
    Elsewhere { kcl: &'static str, applies: Applies },
}

/// A duration as ISO 8601 writes it, of days, hours, minutes and seconds: `P1DT2H3M4.5S`. More than zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (days, times) = text.split_once('T').unwrap_or((text, ""));
    let mut rest = days;
    let mut seconds = take(&mut rest, 'D')? * 86_400.0;
    if !rest.is_empty() {
        return None;
    }
    rest = times;
    for (unit, of) in [('H', 3_600.0), ('M', 60.0), ('S', 1.0)] {
        seconds += take(&mut rest, unit)? * of;
    }
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (rest.is_empty() && !duration.is_zero()).then_some(duration)
}

/// The number in front of a unit, if there is one, and 0 else.
fn take(text: &mut &str, unit: char) -> Option<f64> {
    let Some((number, rest)) = text.split_once(unit) else { return Some(0.0) };
    *text = rest;
    number.parse().ok()
}
