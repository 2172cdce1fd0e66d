//! The records of a batch, shared, with how much they are.

use std::ops::Deref;
use std::sync::Arc;

use shardflow_core::{PartitionKey, UserRecord};

/// Records that are not changed any more. Cheap to clone; a slice of records in all else.
///
/// How many bytes they are is asked for with every step of their shard, and there can be a hundred thousand of them: they are
/// counted once.
#[derive(Clone, Debug)]
pub struct Records {
    /// As they were collected: put into a slice with its own count they would all be copied.
    all: Arc<Vec<UserRecord>>,
    data_bytes: usize,
    held_bytes: usize,
}

impl Records {
    /// Bytes of data in them.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// The memory that they take.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl From<Vec<UserRecord>> for Records {
    fn from(all: Vec<UserRecord>) -> Self {
        let (mut data_bytes, mut key_bytes) = (0, 0);
        for record in &all {
            data_bytes += record.data.len();
            key_bytes += record.partition_key.as_ref().map_or(0, |key: &PartitionKey| key.as_bytes().len());
        }
        let held_bytes = size_of_val(&*all) + data_bytes + key_bytes;
        Self { all: Arc::new(all), data_bytes, held_bytes }
    }
}

impl FromIterator<UserRecord> for Records {
    fn from_iter<I: IntoIterator<Item = UserRecord>>(records: I) -> Self {
        Vec::from_iter(records).into()
    }
}

impl Deref for Records {
    type Target = [UserRecord];

    fn deref(&self) -> &[UserRecord] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use shardflow_core::KinesisRecord;

    use super::*;

    #[test]
    fn what_they_take_is_counted() {
        let record = |key: &str, data: &'static str| {
            UserRecord::alone(KinesisRecord {
                sequence_number: "1".parse().unwrap(),
                partition_key: key.parse().ok(),
                data: data.into(),
                approximate_arrival: None,
            })
        };
        let records = Records::from_iter([record("key", "data"), record("", "more data")]);
        assert_eq!((records.len(), records.data_bytes()), (2, 13));
        assert_eq!(records.held_bytes(), 2 * size_of::<UserRecord>() + 13 + 3);
        assert_eq!(Records::from(Vec::new()).held_bytes(), 0);
    }
}
