//! What `cargo xtask bench consumer` is made of: a worker, what puts records for it, and the least that reading can cost.
#![forbid(unsafe_code)]

mod clients;
mod feed;
mod fill;
mod floor;
mod work;

use std::error::Error;
use std::io::Read;
use std::thread;

use clap::Parser;
use tokio::sync::oneshot;

/// What is to be done.
#[derive(Debug, Parser)]
enum Arguments {
    /// Puts a number of records as the KPL would, in aggregates, and ends
    Fill(fill::Arguments),
    /// Puts numbered records into all shards evenly until standard input ends
    Feed(feed::Arguments),
    /// Runs a worker until standard input ends, and then stops it gracefully
    Work(work::Arguments),
    /// Reads answers of GetRecords: their JSON, base64 and MD5, and nothing else
    Floor(floor::Arguments),
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    // As `#[tokio::main]` makes it, which is what applications have.
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match arguments {
        Arguments::Fill(fill) => runtime()?.block_on(fill::run(fill)),
        Arguments::Feed(feed) => runtime()?.block_on(feed::run(feed)),
        Arguments::Work(work) => runtime()?.block_on(work::run(work)),
        Arguments::Floor(floor) => floor::run(&floor),
    }
}

/// Says a line. Whoever started this reads it.
#[expect(clippy::print_stdout, reason = "lines are what the programs are for")]
fn say(line: &str) {
    println!("{line}");
}

/// Ends when standard input does, and so with whoever started this.
fn end_of_input() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let _read = std::io::stdin().read_to_end(&mut Vec::new()).is_ok();
        // If nobody waits any more, the program ends anyway.
        tell.send(()).unwrap_or_default();
    });
    told
}
