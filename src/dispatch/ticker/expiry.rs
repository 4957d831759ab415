//! Fails the Tasks that have waited longer than they may.

use tasklane_model::Timestamp;
use tasklane_store::Expiring;

use super::{BATCH, Part, Ticker};
use crate::expiry::publish_expiry;

/// How many companions are settled at once.
const AT_ONCE: usize = 8;

impl Ticker {
    pub(super) async fn expire_queued(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("expiry", &self.ports.clock, ends);
        while part.has_time() {
            let companions = match self.store.tasks.expiring(self.ports.clock.now(), BATCH).await {
                Ok(companions) => companions,
                Err(error) => {
                    part.fail(error);
                    break;
                }
            };
            let (found, before) = (companions.len(), part.done);
            let settle = |companion: Expiring| async move {
                let expired = self.store.tasks.settle_expiring(&companion, self.ports.clock.now()).await?;
                publish_expiry(&self.store, &self.ports, &self.functions, expired).await?;
                Ok(true)
            };
            part.each(companions, AT_ONCE, settle).await;
            // The same ones would be found again if none of them could be settled.
            if found < BATCH || part.done == before {
                break;
            }
        }
        part
    }
}
