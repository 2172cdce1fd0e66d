//! Options from text: what each takes, and the files that they come in.

use std::fmt;
use std::time::Duration;

/// What text is a value of an option of `C`, and what that does.
#[derive(Debug)]
pub enum Takes<C: 'static> {
    /// `true` or `false`, in any case.
    Flag(fn(C, bool) -> C),
    /// A whole number within bounds, both included.
    Number {
        /// The lower one.
        least: u64,
        /// The upper one; `u64::MAX` is none.
        most: u64,
        /// What is counted.
        unit: &'static str,
        /// What it does; nothing if the value is not one after all.
        set: fn(C, u64) -> Option<C>,
    },
    /// A time in milliseconds.
    Millis {
        /// The least.
        least: u64,
        /// What it does.
        set: fn(C, Duration) -> C,
    },
    /// One of these words.
    OneOf(&'static [Word<C>]),
    /// Text that is some value's, with a word for it.
    Text(&'static str, fn(C, &str) -> Option<C>),
}

/// A word and what it does.
pub type Word<C> = (&'static str, fn(C) -> C);

impl<C: 'static> Takes<C> {
    /// A whole number within bounds, both included.
    pub const fn number(least: u64, most: u64, unit: &'static str, set: fn(C, u64) -> Option<C>) -> Self {
        Self::Number { least, most, unit, set }
    }

    /// Sets the option, if it takes that text.
    #[must_use]
    pub fn apply(self, config: C, text: &str) -> Option<C> {
        match self {
            Self::Flag(set) => Some(set(config, text.to_ascii_lowercase().parse().ok()?)),
            Self::Number { least, most, set, .. } => {
                set(config, text.parse().ok().filter(|number| (least..=most).contains(number))?)
            }
            Self::Millis { least, set } => {
                let time = text.parse().ok().filter(|time| *time >= least)?;
                Some(set(config, Duration::from_millis(time)))
            }
            Self::OneOf(words) => {
                let (_, set) = words.iter().find(|(word, _)| *word == text)?;
                Some(set(config))
            }
            Self::Text(_, set) => set(config, text),
        }
    }
}

impl<C> fmt::Display for Takes<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(_) => f.write_str("true or false"),
            Self::Number { least, most: u64::MAX, unit, .. } => write!(f, "{least} or more {unit}"),
            Self::Number { least, most, unit, .. } => write!(f, "{least} to {most} {unit}"),
            Self::Millis { least, .. } => write!(f, "{least} or more ms"),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|&(word, _)| word).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Text(what, _) => f.write_str(what),
        }
    }
}

/// The last value of each name in a Java properties file, in ISO 8859-1.
///
/// # Errors
///
/// When it cannot be read, or has a `\u` that four hexadecimal digits do not follow, be it in a comment.
#[cfg(feature = "properties")]
pub fn properties(
    file: impl std::io::Read,
) -> Result<std::collections::BTreeMap<String, String>, java_properties::PropertiesError> {
    use java_properties::{LineContent, PropertiesIter};

    let mut values = std::collections::BTreeMap::new();
    for line in PropertiesIter::new(file) {
        if let LineContent::KVPair(name, text) = line?.consume_content() {
            values.insert(name, text);
        }
    }
    Ok(values)
}
