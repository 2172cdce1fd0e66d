//! Leases in a DynamoDB table, with the KCL's attributes and conditions.

mod expression;
#[cfg(test)]
mod fixture;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "a fuzz target reaches it"))]
pub mod fuzz;
mod item;
mod layout;
mod leases;
mod lock;
mod member;
mod name;
pub(crate) mod options;
mod place;
mod row;
mod scan;
mod table;
mod version;
mod view;

pub use leases::DynamoDbLeases;
pub use name::TableName;
pub use table::CreateTable;
