//! Everything in one look, in either layout.

use std::collections::BTreeMap;

use shardflow_core::{Member, View, WorkerId};

use super::item::Kind;
use super::layout::{self, Layout};
use super::{DynamoDbLeases, lock, member, version};
use crate::StoreError;

impl DynamoDbLeases {
    pub(super) async fn view_of_one_table(&self) -> Result<View, StoreError> {
        let place = self.leases();
        let mut view = View::default();
        for item in place.scan(self.scan_in()).await? {
            match Kind::of(&item, place.key, Kind::Lease) {
                Kind::Lease => view.leases.extend(self.lease(&item)),
                Kind::Member => view.members.extend(member::read_or_skip(place, &item)),
                Kind::Lock => view.lock = lock::read_or_skip(place, &item),
                Kind::Version => view.version = version::read_or_skip(place, &item),
                Kind::Layout | Kind::Other => {}
            }
        }
        Ok(view)
    }

    /// Nothing if the fleet has left the legacy tables meanwhile.
    pub(super) async fn view_of_three_tables(&self) -> Result<Option<View>, StoreError> {
        let (leases, metrics, state) = (self.leases(), self.metrics(), self.state(Layout::Legacy));
        let (in_leases, in_metrics, in_state) =
            tokio::try_join!(leases.scan(self.scan_in()), metrics.scan(1), state.scan_consistently())?;
        let migration = in_state.iter().find(|item| Kind::of(item, state.key, Kind::Other) == Kind::Layout);
        match layout::from_row(migration, self.options.moves) {
            Ok(Layout::Single) => {
                tracing::info!(table = leases.table, "the fleet has moved its rows into the lease table");
                self.set_layout(Some(Layout::Single));
                return Ok(None);
            }
            Ok(layout) => self.set_layout(Some(layout)),
            // It had come so far when this worker started: somebody has come back who cannot.
            Err(StoreError::Refused { code, .. }) if code == layout::TOO_EARLY => {
                tracing::warn!(table = leases.table, "the fleet does not move to one table any more");
                self.set_layout(Some(Layout::Legacy));
            }
            Err(error) => return Err(error),
        }
        let mut view = View::default();
        let mut members: BTreeMap<WorkerId, Member> = BTreeMap::new();
        let mut meet = |member: Member| match members.get(&member.worker) {
            Some(known) if known.updated >= member.updated => {}
            _ => drop(members.insert(member.worker.clone(), member)),
        };
        // What lies beside the leases was written, or moved there, by workers that are ahead.
        for item in in_leases {
            match Kind::of(&item, leases.key, Kind::Lease) {
                Kind::Lease => view.leases.extend(self.lease(&item)),
                Kind::Member => member::read_or_skip(leases, &item).into_iter().for_each(&mut meet),
                Kind::Version => view.version = version::read_or_skip(leases, &item),
                Kind::Lock | Kind::Layout | Kind::Other => {}
            }
        }
        for item in in_metrics {
            if Kind::of(&item, metrics.key, Kind::Member) == Kind::Member {
                member::read_or_skip(metrics, &item).into_iter().for_each(&mut meet);
            }
        }
        for item in in_state {
            match Kind::of(&item, state.key, Kind::Other) {
                Kind::Lock => view.lock = lock::read_or_skip(state, &item),
                Kind::Version => view.version = version::read_or_skip(state, &item),
                Kind::Lease | Kind::Member | Kind::Layout | Kind::Other => {}
            }
        }
        view.members = members.into_values().collect();
        Ok(Some(view))
    }
}
