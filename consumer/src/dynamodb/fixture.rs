//! Tables of the Java KCL, as captured. See `tests/fixtures/README.md`.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::item::Item;

pub(super) struct Fixture {
    leases: Vec<Item>,
}

impl Fixture {
    pub(super) fn new(text: &str) -> Self {
        let fixture: Value = serde_json::from_str(text).unwrap();
        let table = &fixture["tables"][fixture["app"].as_str().unwrap()];
        Self { leases: table["scan"].as_array().unwrap().iter().map(item).collect() }
    }

    /// The items of the lease table.
    pub(super) fn leases(&self) -> &[Item] {
        &self.leases
    }
}

/// The numbers of an attribute of lists, whichever way they are written.
pub(super) fn entries(map: &AttributeValue) -> Vec<(String, Vec<f64>)> {
    let number = |value: &AttributeValue| value.as_n().unwrap().parse().unwrap();
    let list = |value: &AttributeValue| value.as_l().unwrap().iter().map(number).collect();
    let mut entries: Vec<_> =
        map.as_m().unwrap().iter().map(|(name, value)| (name.clone(), list(value))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

fn item(row: &Value) -> Item {
    row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(Blob::new(text(value))),
        "SS" => AttributeValue::Ss(list(value).iter().map(text).collect()),
        "L" => AttributeValue::L(list(value).iter().map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        other => panic!("{other}"),
    }
}
