//! Replays what fuzzing has found interesting (`fuzz/corpus/decode`).

#[path = "../../fuzz/src/decode.rs"]
mod decode;

#[test]
fn the_corpus_of_the_decoder_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/decode");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("a directory entry").path();
        decode::check(&std::fs::read(&path).expect("a readable file"));
        replayed += 1;
    }
    assert!(replayed >= 10, "only {replayed} inputs in {corpus}");
}
