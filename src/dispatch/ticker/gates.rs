//! Looks at the gates of flow keys whose time has come.

use tasklane_model::Timestamp;
use tasklane_store::{DueGate, StoreError};

use super::{BATCH, Part, Ticker};
use crate::flow::Gatekeeper;

/// How many gates are looked at once.
const AT_ONCE: usize = 8;

impl Ticker {
    pub(super) async fn look_at_gates(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("gates", &self.ports.clock, ends);
        while part.has_time() {
            let due = match self.due_gates().await {
                Ok(due) => due,
                Err(error) => {
                    part.fail(error);
                    break;
                }
            };
            let (found, before) = (due.len(), part.done);
            let keeper = &Gatekeeper { store: &self.store, ports: &self.ports };
            let look = |due: DueGate| async move {
                let function = self.functions.read(&due.function).await?;
                keeper.look(function.as_deref(), &due).await?;
                Ok(true)
            };
            part.each(due, AT_ONCE, look).await;
            // The same ones would be found again if none of them could be looked at.
            if found < BATCH || part.done == before {
                break;
            }
        }
        part
    }

    async fn due_gates(&self) -> Result<Vec<DueGate>, StoreError> {
        if !self.may_have_gates().await? {
            return Ok(Vec::new());
        }
        self.store.gates.due(self.ports.clock.now(), BATCH).await
    }

    /// When somebody must look at the first gate.
    pub(super) async fn earliest_gate(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.may_have_gates().await? { self.store.gates.earliest().await } else { Ok(None) }
    }

    /// Only Functions with lanes of their own have gates.
    async fn may_have_gates(&self) -> Result<bool, StoreError> {
        Ok(self.functions.lanes().await?.len() > 1)
    }
}
