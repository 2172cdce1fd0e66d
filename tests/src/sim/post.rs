//! The network of a world, and the services at its other end.

use std::time::Duration;

use shardflow_core::{LeaseKey, ShardId, WorkerId};
use shardflow_engine::consume::{self, ReadAnswer, ReadRequest};
use shardflow_engine::shards::ShardFilter;
use shardflow_engine::{Failure, lease, produce};

use super::coverage::{CUT_OFF, CUT_SHORT, INTERNAL, LATE, LOST, REFUSED, STALE, UNHEARD, UNKNOWN};
use super::faults::{dragging, happens, latency};
use super::invariants::Seen;
use super::network::{Actor, Call, Mail, Reply};
use super::stream::Line;
use super::trace::Broken;
use super::world::World;

impl World {
    pub(super) fn post(&mut self, at: Duration, mail: Mail) {
        self.mails += 1;
        self.mail.insert((at, self.mails), mail);
    }

    /// The next letter reaches whoever it is for.
    pub(super) fn deliver(&mut self) -> Result<(), Broken> {
        let Some(((at, number), mail)) = self.mail.pop_first() else { return Ok(()) };
        self.outcome.fingerprint =
            self.outcome.fingerprint.wrapping_mul(0x0100_0000_01b3) ^ u64::from(at.subsec_nanos()) ^ number;
        match mail {
            Mail::Arrives { from, life, name, sent, call } => self.arrives(from, life, name, sent, call),
            Mail::Answered { to: Actor::Producer(number), reply, .. } => {
                if let Reply::Put(_, produce::Answer::Put(results)) = &reply {
                    self.see(&Seen::Answered { producer: number, results })?;
                }
                let did = self.producers[number].answered(self.now, reply);
                self.producer_did(number, did)
            }
            Mail::Answered { to: Actor::Worker(number), life, reply } => {
                let worker = &mut self.workers[number];
                if worker.frozen_until > self.now {
                    let at = worker.frozen_until;
                    self.post(at, Mail::Answered { to: Actor::Worker(number), life, reply });
                    return Ok(());
                }
                if worker.life != life {
                    return Ok(());
                }
                let did = worker.answered(self.now, reply, &self.faults, &mut self.rng);
                self.worker_did(number, did)
            }
        }
    }

    /// Somebody asks for something.
    pub(super) fn call(&mut self, from: Actor, call: Call) -> Result<(), Broken> {
        let sent = self.now;
        let (life, name, cut) = match from {
            Actor::Producer(_) => (0, None, false),
            Actor::Worker(number) => {
                let streams = call.is_the_streams();
                self.see(&Seen::Called { worker: number, what: call.name(), of_table: !streams })?;
                let worker = &self.workers[number];
                let cut = if streams { worker.cut_from_stream } else { worker.cut_from_table };
                (worker.life, Some(worker.id.clone()), cut)
            }
        };
        let fault = if cut {
            Some(CUT_OFF)
        } else {
            happens(&mut self.rng, self.faults.request_lost).then_some(LOST)
        };
        if let Some(fault) = fault {
            self.outcome.coverage.hit(fault, call.name());
            let given_up = sent + call.timeout();
            self.post(given_up, Mail::Answered { to: from, life, reply: call.given_up() });
        } else {
            let at = sent + self.way(call.name());
            self.post(at, Mail::Arrives { from, life, name, sent, call });
        }
        Ok(())
    }

    fn way(&mut self, what: &'static str) -> Duration {
        let late = happens(&mut self.rng, self.faults.late);
        if late {
            self.outcome.coverage.hit(LATE, what);
        }
        latency(&mut self.rng, late)
    }

    /// A request reaches the stream or the table, however late.
    fn arrives(
        &mut self,
        from: Actor,
        life: u64,
        name: Option<WorkerId>,
        sent: Duration,
        call: Call,
    ) -> Result<(), Broken> {
        let what = call.name();
        let given_up = (sent + call.timeout()).max(self.now);
        let lost = call.given_up();
        let line = |key: &LeaseKey, tenure, id| match from {
            Actor::Producer(number) | Actor::Worker(number) => (number, life, key.clone(), tenure, id),
        };
        let reply = match call {
            Call::Read(ref key, tenure, id, ReadRequest::Receive { subscription, .. }) => {
                match self.stream.receive(self.now, &line(key, tenure, subscription)) {
                    Ok(answer) => Reply::Read(key.clone(), tenure, id, answer),
                    // The service has nothing to say yet.
                    Err(wait) => {
                        let again = self.now + wait;
                        if again < given_up {
                            self.post(again, Mail::Arrives { from, life, name, sent, call });
                        } else {
                            self.post(given_up, Mail::Answered { to: from, life, reply: lost });
                        }
                        return Ok(());
                    }
                }
            }
            Call::Read(ref key, tenure, id, _) => {
                let line = line(key, tenure, id);
                self.carry_out(from, name, Some(line), call)?
            }
            Call::Put(..) | Call::Lease(..) => self.carry_out(from, name, None, call)?,
        };
        let sluggish = matches!(from, Actor::Worker(number) if self.workers[number].sluggish);
        let way = if sluggish { dragging(&mut self.rng) } else { self.way(what) };
        let back = self.now + way;
        let unheard = happens(&mut self.rng, self.faults.answer_lost);
        if unheard {
            self.outcome.coverage.hit(UNHEARD, what);
        }
        let (at, reply) = if back < given_up && !unheard { (back, reply) } else { (given_up, lost) };
        self.post(at, Mail::Answered { to: from, life, reply });
        Ok(())
    }

    /// What a service does at once, since it does not want to, or cannot.
    fn refuse(&mut self, call: &Call) -> Option<Failure> {
        let (table, stream) = self.outage;
        let outage = if call.is_the_streams() { stream } else { table };
        let (fault, failure) = if self.now < outage {
            (REFUSED, Failure::refused("ThrottlingException", "by the script"))
        } else if !happens(&mut self.rng, self.faults.refused) {
            return None;
        } else if self.rng.u8(..3) == 0 {
            (INTERNAL, Failure::unknown("InternalFailure", "by the script"))
        } else {
            (REFUSED, Failure::refused("ThrottlingException", "by the script"))
        };
        self.outcome.coverage.hit(fault, call.name());
        Some(failure)
    }

    fn carry_out(
        &mut self,
        from: Actor,
        name: Option<WorkerId>,
        line: Option<Line>,
        call: Call,
    ) -> Result<Reply, Broken> {
        if let Some(failure) = self.refuse(&call) {
            return Ok(call.failed(failure));
        }
        let (now, what) = (self.now, call.name());
        Ok(match call {
            Call::Put(id, produce::Request::ListShards { closed }) => {
                let listed =
                    self.stream.list(now, if closed { ShardFilter::All } else { ShardFilter::AtLatest });
                Reply::Put(id, listed.map_or_else(produce::Answer::Failed, produce::Answer::Shards))
            }
            Call::Put(id, produce::Request::Describe) => Reply::Put(id, self.stream.describe(now)),
            Call::Put(id, produce::Request::PutRecords(entries)) => {
                let Self { stream, rng, faults, .. } = self;
                let (answer, stored) = stream.put(now, entries, || happens(rng, faults.entry_refused));
                self.stored(stored)?;
                Reply::Put(id, answer)
            }
            Call::Lease(id, lease::Request::ListShards { filter, .. }) => {
                let listed = self.stream.list(now, filter);
                Reply::Lease(id, listed.map_or_else(lease::Answer::Failed, lease::Answer::Shards))
            }
            Call::Lease(id, request) => {
                let name = name.ok_or("a producer wants a lease")?;
                let Actor::Worker(number) = from else { return Err("a producer wants a lease".into()) };
                let wall =
                    (1_795_000_000 + now.as_secs()).saturating_add_signed(self.workers[number].wall_ahead);
                let deletes = match &request {
                    lease::Request::Delete(row) => Some(row.key.clone()),
                    _ => None,
                };
                let (mut answer, written) = self.table.carry_out(now, &name, wall, request);
                if matches!(what, "look" | "index") && happens(&mut self.rng, self.faults.stale) {
                    self.outcome.coverage.hit(STALE, what);
                    self.table.age(now, &name, &mut answer, &mut self.rng);
                }
                if let Some(written) = written {
                    self.written(&written)?;
                }
                if let Some(key) = deletes.filter(|key| !self.table.leases.contains_key(key)) {
                    self.see(&Seen::Deleted { key: &key })?;
                }
                Reply::Lease(id, answer)
            }
            Call::Read(key, tenure, id, request) => {
                let shard: ShardId = key.as_str().parse().map_err(|error| format!("{error}"))?;
                let line = line.ok_or("a producer reads a shard")?;
                let unheard_of = !matches!(what, "list children" | "consumer")
                    && happens(&mut self.rng, self.faults.unheard_of);
                if unheard_of {
                    self.outcome.coverage.hit(UNKNOWN, what);
                    let failure = Failure::refused("ResourceNotFoundException", "by the script");
                    return Ok(Reply::Read(key, tenure, id, consume::Answer::Failed(failure)));
                }
                let mut answer = self.stream.read(now, line, &shard, request);
                if let consume::Answer::Read(ReadAnswer::Page(page)) = &mut answer
                    && page.next.is_some()
                    && happens(&mut self.rng, self.faults.cut_short)
                {
                    self.outcome.coverage.hit(CUT_SHORT, what);
                    page.next = None;
                }
                Reply::Read(key, tenure, id, answer)
            }
        })
    }
}
