//! Leases in a DynamoDB table, with the KCL's attributes and conditions.

mod expression;
mod leases;
mod row;
mod table;

pub use leases::{DynamoDbLeases, TableName};
