//! What must hold of the reader of lease rows for any item that somebody has put into the table. Shared by the fuzz target
//! and by the test that replays its corpus.

/// Reads the input as an item, an attribute a line: its name, `S`, `N`, `L` (a set of texts) or `0` (null), and its value,
/// parted by tabulators. What can be read must be written and read again as the same row: `read` does both.
pub(crate) fn check(input: &[u8], read: impl Fn(&[(&str, char, &str)]) -> Result<(), String>) {
    let text = String::from_utf8_lossy(input);
    let attributes: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, '\t');
            let (name, kind) = (parts.next()?, parts.next()?.chars().next()?);
            Some((name, kind, parts.next().unwrap_or_default()))
        })
        .collect();
    if let Err(error) = read(&attributes) {
        assert!(!error.is_empty(), "an error that tells nothing");
    }
}
