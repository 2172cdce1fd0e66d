//! With all trouble over, a world must come to rest: settled, processed, held once, evenly, and led by one.

use shardflow_core::LeaseKey;

use super::trace::Subject;
use super::world::World;

/// Whether it has.
///
/// # Errors
///
/// What is still missing, and of what.
pub(super) fn check(world: &mut World) -> Result<(), (String, Option<Subject>)> {
    if let Some(producer) = world.producers.iter().position(|producer| !producer.is_settled()) {
        return Err((format!("producer {producer} still holds records"), None));
    }
    if let (unprocessed, Some(first)) = world.checks.progress.unprocessed() {
        let what = format!("{unprocessed} records of the stream are not processed, {first:?} first");
        return Err((what, Some(Subject::of(first))));
    }
    let now = world.now;
    for shard in world.stream.shards(now) {
        let key = LeaseKey::from(&shard.id);
        let about = Some(Subject::Lease(key.clone()));
        let Some(row) = world.table.leases.get(&key) else {
            // One that is done may have been tidied away.
            if shard.is_open() {
                return Err((format!("{key} has no lease"), about));
            }
            continue;
        };
        if shard.is_open() {
            let holders = world.workers.iter().filter(|worker| worker.believes_in(&key, now)).count();
            if holders != 1 {
                return Err((format!("{key} is held by {holders} workers; its row is {row:?}"), about));
            }
            if row.checkpoint_owner.is_some() {
                return Err((format!("{key} is on its way: {row:?}"), about));
            }
        } else if !row.checkpoint.is_shard_end() {
            return Err((format!("{key} is closed and not done; its row is {row:?}"), about));
        }
    }
    let loads: Vec<_> = world.workers.iter().map(|worker| worker.believes(now).count()).collect();
    let (least, most) = (loads.iter().min().copied(), loads.iter().max().copied());
    if most.unwrap_or_default() > least.unwrap_or_default() + 1 {
        let rows: Vec<_> = world.table.leases.values().filter(|row| !row.checkpoint.is_shard_end()).collect();
        let members = world.table.members.values();
        let members: Vec<_> =
            members.map(|member| format!("{} at {}", member.worker, member.updated)).collect();
        let lock = world.table.lock.as_ref().map(|lock| &lock.owner);
        return Err((format!("loads are {loads:?}: lock {lock:?}, members {members:?}, {rows:?}"), None));
    }
    let mut names: Vec<_> = world.workers.iter().map(|worker| &worker.id).collect();
    names.sort();
    if let Some(twins) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err((format!("two workers are called {}", twins[0]), None));
    }
    let leaders = world.workers.iter().filter(|worker| worker.leads(now)).count();
    if leaders != 1 {
        return Err((format!("{leaders} workers lead; the lock is {:?}", world.table.lock), None));
    }
    Ok(())
}
