//! Requests that failed, and what a failure means for the next try.

use shardflow_core::Fate;

/// A request that was not carried out, or may not have been.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The service's error code, or what the shell calls the failure: `Timeout`, `ConnectionFailed`, `NoCredentials`,
    /// `NotSent`, `Unreadable`.
    pub code: String,
    /// The words that came with it.
    pub message: String,
    /// Whether the request may have been carried out nevertheless.
    pub fate: Fate,
}

impl Failure {
    /// A failure after which nothing has changed.
    #[must_use]
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), fate: Fate::Absent }
    }

    /// A failure after which the request may or may not have been carried out.
    #[must_use]
    pub fn unknown(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), fate: Fate::Unknown }
    }

    /// What it means for the next try.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.code)
    }
}

/// What an error code means for the next try of the same request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may well succeed. So is every code that is not known: services grow new ones.
    Retry,
    /// It may succeed later; others want the same.
    Throttled,
    /// Something in the request is wrong, and the rest of it may be right.
    Isolate,
    /// It will fail again until somebody changes something.
    Refuse,
}

impl Verdict {
    /// The verdict on a code. Codes: API reference of PutRecords, ListShards and GetRecords, and the SDK's own.
    #[must_use]
    pub fn of(code: &str) -> Self {
        match code {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => Self::Throttled,
            "ValidationException" | "InvalidArgumentException" | "SerializationException" => Self::Isolate,
            "ResourceNotFoundException"
            | "AccessDeniedException"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "OptInRequired"
            | "UnknownOperationException"
            | "NoCredentials"
            | "NotSent" => Self::Refuse,
            _ => Self::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_nobody_knows_are_tried_again() {
        assert_eq!(Verdict::of("SomethingNewException"), Verdict::Retry);
        assert_eq!(Verdict::of("ExpiredTokenException"), Verdict::Retry, "credentials rotate");
        assert_eq!(Verdict::of("InternalFailure"), Verdict::Retry);
        assert_eq!(Verdict::of("AccessDeniedException"), Verdict::Refuse);
        assert_eq!(Failure::refused("ValidationException", "").verdict(), Verdict::Isolate);
    }
}
