//! Which leases an application needs: from the shards of the stream and the rows that there are.

mod plan;

pub use plan::{Cover, Incomplete, ShardFilter, cover, lease, plan};
