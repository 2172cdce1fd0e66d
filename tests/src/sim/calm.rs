//! A healed world's last minutes: calm, in which nothing may move, and then one thing that happens to a fleet that is well,
//! which must be over in the time that `docs/leases.md` promises.

use std::collections::BTreeMap;
use std::time::Duration;

use shardflow_core::LeaseKey;

use super::invariants::Seen;
use super::network::Actor;
use super::trace::Broken;
use super::world::{FAILOVER, World};

/// The longest time between two looks of the workers of these worlds.
const LOOK: Duration = Duration::from_secs(5);
/// How long a lease is unread while it is handed over to a worker that has been told. One that has just joined finds what it
/// was given at its next look.
const HANDOVER: Duration = Duration::from_millis(2_500);

/// Lives through both.
pub(super) fn live(world: &mut World) -> Result<(), Broken> {
    // What was under way when the last of it was found to be well.
    world.run_until(world.now + Duration::from_secs(25))?;
    let patience = Duration::from_secs(if world.has_java() { 400 } else { 60 });
    world.converge(patience)?;
    let shards = world.stream.shards(world.now).iter().filter(|shard| shard.is_open()).count();
    let java = world.has_java();
    let calm = Seen::Calm { workers: world.workers.len(), shards, leases: world.table.leases.len(), java };
    world.see(&calm)?;
    put(world, true);
    world.run_until(world.now + Duration::from_secs(60))?;
    world.see(&Seen::Stirred)?;
    // A KCL gives nothing back when it stops, and takes its time over all else.
    let stirs = if world.has_java() { 9 } else { world.rng.u8(..6) };
    match stirs {
        0 if world.workers.len() > 1 => {
            // Counted from the last proof of each lease, which may be as old as the crash.
            let number = world.rng.usize(..world.workers.len());
            stir(world, "a worker crashes", |world| {
                world.crash(number);
                Ok(())
            })?;
            watch(world, LOOK + FAILOVER + FAILOVER / 10 + Duration::from_secs(1), Duration::from_secs(40))?;
        }
        1 if world.workers.len() > 1 => {
            let number = world.rng.usize(..world.workers.len());
            stir(world, "a worker stops", |world| world.stop(number))?;
            watch(world, HANDOVER, Duration::from_secs(20))?;
        }
        2 => {
            stir(world, "a worker joins", |world| world.join().map(drop))?;
            watch(world, LOOK + HANDOVER, Duration::from_secs(40))?;
        }
        3 => {
            stir(world, "a reshard", |world| {
                let now = world.now;
                world.stream.reshard(now, &mut world.rng, 16);
                Ok(())
            })?;
            watch(world, Duration::from_secs(8), Duration::from_secs(30))?;
        }
        _ => {}
    }
    put(world, false);
    world.start_the_dead()?;
    world.converge(patience)
}

fn stir(
    world: &mut World,
    what: &str,
    happens: impl FnOnce(&mut World) -> Result<(), Broken>,
) -> Result<(), Broken> {
    world.see(&Seen::Trouble { what })?;
    happens(world)
}

fn put(world: &mut World, on: bool) {
    for number in 0..world.producers.len() {
        world.producers[number].next_put = on.then_some(world.now);
        world.touched(Actor::Producer(number));
    }
}

/// Looks ten times a second for leases that nobody reads, and for how long.
fn watch(world: &mut World, allowed: Duration, time: Duration) -> Result<(), Broken> {
    let mut unread: BTreeMap<LeaseKey, Duration> = BTreeMap::new();
    let until = world.now + time;
    while world.now < until {
        let now = world.now;
        let open = world.stream.shards(now).into_iter().filter(shardflow_core::Shard::is_open);
        for key in open.map(|shard| LeaseKey::from(&shard.id)) {
            if world.workers.iter().any(|worker| worker.believes_in(&key, now)) {
                unread.remove(&key);
                continue;
            }
            let time = now - *unread.entry(key.clone()).or_insert(now);
            world.see(&Seen::Unread { key: &key, time, allowed })?;
        }
        world.run_until(now + Duration::from_millis(100))?;
    }
    Ok(())
}
