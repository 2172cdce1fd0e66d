//! The events that the examples replay: a week of earthquakes, as the USGS listed them. See `data/README.md`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The earthquakes, oldest first.
///
/// # Errors
///
/// When the file is not what it should be.
pub fn all() -> Result<Vec<Event>, serde_json::Error> {
    include_str!("../data/earthquakes.jsonl").lines().map(Event::parse).collect()
}

/// An earthquake.
#[derive(Clone, Debug)]
pub struct Event {
    /// The square degree that it was in: its partition key.
    pub cell: String,
    json: Box<RawValue>,
}

impl Event {
    fn parse(line: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Place {
            latitude: f64,
            longitude: f64,
        }
        let Place { latitude, longitude } = serde_json::from_str(line)?;
        let cell = format!("{:+03.0}{:+04.0}", latitude.floor(), longitude.floor());
        Ok(Self { cell, json: serde_json::from_str(line)? })
    }

    /// The data of the record that carries it.
    ///
    /// # Errors
    ///
    /// None: it is JSON already.
    pub fn replayed(&self, run: &str, number: u64) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Replayed { run, number, event: &self.json })
    }
}

/// An event as a record carries it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Replayed<'a> {
    /// The run that it belongs to: a stream may hold those of others.
    pub run: &'a str,
    /// Its place among all events of the run.
    pub number: u64,
    /// The event itself.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_whole_and_comes_back_out_of_its_records() {
        let events = all().unwrap();
        assert_eq!(events.len(), 1_707);
        assert_eq!(events[0].cell, "+46-123");
        let data = events[0].replayed("r", 7).unwrap();
        let Replayed { run, number, event } = serde_json::from_slice(&data).unwrap();
        assert_eq!((run, number), ("r", 7));
        assert!(event.get().contains("37km NNE of Amboy, Washington"));
    }
}
