//! With all trouble over, a world must come to rest: settled, processed, held once, evenly.

use super::world::World;

/// Whether it has.
///
/// # Errors
///
/// What is still missing.
pub(super) fn check(world: &mut World) -> Result<(), String> {
    if let Some(producer) = world.producers.iter().position(|producer| !producer.is_settled()) {
        return Err(format!("producer {producer} still holds records"));
    }
    let unprocessed = world.checks.progress.unprocessed();
    if unprocessed > 0 {
        return Err(format!("{unprocessed} records of the stream are not processed"));
    }
    let now = world.now;
    for shard in world.stream.shards(now) {
        let key = shardflow_core::LeaseKey::from(&shard.id);
        let Some(row) = world.table.leases.get(&key) else {
            // One that is done may have been tidied away.
            if shard.is_open() {
                return Err(format!("{key} has no lease"));
            }
            continue;
        };
        if shard.is_open() {
            let holders =
                world.workers.iter().filter(|worker| worker.believes(now).any(|held| *held == key)).count();
            if holders != 1 {
                return Err(format!("{key} is held by {holders} workers; its row is {row:?}"));
            }
        } else if !row.checkpoint.is_shard_end() {
            return Err(format!("{key} is closed and not done; its row is {row:?}"));
        }
    }
    let loads: Vec<_> = world.workers.iter().map(|worker| worker.believes(now).count()).collect();
    let (least, most) = (loads.iter().min().copied(), loads.iter().max().copied());
    if most.unwrap_or_default() > least.unwrap_or_default() + 1 {
        let rows: Vec<_> = world.table.leases.values().filter(|row| !row.checkpoint.is_shard_end()).collect();
        return Err(format!("loads are {loads:?}: {rows:?}"));
    }
    Ok(())
}
