//! The AWS protocols: requests in, answers out, on loopback and in-process alike.
//!
//! [`Endpoint::handle`] is all of it: it finds the operation, decodes, asks the rules, takes the lock for as long as the
//! call is carried out, and encodes. What carries a request there (a socket, an SDK's connector) is in
//! [`crate::server`] and [`crate::client`].

mod admin;
mod answer;
mod body;
mod cloudwatch;
mod dynamodb;
mod endpoint;
mod event_stream;
mod exchange;
mod get_records;
mod kinesis;
mod put_records;
mod subscribe;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use body::Body;
pub(crate) use endpoint::{Endpoint, Reply};
