//! Checkpoints that are noted for later.

use shardflow_core::PendingCheckpoint;

use super::*;

fn note(number: u64, state: &'static str) -> PendingCheckpoint {
    PendingCheckpoint::new(at(number), Some(state.into()))
}

impl Fleet {
    fn prepare(&mut self, pending: PendingCheckpoint, id: u64) {
        let (now, tenure) = (self.now, self.tenure("a", 0));
        let worker = self.workers.get_mut("a").unwrap();
        worker.prepare(now, &lease_key(0), tenure, pending, CheckpointId(id));
    }
}

#[test]
fn a_note_is_a_renewal_too_and_a_checkpoint_drops_it() {
    let mut fleet = Fleet::settled(1);
    fleet.requests.clear();
    fleet.prepare(note(7, "half"), 1);
    fleet.run(3);
    assert_eq!(fleet.told("a"), [&Event::Checkpointed { id: CheckpointId(1) }]);
    let writes = fleet.requests.iter().filter(|request| matches!(request, Request::Write { .. })).count();
    assert_eq!(writes, 1, "{:?}", fleet.requests);
    assert_eq!(
        (fleet.row(0).pending.clone(), &fleet.row(0).checkpoint),
        (Some(note(7, "half")), &Checkpoint::TrimHorizon)
    );
    fleet.checkpoint("a", 0, 7, 2);
    fleet.run(1);
    assert_eq!((fleet.row(0).pending.clone(), &fleet.row(0).checkpoint), (None, &at(7)));
}

#[test]
fn notes_and_checkpoints_go_one_at_a_time() {
    let mut fleet = Fleet::settled(1);
    fleet.prepare(note(7, "first"), 1);
    fleet.prepare(note(8, "second"), 2);
    fleet.checkpoint("a", 0, 6, 3);
    fleet.run(2);
    let told: Vec<_> = fleet.told("a").into_iter().cloned().collect();
    assert_eq!(told, [1, 3, 2].map(|id| Event::Checkpointed { id: CheckpointId(id) }));
    assert_eq!((fleet.row(0).pending.clone(), &fleet.row(0).checkpoint), (Some(note(8, "second")), &at(6)));
}

#[test]
fn a_note_whose_own_answer_was_lost_is_known_again() {
    for retried_inside_the_store in [false, true] {
        let mut fleet = Fleet::settled(1);
        fleet.prepare(note(7, "half"), 1);
        let (id, key, change) = fleet.next_write("a");
        drop(fleet.carry_out(Request::Write { key: key.clone(), change: change.clone() }));
        let answer =
            if retried_inside_the_store { fleet.carry_out(Request::Write { key, change }) } else { lost() };
        fleet.answer("a", id, answer);
        fleet.run(1);
        assert_eq!(fleet.told("a"), [&Event::Checkpointed { id: CheckpointId(1) }]);
    }
}

#[test]
fn a_row_with_another_note_is_not_ours() {
    let mut fleet = Fleet::settled(1);
    fleet.prepare(note(7, "half"), 1);
    let (id, key, change) = fleet.next_write("a");
    let row = fleet.table.get_mut(&lease_key(0)).unwrap();
    row.counter += 1;
    row.pending = Some(note(7, "the other half"));
    let answer = fleet.carry_out(Request::Write { key, change });
    fleet.answer("a", id, answer);
    fleet.drain("a");
    let told = fleet.told("a");
    assert!(matches!(told[0], Event::NotCheckpointed { cause: NotWritten::LeaseLost, .. }), "{told:?}");
    assert!(matches!(told[1], Event::Lost { cause: LossCause::Taken, .. }));
}
