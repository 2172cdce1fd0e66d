//! DynamoDB's calls, which pass through to the embedded database.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::{Content, Protocol, Refusal};
use super::endpoint::{Endpoint, Incoming, Reply};
use super::exchange::Applied;
use crate::control::{Call, Service};
use crate::dynamodb::DynamoDbError;

const PROTOCOL: Protocol = Protocol::Json10(Service::DynamoDb);

impl Endpoint {
    pub(super) async fn dynamodb(&self, incoming: Incoming<'_>) -> Reply {
        let Incoming { operation, region, body } = &incoming;
        let table = named_table(body);
        let resource = table.as_deref();
        let call = Call { operation: *operation, resource, region, at: self.clock.now(), body };
        self.carry_out(call, PROTOCOL, |_| {
            let answer = self.dynamodb.call(*operation, body)?;
            Ok(Applied::fully(PROTOCOL.answer(answer)))
        })
        .await
    }
}

/// The table that a request names, as a name or an ARN.
fn named_table(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Names<'a> {
        #[serde(borrow, alias = "ResourceArn")]
        table_name: Option<Cow<'a, str>>,
    }
    let name = serde_json::from_slice::<Names<'_>>(body).ok()?.table_name?;
    let table = name.split_once(":table/").map_or(&*name, |(_, table)| table);
    table.split('/').next().map(str::to_owned)
}

impl From<DynamoDbError> for Refusal {
    fn from(error: DynamoDbError) -> Self {
        Self { code: error.code, status: error.status, content: Content::Ready(error.body) }
    }
}
