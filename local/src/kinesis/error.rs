//! What the service refuses with.

use std::fmt;

/// A refusal, with the service's own code and words that say what was wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct KinesisError {
    code: ErrorCode,
    message: String,
}

impl KinesisError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A value that breaks a rule of the request's shape, in the words of the service's validator.
    pub(crate) fn constraint(value: impl fmt::Display, member: &str, rule: &str) -> Self {
        Self::new(
            ErrorCode::Validation,
            format!(
                "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {rule}"
            ),
        )
    }

    /// A member that has to be there and is not.
    pub(crate) fn missing(member: &str) -> Self {
        Self::new(
            ErrorCode::Validation,
            format!(
                "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must not be null"
            ),
        )
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceNotFound, message)
    }

    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceInUse, message)
    }

    /// The service's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What was wrong, in words that are ours.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The codes that this service refuses with. All of them travel with HTTP status 400.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A shard iterator was used more than five minutes after it was given out.
    ExpiredIterator,
    /// A page token was used more than five minutes after it was given out.
    ExpiredNextToken,
    /// A value is out of its range, or does not fit the stream's state.
    InvalidArgument,
    /// A quota of the account or the stream is used up.
    LimitExceeded,
    /// A shard was asked for more than it gives or takes in a second.
    ProvisionedThroughputExceeded,
    /// The stream, consumer or subscription is in a state that does not allow the call.
    ResourceInUse,
    /// There is no such stream, shard or consumer.
    ResourceNotFound,
    /// The body is not what the protocol asks for.
    Serialization,
    /// There is no such operation.
    UnknownOperation,
    /// A value breaks a rule of the request's shape.
    Validation,
}

impl ErrorCode {
    /// The code as it travels, such as `ResourceNotFoundException`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Validation => "ValidationException",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
