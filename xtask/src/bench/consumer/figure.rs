//! A number that was measured.

use std::fmt;

use serde_json::{Map, Value, json};

/// A number, what it is of, and what it shall be at most.
#[derive(Debug)]
pub(super) struct Figure {
    case: String,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    more: Map<String, Value>,
}

impl Figure {
    pub(super) fn new(case: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { case: case.into(), value, unit, target: None, more: Map::new() }
    }

    /// What it shall be at most.
    pub(super) fn at_most(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }

    /// Something else that is known of it.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.more.insert(name.to_owned(), value.as_f64().filter(|_| value.is_f64()).map_or(value, rounded));
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut told = json!({ "case": self.case, "value": rounded(self.value), "unit": self.unit });
        if let Some(target) = self.target {
            told["target"] = target.into();
        }
        for (name, value) in &self.more {
            told[name] = value.clone();
        }
        told
    }
}

/// A line for a person.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<40} {:>9.2} {:<14}", self.case, self.value, self.unit)?;
        if let Some(target) = self.target {
            let kept = if self.value <= target { "" } else { ", MISSED" };
            write!(f, " target {target}{kept}")?;
        }
        for (name, value) in &self.more {
            write!(f, "  {name} {value}")?;
        }
        Ok(())
    }
}

/// More digits are chance.
fn rounded(number: f64) -> Value {
    ((number * 1e3).round() / 1e3).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_what_it_is_of() {
        let figure =
            Figure::new("rss/64", 31.23456, "MB").at_most(40.0).with("threads", 4).with("peak", 1.23456);
        let expected = json!({ "case": "rss/64", "value": 31.235, "unit": "MB", "target": 40.0, "threads": 4, "peak": 1.235 });
        assert_eq!(figure.to_json(), expected);
        assert!(figure.to_string().contains("31.23 MB"));
        assert!(Figure::new("x", 2.0, "s").at_most(1.0).to_string().ends_with("MISSED"));
    }
}
