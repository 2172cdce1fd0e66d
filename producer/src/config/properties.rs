//! The KPL's configuration files.

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;

use shardflow_sdk::properties;

use super::{Applies, Config, ConfigKey};
use crate::ConfigError;

impl Config {
    /// The default, with what a KPL configuration file says. See [`Config::with_properties`].
    ///
    /// # Errors
    ///
    /// As [`Config::with_properties`].
    pub fn from_properties(file: impl Read) -> Result<(Self, Vec<NotApplied>), PropertiesError> {
        Self::default().with_properties(file)
    }

    /// Sets what a KPL configuration file says: a Java properties file with the KPL's names, in ISO 8859-1. Needs the
    /// feature `properties`.
    ///
    /// What the producer has no use for comes back, so that it can be logged, or set where it counts:
    ///
    /// ```
    /// use shardflow_producer::Config;
    ///
    /// let file = "RecordTtl = 60000\nRegion = eu-west-1\n"; // or File::open("kpl.properties")?
    /// let (config, ignored) = Config::from_properties(file.as_bytes())?;
    /// for option in &ignored {
    ///     eprintln!("{option}");
    /// }
    /// # assert_eq!(ignored[0].text(), "eu-west-1");
    /// # Ok::<(), shardflow_producer::PropertiesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or gives an option of the producer a value that it cannot have, on which the KPL
    /// fails too.
    pub fn with_properties(mut self, file: impl Read) -> Result<(Self, Vec<NotApplied>), PropertiesError> {
        let mut ignored = Vec::new();
        let values =
            properties(file).map_err(|error| PropertiesError::Unreadable { source: Box::new(error) })?;
        for (name, text) in values {
            match name.parse::<ConfigKey>() {
                Err(_unknown) => ignored.push(NotApplied::Unknown { name, text }),
                Ok(key) if key.applies() == Applies::Producer => self = self.set(key, &text)?,
                Ok(key) => ignored.push(NotApplied::Elsewhere { key, text }),
            }
        }
        Ok((self, ignored))
    }
}

/// A line of a configuration file that has set nothing. Shown without its value, which may be a password.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotApplied {
    /// The option counts elsewhere, or nowhere: [`ConfigKey::applies`].
    Elsewhere {
        /// The option.
        key: ConfigKey,
        /// Its value.
        text: String,
    },
    /// No option of the KPL has that name.
    Unknown {
        /// The name.
        name: String,
        /// Its value.
        text: String,
    },
}

impl NotApplied {
    /// The option's name, as in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Elsewhere { key, .. } => key.name(),
            Self::Unknown { name, .. } => name,
        }
    }

    /// The value, as in the file.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Elsewhere { text, .. } | Self::Unknown { text, .. } => text,
        }
    }
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { key, .. } => write!(f, "{key} is not the producer's, but {}", key.applies()),
            Self::Unknown { name, .. } => write!(f, "the KPL has no option {name:?}"),
        }
    }
}

impl fmt::Debug for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotApplied({self})")
    }
}

/// A configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PropertiesError {
    /// It could not be read, or has a `\u` that four hexadecimal digits do not follow, be it in a comment.
    #[error("the properties cannot be read")]
    Unreadable {
        /// Why, and in which line.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An option of the producer cannot have the value.
    #[error(transparent)]
    Value(#[from] ConfigError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the KPL's own `default_config.properties`, as of its release 1.0.9.
    const DEFAULTS: &str = include_str!("default_config.properties");

    fn names(ignored: &[NotApplied]) -> Vec<&str> {
        ignored.iter().map(NotApplied::name).collect()
    }

    #[test]
    fn the_kpls_own_file_has_a_value_that_it_refuses_itself() {
        let error = Config::from_properties(DEFAULTS.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"MaxUserRecordSize cannot be "1048576;": it takes 64 to 10485760 bytes"#
        );
        let PropertiesError::Value(error) = error else { panic!("{error}") };
        assert_eq!(error.key(), ConfigKey::MaxUserRecordSize);
    }

    #[test]
    fn without_that_it_sets_the_defaults() {
        let file = DEFAULTS.replace("1048576;", "1048576");
        let (config, ignored) = Config::from_properties(file.as_bytes()).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default().max_record_bytes(1 << 20)));
        let expected = [
            "KinesisPort",
            "LogLevel",
            "MetricsNamespace",
            "MetricsUploadDelay",
            "MinConnections",
            "ThreadingModel",
            "VerifyCertificate",
        ];
        assert_eq!(names(&ignored), expected);
    }

    #[test]
    fn it_reads_what_java_reads() {
        let file = "! a comment \\\nRateLimit=10\nRateLimit:20\nRecordTtl   45\\\n  000\r\n\
                    Metrics\\u004Cevel = none\nÜnbekannt=1";
        let latin: Vec<u8> = file.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let (config, ignored) = Config::from_properties(&latin[..]).unwrap();
        let typed = Config::default()
            .rate_limit(20.try_into().unwrap())
            .record_ttl(std::time::Duration::from_secs(45))
            .metrics_level(crate::MetricsLevel::None);
        assert_eq!(format!("{config:?}"), format!("{:?}", typed.aggregate(config.settings.aggregate)));
        assert_eq!(names(&ignored), ["Ünbekannt"]);
    }

    #[test]
    fn aggregation_stays_off_whatever_its_size() {
        let file = "AggregationMaxSize = 1000\nAggregationEnabled = false\n";
        let (config, _) = Config::from_properties(file.as_bytes()).unwrap();
        assert_eq!(config.settings.aggregate, None);
    }

    #[test]
    fn what_is_not_applied_comes_back_without_showing_its_value() {
        let file = "ProxyPassword = secret\nThreadPoolSize = 0\nrecordTtl = 1\n";
        let (_, ignored) = Config::from_properties(file.as_bytes()).unwrap();
        let shown: Vec<_> = ignored.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "ProxyPassword is not the producer's, but set on the SDK's client: `ProxyConfig` of its HTTP client",
                "ThreadPoolSize is not the producer's, but of no use here: one task makes all requests, none has a thread",
                r#"the KPL has no option "recordTtl""#,
            ]
        );
        assert_eq!(ignored[0].text(), "secret");
        assert!(!format!("{ignored:?}").contains("secret"));
    }

    #[test]
    fn a_file_that_is_none_says_where() {
        let error = Config::from_properties(&b"RateLimit=10\nRegion=\\u00"[..]).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("line_number = 2"), "{error:?}");
    }
}
