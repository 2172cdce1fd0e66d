//! Replays what fuzzing has found interesting (`fuzz/corpus/coordinator`).

#[path = "../../fuzz/src/coordinator.rs"]
mod coordinator;

#[test]
fn the_corpus_of_the_coordinator_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/coordinator");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("a directory entry").path();
        coordinator::check(&std::fs::read(&path).expect("a readable file"));
        replayed += 1;
    }
    assert!(replayed >= 10, "only {replayed} inputs in {corpus}");
}
