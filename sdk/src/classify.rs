//! What the SDK's errors say about a request: its code, and whether it may have been carried out.

use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
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

/// Whether it is sure that nothing was sent, since there was nobody to send it to.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|error| {
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
