//! The table of what servers are known to do otherwise.

use std::collections::BTreeMap;

/// What servers are known to do otherwise than AWS: lines `server<TAB>check<TAB>what it does instead`, and comments that
/// start with `#`.
#[derive(Clone, Debug, Default)]
pub struct Deviations(BTreeMap<(String, String), String>);

impl Deviations {
    /// The table of the repository.
    ///
    /// # Errors
    ///
    /// When it is not well formed.
    pub fn known() -> Result<Self, String> {
        Self::parse(include_str!("../../../conformance/deviations.tsv"))
    }

    fn parse(table: &str) -> Result<Self, String> {
        let mut lines = BTreeMap::new();
        for (number, line) in (1..).zip(table.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let cells: Vec<_> = line.split('\t').collect();
            let [server, check, instead] = cells[..] else {
                return Err(format!("line {number} of the table of deviations has not three cells"));
            };
            if lines.insert((server.to_owned(), check.to_owned()), instead.to_owned()).is_some() {
                return Err(format!("line {number} of the table of deviations is there already"));
            }
        }
        Ok(Self(lines))
    }

    /// What a server does instead, if it is known not to pass a check.
    #[must_use]
    pub fn of(&self, server: &str, check: &str) -> Option<&str> {
        self.0.get(&(server.to_owned(), check.to_owned())).map(String::as_str)
    }

    /// Servers and checks of all lines.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().map(|(server, check)| (server.as_str(), check.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_three_cells_or_there_twice_is_refused() {
        let table = Deviations::parse("# a comment\n\ns\tc\tsomething else\n").unwrap();
        assert_eq!(table.of("s", "c"), Some("something else"));
        assert_eq!(table.of("s", "d"), None);
        assert!(Deviations::parse("s\tc\n").is_err());
        assert!(Deviations::parse("s\tc\tx\ns\tc\ty\n").is_err());
    }
}
