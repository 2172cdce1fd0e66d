//! What must hold of the decoder for any input. Shared by the fuzz target and by the test that replays its corpus.

use bytes::Bytes;
use shardflow_core::aggregation::{AggregateSize, Aggregator, MAGIC, decode};
use shardflow_md5::digest;

/// Decodes the input as it is, and once more with a magic and the right digest around it, so that the fuzzer need not
/// find an MD5. What can be read is written and read again: the records must be the same.
pub(crate) fn check(input: &[u8]) {
    drop(decode(&Bytes::copy_from_slice(input)));
    let sealed: Bytes = [&MAGIC[..], input, &digest(input)].concat().into();
    let Ok(records) = decode(&sealed) else { return };
    let records: Vec<_> = records.into_iter().map(|sub| sub.into_record()).collect();
    let mut aggregator = Aggregator::new(AggregateSize::MAX);
    for record in &records {
        let told = aggregator.size_with(record);
        if aggregator.try_push(record).is_err() {
            // Small input can name a long key many times over, but never past 10 MiB in a bounded fuzz run.
            return;
        }
        assert_eq!(aggregator.size(), told, "the size is exact before each push");
    }
    if records.len() < 2 {
        return;
    }
    let size = aggregator.size();
    let packed = aggregator.finish().expect("it holds records");
    assert_eq!(packed.data.len(), size);
    let again: Vec<_> =
        decode(&packed.data).expect("we wrote it").into_iter().map(|sub| sub.into_record()).collect();
    assert_eq!(again, records);
}
