//! The steps of `cargo xtask test`.
