//! What a person sees of a run.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::account::{Books, Verdict};

/// A progress bar, and lines above it. Without a terminal there are only the lines.
#[derive(Debug)]
pub struct Screen {
    bar: ProgressBar,
}

impl Screen {
    /// A bar for so many events.
    ///
    /// # Panics
    ///
    /// Never: its template is one.
    #[must_use]
    pub fn new(events: u64) -> Self {
        let template = "{bar:40} {human_pos}/{human_len} events processed, {per_sec}";
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let bar = ProgressBar::new(events).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// So many events have been processed.
    pub fn processed(&self, events: u64) {
        self.bar.set_position(events);
    }

    /// Says something while the bar stays.
    #[expect(clippy::print_stdout, reason = "this is what a person reads")]
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// Takes the bar away, and shows what came of the run.
    pub fn finish(&self, books: &Books, verdict: &Verdict, took: Duration) {
        self.bar.finish_and_clear();
        self.say(&shards(books));
        self.say(&workers(books));
        self.say(&rates(books, took));
        self.say(&verdict.to_string());
    }
}

fn shards(books: &Books) -> String {
    let header = ["Shard", "Events put", "Kinesis records", "Events each", "Processed", "By"];
    let rows = books.shards.iter().map(|(id, shard)| {
        let records = shard.kinesis_records.len();
        [
            id.to_string(),
            shard.put.to_string(),
            records.to_string(),
            ratio(shard.put, records as u64),
            shard.processed.to_string(),
            shard.workers.join(", then "),
        ]
    });
    table(header, rows)
}

fn workers(books: &Books) -> String {
    let header = ["Worker", "Shards", "Processed", "Of these again"];
    let rows = books.workers.iter().map(|(name, worker)| {
        [
            (*name).to_owned(),
            worker.shards.len().to_string(),
            worker.processed.to_string(),
            worker.repeats.to_string(),
        ]
    });
    table(header, rows)
}

fn rates(books: &Books, took: Duration) -> String {
    let processed: u64 = books.workers.values().map(|worker| worker.processed).sum();
    let records: usize = books.shards.values().map(|shard| shard.kinesis_records.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let per_second = processed as f64 / took.as_secs_f64();
    let took = took.as_secs_f64();
    let ratio = ratio(books.delivered, records as u64);
    format!("{per_second:.0} records/s over {took:.1} s; {ratio} events in a Kinesis record.\n")
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1}", part as f64 / whole as f64) }
}

/// Columns as wide as their widest cell: the first and any last one of words to the left, numbers to the right.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        text.push('\n');
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let numbers = rows[1..].iter().any(|row| row[column].starts_with(|c: char| c.is_ascii_digit()));
            text += &if numbers { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        text.truncate(text.trim_end().len());
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_to_the_left_and_numbers_to_the_right() {
        let rows =
            [["a".to_owned(), "5".to_owned(), "x".to_owned()], ["bcd".into(), "1000".into(), "y".into()]];
        let text = table(["Who", "Count", "By"], rows.into_iter());
        assert_eq!(text, "\nWho  Count  By\na        5  x\nbcd   1000  y\n");
    }

    #[test]
    fn a_shard_that_took_nothing_has_no_ratio() {
        assert_eq!((ratio(0, 0), ratio(30, 4)), ("-".to_owned(), "7.5".to_owned()));
    }
}
