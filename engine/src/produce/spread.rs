//! Records without a key: evenly over the hash space, and still together.

use shardflow_core::HashKey;

use super::held::Held;
use super::pipeline::Pipeline;
use crate::Moment;

impl<T> Pipeline<T> {
    /// 2^128 over the golden ratio. Points that are this far apart on the circle of hash keys fall into all of its parts
    /// evenly, however many have been drawn and however the shards divide it.
    const STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    /// As many shards in a row are passed over because they are held back. If all are, one of them must do.
    const PASSED_OVER: usize = 8;

    /// Gives a record a place. All that travel together share it: it stands in their aggregate once.
    pub(super) fn spread(&mut self, now: Moment, mut held: Held<T>, due: Moment) {
        let mut lane = self.lane_of(self.point);
        held.record.place(self.point);
        if !self.lanes[lane].has_room(&mut self.packer, &held.record) {
            if self.lanes[lane].is_packing() {
                let haste = self.haste();
                self.lanes[lane].close(&mut self.packer, haste, now);
                self.rewake(lane);
            }
            lane = self.step(now);
            held.record.place(self.point);
        }
        self.push(now, lane, held, due);
    }

    fn step(&mut self, now: Moment) -> usize {
        for _ in 0..Self::PASSED_OVER {
            self.point = HashKey(self.point.0.wrapping_add(Self::STEP));
            if !self.lanes[self.lane_of(self.point)].is_held_back(now) {
                break;
            }
        }
        self.lane_of(self.point)
    }
}
