//! Members: the KCL's rows of worker metrics.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use shardflow_core::{Invalid, Member, Utilisation, WorkerId};

use super::item::{Item, integer, missing, needed, number, string, text};
use super::place::{Place, Written as _};
use crate::StoreError;

/// Writes what a worker says of itself, and that it understands the move of a legacy fleet into one table: without that,
/// the leader of a fleet of the KCL would never begin it.
pub(super) async fn put(place: Place<'_>, member: &Member) -> Result<(), StoreError> {
    let names = place.key == "leaseKey";
    // Members and leases may share a table: a worker that is named after a shard would make a member of its lease.
    let condition = if names { "attribute_not_exists(leaseCounter)" } else { "" };
    let (samples, limits) = write(&member.metrics);
    let mut update = String::from(
        "SET lut = :lut, sts = :sts, opr = :opr, entityType = :entityType, sup = :sup, slu = :lut",
    );
    let mut request = place.update(member.worker.as_str(), "", condition);
    if let Some(instance) = &member.instance {
        update += ", shardflowInstance = :instance";
        request = request.expression_attribute_values(":instance", text(instance));
    }
    let request = request
        .update_expression(update)
        .expression_attribute_values(":lut", integer(member.updated))
        .expression_attribute_values(":sup", integer(MOVES))
        .expression_attribute_values(":sts", samples)
        .expression_attribute_values(":opr", limits)
        .expression_attribute_values(":entityType", text("WORKER_METRIC_STATS"));
    request.send().await.written(place).map_err(|(error, _)| match error {
        StoreError::Conflict(_) => StoreError::refused(
            "WorkerIdIsALease",
            format!("there is a lease of the name of the worker {}: give it another", member.worker),
        ),
        error => error,
    })
}

/// The KCL's support code of a worker that knows where rows are at each step of that move: see [`super::layout`].
const MOVES: u64 = 1;

/// Deletes what a worker said, if it is what was seen.
pub(super) async fn delete(
    place: Place<'_>,
    worker: &WorkerId,
    updated: Option<u64>,
) -> Result<(), StoreError> {
    let request = match updated {
        Some(updated) => place
            .delete(worker.as_str(), "attribute_not_exists(#key) OR lut = :lut")
            .expression_attribute_values(":lut", integer(updated)),
        None => place.delete(worker.as_str(), "attribute_not_exists(#key) OR attribute_exists(lut)"),
    };
    request.send().await.written(place).map_err(|(error, _)| error)
}

/// Reads a member, or tells in the log why an item is none.
pub(super) fn read_or_skip(place: Place<'_>, item: &Item) -> Option<Member> {
    read(item, place.key).map_err(|error| place.unreadable(item, &error)).ok()
}

fn read(item: &Item, key: &'static str) -> Result<Member, Invalid> {
    let updated = number(item, "lut").ok_or_else(|| missing("lut"))?;
    let mut member = Member::new(needed(item, key)?.parse()?, updated);
    member.instance = string(item, "shardflowInstance").map(str::to_owned);
    let empty = Item::new();
    let map = |attribute| match item.get(attribute) {
        Some(value) => value.as_m().map_err(|_| Invalid::new(attribute, "not a map", "a map of lists")),
        None => Ok(&empty),
    };
    let limits = map("opr")?;
    for (metric, samples) in map("sts")? {
        let limit = limits.get(metric).map(percentages).transpose()?;
        let limit = limit.and_then(|range| range.first().copied());
        member.metrics.insert(metric.clone(), Utilisation::new(percentages(samples)?, limit));
    }
    Ok(member)
}

fn percentages(list: &AttributeValue) -> Result<Vec<f64>, Invalid> {
    let invalid = || Invalid::new("worker metric", format_args!("{list:?}"), "a list of numbers");
    let list = list.as_l().map_err(|_| invalid())?;
    let number = |value: &AttributeValue| value.as_n().ok().and_then(|number| number.parse().ok());
    list.iter().map(|value| number(value).ok_or_else(invalid)).collect()
}

/// The attributes `sts` and `opr`. A metric without samples is left out, since the KCL takes no empty lists.
fn write(metrics: &BTreeMap<String, Utilisation>) -> (AttributeValue, AttributeValue) {
    // The KCL's sign for a sample that could not be taken; no attribute can hold what is not a number.
    let number = |sample: f64| if sample.is_finite() { sample } else { -1.0 };
    let list = |numbers: &[f64]| {
        AttributeValue::L(numbers.iter().map(|&n| AttributeValue::N(number(n).to_string())).collect())
    };
    let sampled = || metrics.iter().filter(|(_, metric)| !metric.samples.is_empty());
    let samples = sampled().map(|(name, metric)| (name.clone(), list(&metric.samples))).collect();
    let limits =
        sampled().filter_map(|(name, metric)| Some((name.clone(), list(&[metric.limit?])))).collect();
    (AttributeValue::M(samples), AttributeValue::M(limits))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, entries};
    use super::*;

    #[test]
    fn workers_of_the_java_kcl_are_members() {
        let fixture =
            Fixture::new(include_str!("../../tests/fixtures/java-kcl-3.5.1/10-worker-metrics.json"));
        let members: Vec<_> =
            fixture.leases().iter().filter_map(|item| read(item, "leaseKey").ok()).collect();
        let names: Vec<_> = members.iter().map(|member| member.worker.as_str()).collect();
        assert_eq!(names, ["worker-1", "worker-2"]);
        assert_eq!(members[0].updated, 1_795_417_347);
        let busy = &members[0].metrics["C"];
        assert_eq!((busy.samples[..2].to_vec(), busy.limit), (vec![92.307_692, 100.0], Some(100.0)));
        for member in members {
            let item =
                fixture.leases().iter().find(|item| string(item, "leaseKey") == Some(member.worker.as_str()));
            let (samples, limits) = write(&member.metrics);
            assert_eq!(entries(&samples), entries(&item.unwrap()["sts"]));
            assert_eq!(entries(&limits), entries(&item.unwrap()["opr"]));
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_member_and_what_is_not_said_is_not_needed() {
        let named = |attributes: &[(&str, AttributeValue)]| -> Item {
            let name = ("leaseKey".to_owned(), text("w"));
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain([name]).collect()
        };
        let lut = ("lut", integer(7));
        assert_eq!(
            read(&named(std::slice::from_ref(&lut)), "leaseKey"),
            Ok(Member::new("w".parse().unwrap(), 7))
        );
        let without_limit = AttributeValue::M([("C".to_owned(), AttributeValue::L(vec![integer(3)]))].into());
        let read_back = read(&named(&[lut.clone(), ("sts", without_limit)]), "leaseKey").unwrap();
        assert_eq!(read_back.metrics["C"], Utilisation::new(vec![3.0], None));
        for item in [named(&[]), named(&[lut.clone(), ("sts", integer(1))]), named(&[("lut", text("7"))])] {
            assert!(read(&item, "leaseKey").is_err(), "{item:?}");
        }
    }
}
