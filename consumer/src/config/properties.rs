//! The KCL's configuration files.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::io::Read;

use shardflow_sdk::properties;

use super::{Applies, Config, ConfigKey};
use crate::{ConfigError, DynamoDbLeases};

/// What a KCL configuration file says: a Java properties file with the KCL's names, in ISO 8859-1, as its daemon for other
/// languages reads it. Needs the feature `properties`.
///
/// The consumer and its lease table take from it what is theirs; the rest can be asked for.
///
/// ```
/// use shardflow_consumer::{Config, DynamoDbLeases, Properties};
///
/// # fn example(client: aws_sdk_dynamodb::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let file = "applicationName = billing\nmaxRecords = 1000\ntags = team=orders\n"; // or File::open("kcl.properties")?
/// let options = Properties::read(file.as_bytes())?;
/// let name = options.get("applicationName").ok_or("no applicationName")?;
/// let leases = DynamoDbLeases::new(client, name.parse()?).with_properties(&options)?;
/// let config = Config::kcl().with_properties(&options)?; // what the file does not say is as with the KCL
/// for option in options.not_applied() {
///     eprintln!("{option}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Two things are otherwise than with the KCL's daemon: what does not parse is an error, not 0 or `false`; and `0` and
/// `false` count, which it passes over for most options.
#[derive(Clone, Eq, PartialEq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(file: impl Read) -> Result<Self, PropertiesError> {
        match properties(file) {
            Ok(values) => Ok(Self(values)),
            Err(error) => Err(PropertiesError::Unreadable { source: Box::new(error) }),
        }
    }

    /// The value of that name, as in the file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What neither the consumer nor its lease table takes, so that it can be logged, or set where it counts.
    pub fn not_applied(&self) -> impl Iterator<Item = NotApplied> {
        self.0.keys().filter_map(|name| match name.parse::<ConfigKey>() {
            Err(_unknown) => Some(NotApplied::Unknown { name: name.clone() }),
            Ok(key) if matches!(key.applies(), Applies::Consumer | Applies::Table) => None,
            Ok(key) => Some(NotApplied::Elsewhere { key }),
        })
    }

    /// What counts there.
    fn of(&self, place: Applies) -> impl Iterator<Item = (ConfigKey, &str)> {
        let key = |name: &str| name.parse::<ConfigKey>().ok();
        let all = self.0.iter().filter_map(move |(name, text)| Some((key(name)?, text.as_str())));
        all.filter(move |(key, _)| key.applies() == place)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the values: one may be a password.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Config {
    /// Sets what a KCL configuration file says of the consumer, in any order. What it does not say stays as it is.
    ///
    /// # Errors
    ///
    /// When it gives an option a value that it cannot have.
    pub fn with_properties(self, file: &Properties) -> Result<Self, ConfigError> {
        file.of(Applies::Consumer).try_fold(self, |config, (key, text)| config.set(key, text))
    }
}

impl DynamoDbLeases {
    /// Sets what a KCL configuration file says of the lease table. What it does not say stays as it is. Needs the feature
    /// `properties`.
    ///
    /// # Errors
    ///
    /// When it gives an option a value that it cannot have.
    pub fn with_properties(self, file: &Properties) -> Result<Self, ConfigError> {
        file.of(Applies::Table).try_fold(self, |leases, (key, text)| leases.set(key, text))
    }
}

/// A line of a configuration file that has set nothing: [`Properties::get`] has its value.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotApplied {
    /// The option counts elsewhere, or nowhere: [`ConfigKey::applies`].
    Elsewhere {
        /// The option.
        key: ConfigKey,
    },
    /// No option of the KCL has that name.
    Unknown {
        /// The name.
        name: String,
    },
}

impl NotApplied {
    /// The option's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Elsewhere { key } => key.name(),
            Self::Unknown { name } => name,
        }
    }
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { key } => write!(f, "{key} is {}", key.applies()),
            Self::Unknown { name } => write!(f, "the KCL has no option {name:?}"),
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the samples of the KCL for other languages, with some options set.
    const FILE: &str = "# a sample\nexecutableName = sample.py\napplicationName=billing\nstreamName: orders\n\
                        AwsCredentialsProvider = Static|secret\nmaxRecords = 1000\nbillingMode = provisioned\n\
                        initialPositionInStream = trim_horizon\nfanoutConfig.consumerName = billing\n\
                        initialLeaseTableReadCapacity = 20\ntags = team = orders, cost=42\nfailOverTime = 1\n";

    fn leases() -> DynamoDbLeases {
        let config = aws_sdk_dynamodb::Config::builder().behavior_version_latest().build();
        DynamoDbLeases::new(aws_sdk_dynamodb::Client::from_conf(config), "billing".parse().unwrap())
    }

    #[test]
    fn consumer_and_table_take_what_is_theirs() {
        let file = Properties::read(FILE.as_bytes()).unwrap();
        let config = Config::kcl().with_properties(&file).unwrap();
        let typed = Config::kcl().max_records(1_000).initial_position(crate::InitialPosition::TrimHorizon);
        assert_eq!(format!("{:?}", config.lease), format!("{:?}", typed.lease));
        assert_eq!((config.shard.read_records, config.retrieval), (1_000, crate::Retrieval::Polling));
        let table = leases().with_properties(&file).unwrap();
        let units = |units: u32| std::num::NonZeroU32::new(units).unwrap();
        let typed = leases().provisioned(units(20), units(10)).tag("team", "orders").tag("cost", "42");
        assert_eq!(format!("{:?}", table.options), format!("{:?}", typed.options));
        assert_eq!(file.get("applicationName"), Some("billing"));
    }

    #[test]
    fn what_is_not_applied_is_told_without_its_value() {
        let file = Properties::read(FILE.as_bytes()).unwrap();
        let told: Vec<_> = file.not_applied().map(|option| option.to_string()).collect();
        assert_eq!(
            told,
            [
                "awsCredentialsProvider is set on the SDK's client: `credentials_provider` of `aws_config`",
                "applicationName is set in code: `DynamoDbLeases::new`",
                "executableName is of no use here: handlers run in this process",
                r#"the KCL has no option "failOverTime""#,
                "streamName is set in code: `Consumer::new`",
            ]
        );
        assert!(!format!("{file:?}").contains("secret"));
    }

    #[test]
    fn a_wrong_value_and_a_file_that_is_none_say_what_is_wrong() {
        let file = Properties::read(&b"tags = a=b,=c\nmaxRecords = many"[..]).unwrap();
        let error = Config::default().with_properties(&file).unwrap_err();
        assert_eq!(error.to_string(), r#"maxRecords cannot be "many": it takes 1 to 10000 records"#);
        let error = leases().with_properties(&file).unwrap_err();
        assert_eq!(error.to_string(), r#"tags cannot be "a=b,=c": it takes key=value,key=value"#);
        let error = Properties::read(&b"maxRecords=10\ntags=\\u00"[..]).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("line_number = 2"), "{error:?}");
    }
}
