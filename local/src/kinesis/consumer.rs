//! A registered fan-out consumer of a stream.

use std::collections::BTreeMap;

use serde::Serialize;

use super::shapes::Timestamp;
use super::stamp::Stamp;

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Stamp,
    pub(super) status: ConsumerStatus,
    /// When CREATING or DELETING ends.
    due: Stamp,
    /// When it last subscribed to each shard, by number: for five seconds it cannot again.
    pub(super) subscribed: BTreeMap<u32, Stamp>,
    pub(super) tags: BTreeMap<String, String>,
}

/// Where a consumer stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ConsumerStatus {
    Creating,
    Active,
    Deleting,
}

impl Consumer {
    pub(super) fn new(name: &str, stream_arn: &str, now: Stamp, due: Stamp) -> Self {
        Self {
            name: name.to_owned(),
            arn: format!("{stream_arn}/consumer/{name}:{}", now.seconds()),
            created: now,
            status: ConsumerStatus::Creating,
            due,
            subscribed: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    pub(super) fn delete(&mut self, due: Stamp) {
        self.status = ConsumerStatus::Deleting;
        self.due = due;
    }

    /// Carries out what is due; false when it is gone.
    pub(super) fn settle(&mut self, now: Stamp) -> bool {
        match self.status {
            ConsumerStatus::Creating if self.due <= now => self.status = ConsumerStatus::Active,
            ConsumerStatus::Creating | ConsumerStatus::Active => {}
            ConsumerStatus::Deleting => return self.due > now,
        }
        true
    }
}

/// One consumer, as answers carry it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumerDescription {
    pub(crate) consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    pub(crate) consumer_arn: String,
    pub(crate) consumer_status: ConsumerStatus,
    pub(crate) consumer_creation_timestamp: Timestamp,
    /// Only DescribeStreamConsumer gives it.
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    pub(crate) stream_arn: Option<String>,
}

impl ConsumerDescription {
    pub(super) fn of(consumer: &Consumer) -> Self {
        Self {
            consumer_name: consumer.name.clone(),
            consumer_arn: consumer.arn.clone(),
            consumer_status: consumer.status,
            consumer_creation_timestamp: Timestamp(consumer.created.time()),
            stream_arn: None,
        }
    }
}
