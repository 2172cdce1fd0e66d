//! What must hold of the lease coordinator whatever it is told. Shared by the fuzz target and by the test that replays its
//! corpus.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use shardflow_core::{
    Checkpoint, ClientVersion, HashKeyRange, InitialPosition, LeaderLock, LeaseKey, LeaseRow, Member,
    PendingCheckpoint, Shard, ShardId, View, WorkerId,
};
use shardflow_engine::lease::{Answer, CheckpointId, Coordinator, Event, Request, Settings, Tenure};
use shardflow_engine::{Failure, Moment, RequestId};

/// Most requests that may wait for an answer. A worker that knows of eight leases has a few under way for each.
const UNANSWERED: usize = 300;
/// Most requests that one thing that happens may lead to.
const AT_ONCE: usize = 150;

/// Reads the input as a script: what time passes, what is answered, and how, and what the application wants. The
/// coordinator must not panic, never ask without end, and want to be woken only when there is something to do.
pub(crate) fn check(input: &[u8]) {
    let mut script = Script { input, at: 0 };
    let me: WorkerId = "me".parse().expect("a name");
    let mut settings = Settings { max_leases: 1 + usize::from(script.next() % 9), ..Settings::default() };
    settings.may_lead = !script.next().is_multiple_of(4);
    settings.initial_position = match script.next() % 3 {
        0 => InitialPosition::TrimHorizon,
        1 => InitialPosition::Latest,
        _ => InitialPosition::AtTimestamp(SystemTime::UNIX_EPOCH),
    };
    let mut now = Moment::START;
    let mut coordinator = Coordinator::new(me, settings, u64::from(script.next()), now);
    let mut open: VecDeque<(RequestId, Request)> = VecDeque::new();
    let mut tenures: Vec<(LeaseKey, Tenure)> = Vec::new();
    let mut answered = None;
    while !script.is_over() {
        match script.next() % 16 {
            0 => {
                now = now.after(Duration::from_millis(u64::from(script.next()) * 100));
                coordinator.handle_timeout(now);
            }
            1 | 2 => {
                now = coordinator.poll_timeout().unwrap_or(now).max(now);
                coordinator.handle_timeout(now);
            }
            op @ 3..=9 => {
                let which = if op == 3 && !open.is_empty() { open.len() - 1 } else { 0 };
                if let Some((id, request)) = open.remove(which) {
                    let answer = script.answer(&request);
                    coordinator.handle_answer(now, id, answer);
                    answered = Some(id);
                }
            }
            10 => {
                if let Some(id) = answered {
                    coordinator.handle_answer(now, id, Answer::Written);
                }
            }
            11 => {
                if let Some((key, tenure)) = script.choose(&tenures) {
                    let id = CheckpointId(u64::from(script.next()));
                    let checkpoint = script.checkpoint();
                    coordinator.checkpoint(now, &key, tenure, checkpoint, id);
                }
            }
            12 => {
                if let Some((key, tenure)) = script.choose(&tenures) {
                    let id = CheckpointId(u64::from(script.next()));
                    let pending = PendingCheckpoint::new(script.checkpoint(), None);
                    coordinator.prepare(now, &key, tenure, pending, id);
                    coordinator.delivered(&key, tenure, u64::MAX / 2);
                }
            }
            13 => {
                if let Some((key, tenure)) = script.choose(&tenures) {
                    coordinator.leave(now, &key, tenure);
                }
            }
            14 => {
                if let Some((key, tenure)) = script.choose(&tenures) {
                    let children = script.shards();
                    coordinator.enter_children(now, &key, tenure, children);
                }
            }
            _ => match script.next() {
                0..8 => coordinator.shut_down(now),
                _ => coordinator.look_soon(now),
            },
        }
        let before = open.len();
        open.extend(std::iter::from_fn(|| coordinator.poll_request()));
        assert!(open.len() - before <= AT_ONCE, "{} requests at once", open.len() - before);
        assert!(open.len() <= UNANSWERED, "{} requests wait for an answer", open.len());
        while let Some(event) = coordinator.poll_event() {
            match event {
                Event::Acquired { row, tenure, .. } => tenures.push((row.key.clone(), tenure)),
                Event::Lost { key, tenure, .. } => tenures.retain(|held| *held != (key.clone(), tenure)),
                _ => {}
            }
        }
        // Whoever is woken in time has nothing to do at once again, and again.
        for turn in 0.. {
            if coordinator.poll_timeout().is_none_or(|at| at > now) {
                break;
            }
            assert!(turn < 20, "it wants to be woken without end at {now:?}");
            coordinator.handle_timeout(now);
            open.extend(std::iter::from_fn(|| coordinator.poll_request()));
        }
        let held: Vec<_> = coordinator.held().map(|(key, _)| key.clone()).collect();
        let believed = held.iter().filter(|key| coordinator.holds(key, now)).count();
        let _ = (believed, coordinator.is_idle(), coordinator.census(now), coordinator.waiting().count());
    }
}

struct Script<'a> {
    input: &'a [u8],
    at: usize,
}

impl Script<'_> {
    fn is_over(&self) -> bool {
        self.at >= self.input.len()
    }

    fn next(&mut self) -> u8 {
        let byte = self.input.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        byte
    }

    fn choose<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.next());
        (!from.is_empty()).then(|| from[at % from.len()].clone())
    }

    fn worker(&mut self) -> Option<WorkerId> {
        ["me", "you", "java"].get(usize::from(self.next() % 4)).map(|name| name.parse().expect("a name"))
    }

    fn checkpoint(&mut self) -> Checkpoint {
        match self.next() {
            0..40 => Checkpoint::TrimHorizon,
            40..60 => Checkpoint::Latest,
            60..80 => Checkpoint::AtTimestamp,
            80..120 => Checkpoint::ShardEnd,
            number => Checkpoint::at(number.to_string().parse().expect("a number"), u64::from(number % 3)),
        }
    }

    fn shard(&mut self) -> ShardId {
        ShardId::numbered(u64::from(self.next() % 8))
    }

    fn shards(&mut self) -> Vec<Shard> {
        let ranges = HashKeyRange::divide(1 + u32::from(self.next() % 4));
        ranges
            .map(|range| {
                let mut shard = Shard::new(self.shard(), range);
                shard.parent = (self.next().is_multiple_of(2)).then(|| self.shard());
                shard.adjacent_parent = (self.next().is_multiple_of(4)).then(|| self.shard());
                shard
            })
            .collect()
    }

    fn row(&mut self) -> LeaseRow {
        let shard = self.shard();
        let mut row = LeaseRow::new(shard, self.checkpoint());
        row.owner = self.worker();
        row.checkpoint_owner = if self.next().is_multiple_of(4) { self.worker() } else { None };
        row.counter = u64::from(self.next() % 8);
        if self.next().is_multiple_of(3) {
            row.parents.insert(self.shard());
        }
        if self.next().is_multiple_of(4) {
            row.children.insert(self.shard());
        }
        let parts = 1 + u32::from(self.next() % 4);
        row.hash_key_range = HashKeyRange::divide(parts).nth(usize::from(self.next() % 5));
        row
    }

    fn answer(&mut self, request: &Request) -> Answer {
        match self.next() {
            0..20 => Answer::Failed(Failure::unknown("Timeout", "no answer")),
            20..40 => Answer::Failed(Failure::refused("ThrottlingException", "too many")),
            40..50 => Answer::Failed(Failure::refused("AccessDeniedException", "no")),
            50..60 => Answer::Conflict(None),
            60..90 => Answer::Conflict(Some(Box::new(self.row()))),
            90..100 => Answer::Shards(self.shards()),
            100..110 => Answer::Keys(vec![LeaseKey::from(&self.shard())]),
            110..120 => Answer::Row(Some(Box::new(self.row()))),
            _ => match request {
                Request::Look => self.view(),
                Request::Assigned => Answer::Keys(vec![LeaseKey::from(&self.shard())]),
                Request::Get(_) => Answer::Row(Some(Box::new(self.row()))),
                Request::ListShards { .. } => Answer::Shards(self.shards()),
                _ => Answer::Written,
            },
        }
    }

    fn view(&mut self) -> Answer {
        let mut view = View::default();
        let rows: std::collections::BTreeMap<_, _> =
            (0..self.next() % 8).map(|_| self.row()).map(|row| (row.key.clone(), row)).collect();
        view.leases = rows.into_values().collect();
        for _ in 0..self.next() % 3 {
            let Some(worker) = self.worker() else { continue };
            let mut member = Member::new(worker, 1_000 + u64::from(self.next()));
            member.instance = (self.next().is_multiple_of(2)).then(|| self.next().to_string());
            view.members.push(member);
        }
        let lock = |worker, script: &mut Self| {
            LeaderLock::new(worker, script.next().to_string(), Duration::from_secs(u64::from(script.next())))
        };
        view.lock = self.worker().map(|worker| lock(worker, self));
        view.version = match self.next() {
            0..200 => Some(ClientVersion::V3),
            200..240 => None,
            _ => Some(ClientVersion::V2),
        };
        Answer::View { view: Box::new(view), wall: 1_000 + u64::from(self.next()) }
    }
}
