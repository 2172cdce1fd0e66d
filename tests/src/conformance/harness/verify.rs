//! Words for what is not as it should be.

use std::fmt::{Debug, Write};

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Fails the check with these words unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}
pub(crate) use ensure;

/// Fails unless a value is as expected.
pub(crate) fn same<A: PartialEq<E> + Debug, E: Debug>(
    what: &str,
    actual: A,
    expected: E,
) -> Result<(), String> {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what}: {}, not {}", short(&actual), short(&expected)))
    }
}

/// Fails unless a call was refused, with one of these codes. Gives the code.
pub(crate) fn refused<T, E, R>(answer: Result<T, SdkError<E, R>>, codes: &[&str]) -> Result<String, String>
where
    T: Debug,
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    let error = match answer {
        Ok(answer) => {
            return Err(format!("accepted, not refused with {}: {}", codes.join(" or "), short(&answer)));
        }
        Err(error) => error,
    };
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some(code) if codes.contains(&code) => Ok(code.to_owned()),
        _ => Err(format!("refused with {}, not with {}", told(error), codes.join(" or "))),
    }
}

/// An error as one line: the service's code and words, or what broke on the way.
pub(crate) fn told<E, R>(error: SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    if let Some(service) = error.as_service_error()
        && let Some(code) = service.code()
    {
        return cut(format!("{code}: {}", service.message().unwrap_or_default()));
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        // Writing to a string does not fail.
        write!(text, ": {cause}").unwrap_or_default();
        source = cause.source();
    }
    if let Some(answer) = error.raw_response() {
        write!(text, " ({answer:?})").unwrap_or_default();
    }
    cut(text)
}

fn short(value: &impl Debug) -> String {
    cut(format!("{value:?}"))
}

/// An answer may carry megabytes of records.
fn cut(text: String) -> String {
    match text.char_indices().nth(300) {
        None => text,
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
    }
}
