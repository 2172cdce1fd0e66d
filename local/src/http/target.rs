//! Which operation a request is for, and in which region.

use http::request::Parts;

use crate::control::{Operation, Service};

/// What a request asks for, as far as its head says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// An operation, in one of the JSON protocols.
    Json(Operation),
    /// An operation of CloudWatch in the protocol that the Rust SDK speaks to it.
    Cbor(Operation),
    /// One that we do not have, of this service, and its name.
    Unknown(Service, &'a str),
    /// Nothing that we can make sense of, in the client's words.
    None(&'a str),
}

/// Where CloudWatch's operations are in rpc-v2-cbor; the JSON protocol has the same word in its header.
const CLOUDWATCH: &str = "GraniteServiceVersion20100801";

impl<'a> Target<'a> {
    pub(super) fn of(head: &'a Parts) -> Self {
        if let Some(target) = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
            let Some((prefix, name)) = target.split_once('.') else { return Self::None(target) };
            let service = match prefix {
                "Kinesis_20131202" => Service::Kinesis,
                "DynamoDB_20120810" => Service::DynamoDb,
                CLOUDWATCH => Service::CloudWatch,
                _ => return Self::None(target),
            };
            return Operation::named(service, name).map_or(Self::Unknown(service, name), Self::Json);
        }
        let path = head.uri.path().trim_start_matches('/');
        let Some((service, name)) =
            path.strip_prefix("service/").and_then(|rest| rest.split_once("/operation/"))
        else {
            return Self::None(head.uri.path());
        };
        if service != CLOUDWATCH {
            return Self::None(head.uri.path());
        }
        Operation::named(Service::CloudWatch, name)
            .map_or(Self::Unknown(Service::CloudWatch, name), Self::Cbor)
    }
}

/// The region in the credential scope of a request's signature:
/// `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`. The signature itself is not looked at.
pub(super) fn region(head: &Parts) -> Option<&str> {
    let authorization = head.headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split(',').next()?.split('/').nth(2).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn operations_are_known_by_header_or_path() {
        for (target, expected) in [
            ("Kinesis_20131202.PutRecords", Target::Json(Operation::PutRecords)),
            ("DynamoDB_20120810.TagResource", Target::Json(Operation::TagTable)),
            ("Kinesis_20131202.TagResource", Target::Json(Operation::TagResource)),
            ("Kinesis_20131202.PutItem", Target::Unknown(Service::Kinesis, "PutItem")),
            ("AmazonSQS.SendMessage", Target::None("AmazonSQS.SendMessage")),
            ("PutItem", Target::None("PutItem")),
        ] {
            assert_eq!(Target::of(&head("/", &[("x-amz-target", target)])), expected);
        }
        let cbor = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        assert_eq!(Target::of(&head(cbor, &[])), Target::Cbor(Operation::PutMetricData));
        assert_eq!(Target::of(&head("/", &[])), Target::None("/"));
    }

    #[test]
    fn the_region_is_that_of_the_signature() {
        let signed =
            "AWS4-HMAC-SHA256 Credential=AKID/20261123/eu-west-1/kinesis/aws4_request, SignedHeaders=host";
        assert_eq!(region(&head("/", &[("authorization", signed)])), Some("eu-west-1"));
        assert_eq!(region(&head("/", &[("authorization", "Bearer x")])), None);
        assert_eq!(region(&head("/", &[])), None);
    }
}
