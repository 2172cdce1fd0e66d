//! No shard is left unread for longer than `docs/leases.md` says, when one thing happens to a fleet that is well: a worker dies,
//! stops or joins, or a shard is split or merged.

use std::time::Duration;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct ReadInTime;

impl Invariant for ReadInTime {
    fn see(&mut self, _now: Duration, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Unread { key, time, allowed } if time > allowed => {
                Err(format!("nobody reads {key}, for {time:?}, where {allowed:?} is promised"))
            }
            _ => Ok(()),
        }
    }
}
