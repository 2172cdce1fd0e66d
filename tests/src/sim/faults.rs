//! What goes wrong with single requests, and how often.

use std::time::Duration;

use fastrand::Rng;

/// How bad a world is. All chances are in parts of a thousand.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// A request is never carried out.
    pub(super) request_lost: u32,
    /// A request is carried out, and nobody hears of it.
    pub(super) answer_lost: u32,
    /// A request or an answer takes up to some seconds.
    pub(super) late: u32,
    /// A single entry of a put is refused as throttled.
    pub(super) entry_refused: u32,
    /// A whole request is refused as throttled, or fails inside the service.
    pub(super) refused: u32,
    /// A look at the table, or at its index, shows some rows as they were a while ago.
    pub(super) stale: u32,
    /// A read reaches a part of the service that has not heard of the shard.
    pub(super) unheard_of: u32,
    /// An answer with records names no next iterator, as at the shard's end.
    pub(super) cut_short: u32,
    /// A handler fails.
    pub(super) handler_fails: u32,
    /// A handler takes longer than a lease lasts.
    pub(super) handler_dawdles: u32,
    /// Records that every handler fails at: one of so many.
    pub(super) poison: Option<u32>,
}

impl Faults {
    pub(super) const NONE: Self = Self {
        request_lost: 0,
        answer_lost: 0,
        late: 0,
        entry_refused: 0,
        refused: 0,
        stale: 0,
        unheard_of: 0,
        cut_short: 0,
        handler_fails: 0,
        handler_dawdles: 0,
        poison: None,
    };

    /// The faults of one world: some kinds missing, so that each is also seen without the others.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut chance = |most: u32| if rng.bool() { rng.u32(1..=most) } else { 0 };
        Self {
            request_lost: chance(30),
            answer_lost: chance(40),
            late: chance(60),
            entry_refused: chance(100),
            refused: chance(40),
            stale: chance(300),
            unheard_of: chance(10),
            cut_short: chance(10),
            handler_fails: chance(50),
            handler_dawdles: chance(6),
            poison: (rng.u8(..4) == 0).then(|| rng.u32(50..1_000)),
        }
    }
}

/// Whether something with a chance of so many in a thousand happens.
pub(super) fn happens(rng: &mut Rng, chance: u32) -> bool {
    chance > 0 && rng.u32(0..1000) < chance
}

/// How long one way through the network takes.
pub(super) fn latency(rng: &mut Rng, late: bool) -> Duration {
    let millis = if late { rng.u64(100..4_000) } else { rng.u64(1..30) };
    Duration::from_micros(millis * 1_000 + rng.u64(0..1_000))
}

/// How long an answer takes on a sluggish link: long, but short enough to be heard.
pub(super) fn dragging(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(1_000..2_400))
}
