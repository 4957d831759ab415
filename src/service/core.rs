//! The engine of one process: the service and its background loops.

use std::sync::Arc;

use tasklane_auth::SecretBox;
use tasklane_dispatch::{BulkWorker, Dispatcher, FunctionDirectory, SlotLimits, SlotPolicy, Slots, Ticker};
use tasklane_ports::Ports;
use tasklane_store::{RunnerId, Store};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Service, Settings};

/// Everything that works on Tasks in one process. The parts share their slots and their cache of Functions, so that
/// each immediately sees the changes of the others.
#[derive(Clone)]
pub struct Core {
    /// What callers can do.
    pub service: Service,
    /// Claims and runs queued Tasks.
    pub dispatcher: Dispatcher,
    /// Makes Tasks due, and cleans up after dead processes.
    pub ticker: Ticker,
    /// Works on bulk operations.
    pub bulk: BulkWorker,
    pub slots: Arc<Slots>,
    /// The cache of Functions.
    pub functions: Arc<FunctionDirectory>,
}

/// How much may run at once, and which process holds it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The name under which this process holds runs and slots.
    pub holder: RunnerId,
    /// Whether other processes lease slots too.
    pub policy: SlotPolicy,
    /// The most runs at once in all processes together.
    pub slots: SlotLimits,
    /// The most runs at once of this process's dispatcher; `None` for as many as there are slots.
    pub runs_per_dispatcher: Option<usize>,
}

impl Core {
    /// Connects the parts. `secrets` seals the secrets of credentials. Starts nothing and makes no calls.
    pub fn assemble(
        store: Store,
        ports: Ports,
        secrets: Arc<dyn SecretBox>,
        settings: Settings,
        limits: Limits,
    ) -> Self {
        let Limits { holder, policy, slots, runs_per_dispatcher } = limits;
        let functions =
            Arc::new(FunctionDirectory::new(store.clone(), ports.clock.clone()).inspecting(settings.inspected.clone()));
        let slots = Arc::new(Slots::new(store.slots.clone(), holder, ports.clock.clone(), policy, slots));
        let service = Service::new(store.clone(), ports.clone(), settings, slots.clone(), functions.clone(), secrets);
        let dispatcher = Dispatcher::new(store.clone(), ports.clone(), slots.clone(), functions.clone());
        let dispatcher = match runs_per_dispatcher {
            Some(runs) => dispatcher.holding_at_most(runs),
            None => dispatcher,
        };
        let bulk = BulkWorker::new(store.clone(), ports.clone(), functions.clone());
        let ticker = Ticker::new(store, ports, functions.clone());
        Self { service, dispatcher, ticker, bulk, slots, functions }
    }

    /// Starts the loops of the dispatcher, of the ticker and of bulk operations, which run until `stop`. `woken` tells the dispatcher that a
    /// Task may be ready; `changed` tells the ticker that something may be due earlier than it expected.
    pub fn spawn_loops(&self, loops: &TaskTracker, stop: &CancellationToken, woken: Arc<Notify>, changed: Arc<Notify>) {
        let (dispatcher, stopped) = (self.dispatcher.clone(), stop.clone());
        loops.spawn(async move { dispatcher.run_until(&stopped, &woken).await });
        let (ticker, stopped) = (self.ticker.clone(), stop.clone());
        loops.spawn(async move { ticker.run_until(&stopped, &changed).await });
        let (bulk, stopped) = (self.bulk.clone(), stop.clone());
        loops.spawn(async move { bulk.run_until(&stopped).await });
    }
}
