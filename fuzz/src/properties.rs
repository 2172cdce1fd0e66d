//! What must hold of the reader of the KPL's configuration files for any file. Shared by the fuzz target and by the test
//! that replays its corpus.

use shardflow_producer::Config;

/// Any bytes are read, or refused with an error that can be told; reading the same twice gives the same.
pub(crate) fn check(input: &[u8]) {
    let read = || match Config::from_properties(input) {
        Ok((config, ignored)) => format!("{config:?} {ignored:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            text
        }
    };
    assert_eq!(read(), read());
}
