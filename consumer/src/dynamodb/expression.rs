//! The changes of a lease as DynamoDB's expressions.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_core::{Checkpoint, LeaseChange, Throughput, WorkerId};

/// One UpdateItem: what it changes, on which condition.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(super) fn of(change: &LeaseChange) -> Self {
        let mut parts = Parts::default();
        match change {
            LeaseChange::Renew { counter, handing_over, throughput } => {
                parts.expect_counter(*counter);
                parts.throughput(*throughput);
                if !handing_over {
                    parts.conditions.push("attribute_not_exists(checkpointOwner)".into());
                }
            }
            LeaseChange::Checkpoint { counter, checkpoint, throughput } => {
                parts.expect_counter(*counter);
                parts.throughput(*throughput);
                parts.checkpoint(checkpoint);
            }
            LeaseChange::Prepare { counter, checkpoint, state } => {
                parts.expect_counter(*counter);
                parts.set("pendingCheckpoint", AttributeValue::S(checkpoint.as_str().to_owned()));
                parts.set("pendingCheckpointSubSequenceNumber", number(checkpoint.sub_sequence_number()));
                match state {
                    Some(state) => {
                        parts.set("pendingCheckpointState", AttributeValue::B(Blob::new(state.as_ref())));
                    }
                    // Else it would keep that of an earlier one.
                    None => parts.remove.push("pendingCheckpointState"),
                }
            }
            LeaseChange::Take { worker, counter, owner, checkpoint_owner } => {
                parts.expect_counter(*counter);
                parts.expect_owners(owner.as_ref(), checkpoint_owner.as_ref());
                parts.give_to(worker, change.switches_owner());
            }
            LeaseChange::StartHandoff { from, to } => {
                parts.expect_owners(Some(from), None);
                parts.set("leaseOwner", AttributeValue::S(to.to_string()));
                parts.set("checkpointOwner", AttributeValue::S(from.to_string()));
            }
            LeaseChange::Assign { to, owner, checkpoint_owner } => {
                parts.expect_owners(owner.as_ref(), checkpoint_owner.as_ref());
                parts.give_to(to, change.switches_owner());
                parts.add("leaseCounter");
            }
            LeaseChange::Evict { owner, checkpoint_owner } => {
                parts.expect_owners(owner.as_ref(), checkpoint_owner.as_ref());
                parts.remove.push("checkpointOwner");
                if checkpoint_owner.is_none() {
                    parts.remove.push("leaseOwner");
                }
                parts.add("leaseCounter");
            }
            LeaseChange::Rewind { counter, checkpoint } => {
                parts.expect_counter(*counter);
                parts.checkpoint(checkpoint);
                parts.remove.extend(["checkpointOwner", "leaseOwner"]);
            }
            LeaseChange::HashKeys { range } => {
                parts.set("startingHashKey", AttributeValue::S(range.start().to_string()));
                parts.set("endingHashKey", AttributeValue::S(range.end().to_string()));
            }
            LeaseChange::Children { children } => {
                let children = children.iter().map(ToString::to_string).collect();
                parts.set("childShardIds", AttributeValue::Ss(children));
            }
        }
        parts.build()
    }
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[derive(Default)]
struct Parts {
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<&'static str>,
    conditions: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Parts {
    fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.set.push(format!("{attribute} = :{attribute}"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn add(&mut self, attribute: &str) {
        self.add.push(format!("{attribute} :one"));
        self.values.insert(":one".into(), number(1));
    }

    /// The counter must be this one, and is raised.
    fn expect_counter(&mut self, counter: u64) {
        self.conditions.push("leaseCounter = :expected".into());
        self.values.insert(":expected".into(), number(counter));
        self.set("leaseCounter", number(counter + 1));
    }

    fn throughput(&mut self, measured: Option<Throughput>) {
        if let Some(throughput) = measured {
            self.set("throughputKBps", AttributeValue::N(throughput.to_string()));
        }
    }

    /// A checkpoint drops what was prepared.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.set("checkpoint", AttributeValue::S(checkpoint.as_str().to_owned()));
        self.set("checkpointSubSequenceNumber", number(checkpoint.sub_sequence_number()));
        self.set("ownerSwitchesSinceCheckpoint", number(0));
        self.remove.extend([
            "pendingCheckpoint",
            "pendingCheckpointSubSequenceNumber",
            "pendingCheckpointState",
        ]);
    }

    fn expect_owners(&mut self, owner: Option<&WorkerId>, checkpoint_owner: Option<&WorkerId>) {
        for (attribute, value, owner) in
            [("leaseOwner", ":owner", owner), ("checkpointOwner", ":holder", checkpoint_owner)]
        {
            match owner {
                Some(owner) => {
                    self.conditions.push(format!("{attribute} = {value}"));
                    self.values.insert(value.into(), AttributeValue::S(owner.to_string()));
                }
                None => self.conditions.push(format!("attribute_not_exists({attribute})")),
            }
        }
    }

    fn give_to(&mut self, worker: &WorkerId, switches: bool) {
        self.set("leaseOwner", AttributeValue::S(worker.to_string()));
        self.remove.push("checkpointOwner");
        if switches {
            self.add("ownerSwitchesSinceCheckpoint");
        }
    }

    fn build(mut self) -> Expression {
        // Without a row there is nothing to change: an update would make one.
        self.conditions.push("attribute_exists(leaseKey)".into());
        let clause = |verb: &str, parts: &[String]| {
            if parts.is_empty() { String::new() } else { format!("{verb} {} ", parts.join(", ")) }
        };
        let remove: Vec<_> = self.remove.iter().map(|&attribute| attribute.to_owned()).collect();
        let update = clause("SET", &self.set) + &clause("ADD", &self.add) + &clause("REMOVE", &remove);
        Expression {
            update: update.trim_end().to_owned(),
            condition: self.conditions.join(" AND "),
            values: self.values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerId {
        name.parse().unwrap()
    }

    #[test]
    fn a_renewal_is_the_kcls() {
        let renewal =
            Expression::of(&LeaseChange::Renew { counter: 7, handing_over: false, throughput: None });
        assert_eq!(renewal.update, "SET leaseCounter = :leaseCounter");
        assert_eq!(
            renewal.condition,
            "leaseCounter = :expected AND attribute_not_exists(checkpointOwner) AND attribute_exists(leaseKey)"
        );
        assert_eq!(renewal.values[":expected"], number(7));
        assert_eq!(renewal.values[":leaseCounter"], number(8));
        let knowing =
            Expression::of(&LeaseChange::Renew { counter: 7, handing_over: true, throughput: None });
        assert_eq!(knowing.condition, "leaseCounter = :expected AND attribute_exists(leaseKey)");
    }

    #[test]
    fn a_checkpoint_drops_what_was_prepared() {
        let checkpoint = Checkpoint::at("123".parse().unwrap(), 4);
        let expression =
            Expression::of(&LeaseChange::Checkpoint { counter: 1, checkpoint, throughput: None });
        assert!(expression.update.ends_with(
            "REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState"
        ));
        assert_eq!(expression.values[":checkpoint"], AttributeValue::S("123".into()));
        assert_eq!(expression.values[":checkpointSubSequenceNumber"], number(4));
    }

    #[test]
    fn a_prepared_checkpoint_asks_for_the_counter_alone_and_leaves_no_older_state() {
        let prepare = |state: Option<&'static [u8]>| {
            let checkpoint = Checkpoint::at("123".parse().unwrap(), 4);
            Expression::of(&LeaseChange::Prepare { counter: 1, checkpoint, state: state.map(Into::into) })
        };
        let with = prepare(Some(b"half"));
        assert_eq!(
            with.update,
            "SET leaseCounter = :leaseCounter, pendingCheckpoint = :pendingCheckpoint, \
             pendingCheckpointSubSequenceNumber = :pendingCheckpointSubSequenceNumber, \
             pendingCheckpointState = :pendingCheckpointState"
        );
        assert_eq!(with.condition, "leaseCounter = :expected AND attribute_exists(leaseKey)");
        assert_eq!(with.values[":pendingCheckpointState"], AttributeValue::B(Blob::new("half")));
        assert_eq!(with.values[":pendingCheckpointSubSequenceNumber"], number(4));
        assert!(prepare(None).update.ends_with(" REMOVE pendingCheckpointState"));
    }

    #[test]
    fn owners_are_compared_or_must_be_absent() {
        let take = LeaseChange::Take {
            worker: worker("me"),
            counter: 3,
            owner: Some(worker("other")),
            checkpoint_owner: None,
        };
        let expression = Expression::of(&take);
        assert_eq!(
            expression.update,
            "SET leaseCounter = :leaseCounter, leaseOwner = :leaseOwner ADD ownerSwitchesSinceCheckpoint :one \
             REMOVE checkpointOwner"
        );
        assert_eq!(
            expression.condition,
            "leaseCounter = :expected AND leaseOwner = :owner AND attribute_not_exists(checkpointOwner) AND \
             attribute_exists(leaseKey)"
        );
        let evict = LeaseChange::Evict { owner: Some(worker("me")), checkpoint_owner: None };
        assert_eq!(Expression::of(&evict).update, "ADD leaseCounter :one REMOVE checkpointOwner, leaseOwner");
    }
}
