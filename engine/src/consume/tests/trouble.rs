//! Handlers that fail, and what the policies make of it.

use super::*;

fn with_policy(after: u32, then: Then) -> Talk {
    with(Settings { give_up: Some(GiveUp { after, then }), ..Settings::default() })
}

fn with(settings: Settings) -> Talk {
    let settings = Settings { read_ahead: 1, ..settings };
    let row = LeaseRow::new(ShardId::numbered(0), Checkpoint::TrimHorizon);
    let until = Moment::from_start(Duration::from_secs(1_000_000));
    let mut talk = Talk::reading();
    talk.life = ShardLife::new(row, until, settings, 7, talk.now);
    talk.asked.clear();
    talk.drain();
    talk.done();
    talk.open();
    talk
}

impl Talk {
    fn panic(&mut self) {
        let (id, _) = self.take("work", Self::is_work);
        self.answer(id, Answer::Panicked(Failure::unknown("Panicked", "no disk")));
    }

    fn restart(&mut self, stored: Checkpoint, passed: &[u32]) {
        let (id, _) = self.take("a fresh handler", |r| matches!(r, Request::Restart));
        self.answer(
            id,
            Answer::Fresh { checkpoint: stored, passed: passed.iter().copied().map(at).collect() },
        );
        assert!(matches!(self.asked[0].1, Request::Initialize));
        self.done();
    }

    /// Fails at batches that hold record 6 until it is passed, as long as it is asked to process anything.
    fn process_all_but_6(&mut self) -> Vec<(String, u64)> {
        let mut processed = Vec::new();
        while self.asked.iter().any(|(_, r)| matches!(r, Request::Process(_))) {
            let batch = self.batch();
            if batch.contains(&("6".into(), 0)) {
                self.fail();
                self.sleep(1_000);
            } else {
                self.done();
                processed.extend(batch);
            }
        }
        processed
    }
}

fn at(number: u32) -> Checkpoint {
    Checkpoint::at(number.to_string().parse().unwrap(), 0)
}

#[test]
fn only_the_record_at_fault_is_skipped() {
    let mut talk = with_policy(3, Then::Skip);
    talk.page((1..=9).map(record).collect(), 500);
    assert_eq!(talk.process_all_but_6(), numbers(&[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]));
    assert!(matches!(talk.told.last(), Some(Event::Skipped { at: told, times: 3, .. }) if *told == at(6)));
    let (id, request) = talk.take("to pass", |r| matches!(r, Request::Pass(_)));
    assert!(matches!(request, Request::Pass(batch) if batch.records.len() == 1));
    talk.answer(id, Answer::Done);
    assert_eq!(talk.process_all_but_6(), numbers(&[(7, 0), (8, 0), (9, 0)]));
    let failures = talk.told.iter().filter(|event| matches!(event, Event::HandlerFailed { .. })).count();
    // Three together; 5 to 9 and 5 and 6 once, where there are halves left; three alone.
    assert!((6..=8).contains(&failures), "{failures}");
}

#[test]
fn a_batch_that_is_taken_back_is_no_failure() {
    let mut talk = with_policy(1, Then::Skip);
    talk.page(vec![record(1)], 0);
    talk.life.stop(talk.now, Stop::Handoff);
    let (id, _) = talk.take("work", Talk::is_work);
    talk.answer(id, Answer::Untouched);
    assert!(
        matches!(talk.asked[..], [(_, Request::Stop(Stop::Handoff))]),
        "not passed over: {:?}",
        talk.asked
    );
    assert!(talk.told.is_empty(), "{:?}", talk.told);
}

#[test]
fn a_dead_letter_is_sent_until_it_is_taken() {
    let mut talk = with_policy(2, Then::DeadLetter);
    talk.page(vec![record(1)], 500);
    talk.fail();
    talk.sleep(1_000);
    talk.fail();
    for times in 1..=3 {
        let (id, request) = talk.take("to bury", |r| matches!(r, Request::DeadLetter { .. }));
        assert!(matches!(request, Request::DeadLetter { failure, .. } if failure.message == "no disk"));
        talk.answer(id, Answer::Failed(Failure::refused("DeadLetterFailed", "no queue")));
        assert!(
            matches!(talk.told.last(), Some(Event::DeadLetterFailed { times: told, .. }) if *told == times)
        );
        assert!(!talk.asked.iter().any(|(_, r)| matches!(r, Request::Process(_) | Request::Pass(_))));
        talk.sleep(1_000);
    }
    let (id, _) = talk.take("to bury", |r| matches!(r, Request::DeadLetter { .. }));
    talk.answer(id, Answer::Done);
    assert!(matches!(talk.told.last(), Some(Event::DeadLettered { .. })));
    talk.life.stop(talk.now, Stop::Shutdown);
    talk.drain();
    let (id, _) = talk.take("to pass", |r| matches!(r, Request::Pass(_)));
    talk.answer(id, Answer::Done);
    assert!(matches!(talk.work(), Request::Stop(Stop::Shutdown)), "what is decided is let pass before");
}

#[test]
fn a_shard_rests_and_begins_at_its_checkpoint_with_a_fresh_handler() {
    let mut talk = with_policy(2, Then::Rest);
    talk.page(vec![record(1)], 500);
    talk.done();
    talk.sleep(200);
    talk.page(vec![record(2), record(3)], 500);
    talk.fail();
    talk.sleep(1_000);
    talk.page(vec![record(4)], 500);
    talk.fail();
    assert!(matches!(talk.told.last(), Some(Event::Resting { .. })));
    talk.sleep(299_000);
    assert!(talk.asked.is_empty(), "{:?}", talk.asked);
    talk.sleep(1_000);
    talk.restart(at(1), &[]);
    assert_eq!(talk.open(), ShardPosition::AtSequenceNumber("1".parse().unwrap()));
    talk.page(vec![record(1), record(2), record(3)], 500);
    assert_eq!(talk.batch(), numbers(&[(2, 0), (3, 0)]));
    talk.fail();
    assert!(matches!(talk.told.last(), Some(Event::HandlerFailed { times: 1, .. })), "the count begins anew");
}

#[test]
fn a_shard_that_rests_is_given_up_when_it_is_asked_for() {
    for (stop, finish) in [(Stop::Shutdown, Finish::Released), (Stop::LeaseLost, Finish::LeaseLost)] {
        let mut talk = with_policy(1, Then::Rest);
        talk.page(vec![record(1)], 500);
        talk.fail();
        talk.sleep(1_000);
        talk.life.stop(talk.now, stop);
        talk.drain();
        talk.done();
        assert_eq!(talk.finish(), Some(finish));
    }
}

#[test]
fn after_a_panic_a_fresh_handler_begins_at_the_checkpoint() {
    let mut talk = Talk::reading();
    talk.page(vec![record(1)], 500);
    talk.done();
    talk.sleep(200);
    talk.page(vec![record(2)], 500);
    talk.panic();
    talk.sleep(200);
    talk.restart(Checkpoint::TrimHorizon, &[]);
    assert_eq!(talk.open(), ShardPosition::TrimHorizon);
    talk.page(vec![record(1), record(2)], 500);
    assert_eq!(talk.batch(), numbers(&[(1, 0), (2, 0)]), "the old one may have kept the first in memory");
}

#[test]
fn a_record_that_makes_handlers_panic_is_found_and_passed_over_for_the_fresh_one_too() {
    let mut talk = with_policy(3, Then::Skip);
    let all = || (1..=9).map(record).collect();
    let mut panics = 0;
    talk.page(all(), 500);
    loop {
        while !talk.batch().contains(&("6".into(), 0)) {
            talk.done();
        }
        panics += 1;
        assert!(panics < 10, "it is not found");
        talk.panic();
        if talk.asked.iter().any(|(_, r)| matches!(r, Request::Pass(_))) {
            break;
        }
        talk.sleep(30_000);
        talk.restart(Checkpoint::TrimHorizon, &[]);
        talk.open();
        talk.page(all(), 500);
    }
    assert_eq!(panics, 3 + 3 + 3, "together, in smaller and smaller parts, and alone");
    talk.done();
    talk.restart(Checkpoint::TrimHorizon, &[6]);
    talk.open();
    talk.page(all(), 500);
    assert_eq!(talk.process_all_but_6(), numbers(&[1, 2, 3, 4, 5, 7, 8, 9].map(|number| (number, 0))));
}

#[test]
fn a_fresh_handler_does_not_skip_what_came_since_the_newest_record_was_looked_for() {
    let mut talk = Talk::from(Checkpoint::Latest);
    talk.done();
    talk.open();
    talk.page(vec![record(1)], 0);
    talk.panic();
    talk.sleep(200);
    talk.restart(Checkpoint::Latest, &[]);
    assert_eq!(talk.open(), ShardPosition::AtTimestamp(SystemTime::UNIX_EPOCH));
}

#[test]
fn a_call_that_does_not_return_is_told_at_growing_intervals() {
    let mut talk = with(Settings { warn_after: Some(Duration::from_secs(10)), ..Settings::default() });
    talk.page(vec![record(1)], 0);
    let slow = |talk: &Talk| -> Vec<_> {
        let time = |event: &Event| match event {
            Event::Slow { time } => Some(time.as_secs()),
            _ => None,
        };
        talk.told.iter().filter_map(time).collect()
    };
    talk.sleep(9_999);
    assert!(slow(&talk).is_empty());
    talk.sleep(100_000);
    assert_eq!(slow(&talk), [10, 20, 40, 80]);
    talk.done();
    talk.sleep(100_000);
    assert_eq!(slow(&talk), [10, 20, 40, 80], "it has returned");
}
