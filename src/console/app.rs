//! What all requests share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tasklane_client::{Client, ClientError};
use tasklane_model::Timestamp;
use tasklane_ports::{Clock as _, SystemClock};
use tasklane_runtime::lock::Lock;

use crate::{
    access::Access,
    door::Door,
    live::Hub,
    pages::{Cache, Recent},
};

/// The console of one service.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) door: Door,
    pub(crate) hub: Hub,
    pub(crate) cache: Cache,
    pub(crate) history: Recent,
    access: Lock<Option<(Instant, Arc<Access>)>>,
}

/// How long the caller's permissions are remembered.
const FRESH_FOR: Duration = Duration::from_secs(15);

impl App {
    pub(crate) fn new(client: Client, door: Door) -> Self {
        let hub = Hub::new(client.clone());
        Self { client, door, hub, cache: Cache::default(), history: Recent::default(), access: Lock::default() }
    }

    /// Who the caller is, and what they may do.
    pub(crate) async fn access(&self) -> Result<Arc<Access>, ClientError> {
        let known = self.access.lock().clone();
        if let Some((since, access)) = known
            && since.elapsed() < FRESH_FOR
        {
            return Ok(access);
        }
        let access = Arc::new(Access::from(self.client.me().await?.value));
        *self.access.lock() = Some((Instant::now(), Arc::clone(&access)));
        Ok(access)
    }

    /// The same as far as it is known without asking the service.
    pub(crate) fn known_access(&self) -> Option<Arc<Access>> {
        self.access.lock().as_ref().map(|(_, access)| Arc::clone(access))
    }

    pub(crate) fn now() -> Timestamp {
        SystemClock.now()
    }
}
