//! How long digests take, by back end: `cargo bench -p shardflow-md5`.
//!
//! Compare within a line: each is measured in one go, so what else the machine does weighs on all of it.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use shardflow_md5::{Backend, Digest, digest};

fn main() {
    println!("partition keys, ns each");
    for lengths in [1..=55, 20..=20, 1..=256] {
        for count in [1, 2, 4, 8, 16, 64, 4096] {
            let bytes = bytes(count * 256);
            let keys: Vec<&[u8]> =
                bytes.chunks(256).zip(random()).map(|(key, n)| &key[..pick(&lengths, n)]).collect();
            let title = format!("{count} of {} to {} bytes", lengths.start(), lengths.end());
            measure(&title, &keys, |time| time.as_secs_f64() * 1e9 / count as f64);
        }
    }
    println!("aggregates of 51200 bytes, ms per MB");
    for count in [1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 32, 500] {
        // Not all at the same place within a cache line.
        let bytes = bytes(count * (SIZE + 20));
        let aggregates: Vec<&[u8]> = bytes.chunks(SIZE + 20).map(|chunk| &chunk[..SIZE]).collect();
        measure(&count.to_string(), &aggregates, |time| time.as_secs_f64() * 1e9 / (count * SIZE) as f64);
    }
}

/// Prints what `unit` makes of the time that all digests take.
fn measure(title: &str, messages: &[&[u8]], unit: impl Fn(Duration) -> f64) {
    let mut digests = vec![Digest::default(); messages.len()];
    let plain = least(|| {
        for (message, place) in messages.iter().zip(&mut digests) {
            *place = digest(message);
        }
    });
    print!("{title:>22}: md-5 {:.3}", unit(plain));
    for backend in Backend::available() {
        let time = least(|| backend.digest_all(messages.iter().copied().zip(&mut digests)));
        let ratio = plain.as_secs_f64() / time.as_secs_f64();
        print!(", {} {:.3} ({ratio:.1}x)", backend.name(), unit(time));
    }
    println!();
}

/// The least time that it took: what the code costs when nothing comes in between.
fn least(mut work: impl FnMut()) -> Duration {
    let once = |times: u32, work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(&mut *work)();
        }
        start.elapsed() / times
    };
    // Long enough for the clock, and short enough to be done between two other tasks.
    let times = Duration::from_micros(20).as_nanos() / once(100, &mut work).as_nanos().max(1);
    let times = u32::try_from(times.clamp(1, 10_000)).unwrap_or(1);
    let start = Instant::now();
    let mut least = Duration::MAX;
    while start.elapsed() < Duration::from_millis(100) {
        least = least.min(once(times, &mut work));
    }
    least
}

fn bytes(count: usize) -> Vec<u8> {
    random().take(count).map(|n| n.to_be_bytes()[3]).collect()
}

fn pick(range: &RangeInclusive<usize>, random: u64) -> usize {
    range.start() + (random >> 33) as usize % (range.end() - range.start() + 1)
}

/// Knuth's MMIX generator.
fn random() -> impl Iterator<Item = u64> {
    let next =
        |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(1_u64), next)
}

const SIZE: usize = 51_200;
