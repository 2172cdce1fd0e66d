//! The steps of `cargo xtask test`.

use std::process::ExitCode;

pub(crate) fn test(_require_all: bool, _only: Option<&str>) -> ExitCode {
    ExitCode::FAILURE
}
