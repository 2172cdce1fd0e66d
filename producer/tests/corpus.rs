//! Replays what fuzzing has found interesting (`fuzz/corpus/properties`).
#![cfg(feature = "properties")]

#[path = "../../fuzz/src/properties.rs"]
mod properties;

#[test]
fn the_corpus_of_configuration_files_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/properties");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("a directory entry").path();
        properties::check(&std::fs::read(&path).expect("a readable file"));
        replayed += 1;
    }
    assert!(replayed >= 10, "only {replayed} inputs in {corpus}");
}
