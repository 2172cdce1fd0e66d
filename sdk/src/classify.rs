//! What the SDK's errors say about a request: its code, and whether it may have been carried out.

use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hyper_util::client::legacy::Error as HttpError;
use shardflow_core::Invalid;
use shardflow_engine::Failure;

/// Tells a failure by the SDK's own cut: not sent, perhaps sent, answered.
#[must_use]
pub fn classify<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(credentials) = find::<CredentialsError>(error) {
        let code = match credentials {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                "NoCredentials"
            }
            // A provider that does not answer, or answers wrongly, may do better next time.
            _ => "CredentialsUnavailable",
        };
        return Failure::refused(code, chain(error));
    }
    match error {
        SdkError::ConstructionFailure(_) => Failure::refused("NotSent", chain(error)),
        SdkError::DispatchFailure(failure) if failure.is_other() && lacks_identity(error) => {
            Failure::refused("NoCredentials", chain(error))
        }
        SdkError::TimeoutError(_) => Failure::unknown("Timeout", chain(error)),
        SdkError::DispatchFailure(_) if never_connected(error) => {
            Failure::refused("ConnectionFailed", chain(error))
        }
        SdkError::DispatchFailure(_) => Failure::unknown("ConnectionFailed", chain(error)),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status();
            let code = answer.err().code().map_or_else(|| format!("Http{}", status.as_u16()), str::to_owned);
            let message = answer.err().message().unwrap_or_default();
            if status.is_server_error() {
                Failure::unknown(code, message)
            } else {
                Failure::refused(code, message)
            }
        }
        // An answer that cannot be read, and whatever the SDK will distinguish one day.
        _ => Failure::unknown("Unreadable", chain(error)),
    }
}

/// An answer that breaks the rules of its own service.
#[must_use]
pub fn unreadable(error: &Invalid) -> Failure {
    Failure::unknown("Unreadable", error.to_string())
}

/// Whether the client was given no credentials at all. The SDK has no type for that which could be named here; should its
/// words change, the request counts as one whose connection failed, and expires.
fn lacks_identity(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with("failed to select an auth scheme"))
}

/// Whether it is sure that nothing was sent, since there was nobody to send it to: no such name, no such port, no TLS.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    // The SDK's HTTP client says so of every failure before there was a connection. A client of the application's own
    // may say it in the system's words only.
    find::<HttpError>(error).is_some_and(HttpError::is_connect)
        || find::<ResolveDnsError>(error).is_some()
        || find::<io::Error>(error).is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            )
        })
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error and what caused it, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use aws_credential_types::Credentials;
    use aws_sdk_kinesis::config::retry::RetryConfig;
    use aws_sdk_kinesis::operation::list_shards::ListShardsError;
    use aws_sdk_kinesis::types::error::ResourceNotFoundException;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use shardflow_core::Fate::{self, Absent, Unknown};

    use super::*;

    type Sdk = SdkError<ListShardsError, HttpResponse>;

    fn told(error: &Sdk) -> (String, Fate) {
        let Failure { code, fate, .. } = classify(error);
        (code, fate)
    }

    fn answered(status: u16, code: Option<&str>) -> Sdk {
        let mut meta = ErrorMetadata::builder().message("the service's words");
        if let Some(code) = code {
            meta = meta.code(code);
        }
        Sdk::service_error(ListShardsError::generic(meta.build()), raw(status))
    }

    fn raw(status: u16) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::empty())
    }

    fn unconnected(error: impl Into<Box<dyn Error + Send + Sync>>) -> Sdk {
        Sdk::dispatch_failure(ConnectorError::io(error.into()))
    }

    #[test]
    fn an_answer_keeps_its_code_and_its_words() {
        let failure = classify(&answered(400, Some("LimitExceededException")));
        assert_eq!(failure, Failure::refused("LimitExceededException", "the service's words"));
        let modelled = ResourceNotFoundException::builder()
            .meta(ErrorMetadata::builder().code("ResourceNotFoundException").build())
            .build();
        let modelled = Sdk::service_error(ListShardsError::ResourceNotFoundException(modelled), raw(400));
        assert_eq!(told(&modelled), ("ResourceNotFoundException".to_owned(), Absent));
    }

    #[test]
    fn a_server_that_failed_may_have_carried_it_out() {
        assert_eq!(told(&answered(500, Some("InternalFailure"))), ("InternalFailure".to_owned(), Unknown));
        assert_eq!(told(&answered(503, None)), ("Http503".to_owned(), Unknown));
        assert_eq!(told(&answered(403, None)), ("Http403".to_owned(), Absent), "a proxy, say");
        let unread = Sdk::response_error("no JSON", raw(200));
        assert_eq!(told(&unread), ("Unreadable".to_owned(), Unknown));
    }

    #[test]
    fn a_request_that_was_not_made_or_not_answered_is_told_apart() {
        assert_eq!(told(&Sdk::construction_failure("no region")), ("NotSent".to_owned(), Absent));
        assert_eq!(told(&Sdk::timeout_error("late")), ("Timeout".to_owned(), Unknown));
    }

    #[test]
    fn a_connection_that_breaks_leaves_the_fate_open_and_one_that_was_never_made_does_not() {
        use io::ErrorKind as Kind;
        for (kind, fate) in [
            (Kind::ConnectionRefused, Absent),
            (Kind::HostUnreachable, Absent),
            (Kind::NetworkUnreachable, Absent),
            (Kind::AddrNotAvailable, Absent),
            (Kind::ConnectionReset, Unknown),
            (Kind::BrokenPipe, Unknown),
            (Kind::TimedOut, Unknown),
        ] {
            let error = unconnected(io::Error::from(kind));
            assert_eq!(told(&error), ("ConnectionFailed".to_owned(), fate), "{kind:?}");
        }
        assert_eq!(told(&unconnected("broken")), ("ConnectionFailed".to_owned(), Unknown));
    }

    #[test]
    fn a_name_that_a_resolver_of_the_applications_own_does_not_know_is_a_connection_never_made() {
        let error = unconnected(ResolveDnsError::new("no such host"));
        assert_eq!(told(&error), ("ConnectionFailed".to_owned(), Absent));
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_a_connection_never_made() {
        // A label is 63 characters at most, so that no resolver asks the network for this one.
        let nowhere = format!("http://{}.invalid", "a".repeat(64));
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_kinesis::config::Region::new("us-east-1"))
            .credentials_provider(Credentials::new("any", "any", None, None, "test"))
            .endpoint_url(nowhere)
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = aws_sdk_kinesis::Client::from_conf(config.build());
        let error = client.list_shards().send().await.unwrap_err();
        assert_eq!(told(&error), ("ConnectionFailed".to_owned(), Absent), "{error:?}");
    }

    #[test]
    fn no_credentials_are_told_from_credentials_that_may_yet_come() {
        let cases = [
            (CredentialsError::not_loaded("none"), "NoCredentials"),
            (CredentialsError::invalid_configuration("wrong profile"), "NoCredentials"),
            (
                CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)),
                "CredentialsUnavailable",
            ),
            (CredentialsError::provider_error("busy"), "CredentialsUnavailable"),
            (CredentialsError::unhandled("odd"), "CredentialsUnavailable"),
        ];
        for (error, code) in cases {
            let error = Sdk::dispatch_failure(ConnectorError::other(error.into(), None));
            assert_eq!(told(&error), (code.to_owned(), Absent));
        }
    }

    #[test]
    fn the_words_go_down_to_the_cause() {
        let error = unconnected(io::Error::other("the cable is out"));
        assert!(classify(&error).message.ends_with(": the cable is out"), "{}", classify(&error).message);
    }

    #[test]
    fn an_answer_that_breaks_its_own_rules_may_have_been_carried_out() {
        let error = "shard?".parse::<shardflow_core::ShardId>().unwrap_err();
        let failure = unreadable(&error);
        assert_eq!((failure.code.as_str(), failure.fate), ("Unreadable", Unknown));
        assert!(failure.message.contains("shard?"), "{}", failure.message);
    }
}
