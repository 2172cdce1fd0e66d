//! One stream that is written: from accepted records to PutRecords requests and back.
//!
//! ```text
//!  put ──► waiting ──► lane of the shard ──────────────► batch ──► in flight ──► settled
//!          (until the   open bundle ─► ready entries      │            │
//!           first map)      ▲              ▲              │            │ failed: back to the front of its lane
//!                           └──────────────┴──────────────┴────────────┘ misplaced: all of it, by the new map
//! ```
//!
//! A *lane* packs the records of one shard, as the shard map has it; an *entry* is one Kinesis record, an aggregate or a
//! record that travels alone; a *batch* is what one PutRecords request carries. Records leave a lane in the order in
//! which they came, failed ones go back to its front.
//!
//! What holds at every moment:
//!
//! - A record is in one place: waiting, in a lane, in flight, or held until the shard map tells where it went. It is
//!   settled once, when it leaves the last of them.
//! - An aggregate counts as delivered only if the shard that took it owns the hash keys of all its records; otherwise
//!   all of them are sent again, since a KCL drops the whole of it. A record alone is delivered wherever it lands.
//! - An entry that got a sequence number is not sent again but for that.
//! - While a new shard map is fetched the old one serves.
//! - Records share an entry only while the stream is known to go by their hash keys.

mod collect;
mod description;
mod epochs;
mod held;
mod lane;
mod lane_index;
mod limit;
mod measure;
mod pack;
mod pipeline;
mod settings;
mod settle;
mod shard_map;
mod snapshot;
mod spread;
#[cfg(test)]
mod tests;

pub use description::Description;
pub use epochs::FlushId;
pub use measure::{EntryEnd, Measure, RecordsEnd};
pub use pipeline::{Answer, Delivered, Event, Outcome, Pipeline, Placed, PutEntry, Request};
pub use settings::{Ordering, RECORD_OVERHEAD, Settings};
pub use snapshot::{ShardSnapshot, Snapshot};
