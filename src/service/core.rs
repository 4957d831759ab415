//! The engine of one process: the service and the loops beside it, wired together.

use std::sync::Arc;

use tasklane_auth::SecretBox;
use tasklane_dispatch::{Dispatcher, FunctionDirectory, SlotLimits, SlotPolicy, Slots, Ticker};
use tasklane_ports::Ports;
use tasklane_store::{RunnerId, Store};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Service, Settings};

/// Everything that works on Tasks in one process. The parts share their slots and what they remember of Functions, so
/// that each sees at once what another did.
#[derive(Clone)]
pub struct Core {
    /// What callers can do.
    pub service: Service,
    /// Claims and runs queued Tasks.
    pub dispatcher: Dispatcher,
    /// Makes Tasks due, and cleans up after dead processes.
    pub ticker: Ticker,
    /// The slots that this process leased.
    pub slots: Arc<Slots>,
    /// The Functions, as the hot paths see them.
    pub functions: Arc<FunctionDirectory>,
}

/// How much may run at once, and on whose behalf it runs.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The name under which this process holds runs and slots.
    pub holder: RunnerId,
    /// Whether other processes lease slots too.
    pub policy: SlotPolicy,
    /// How many runs all processes together may have in progress.
    pub slots: SlotLimits,
    /// How many runs the dispatcher of this process may have in progress; as many as there are slots when absent.
    pub runs_per_dispatcher: Option<usize>,
}

impl Core {
    /// Wires the parts together. `secrets` seals the secrets of credentials. Starts nothing, and makes no call.
    pub fn assemble(
        store: Store,
        ports: Ports,
        secrets: Arc<dyn SecretBox>,
        settings: Settings,
        limits: Limits,
    ) -> Self {
        let Limits { holder, policy, slots, runs_per_dispatcher } = limits;
        let functions = Arc::new(FunctionDirectory::new(store.clone(), ports.clock.clone()));
        let slots = Arc::new(Slots::new(store.slots.clone(), holder, ports.clock.clone(), policy, slots));
        let service = Service::new(store.clone(), ports.clone(), settings, slots.clone(), functions.clone(), secrets);
        let dispatcher = Dispatcher::new(store.clone(), ports.clone(), slots.clone(), functions.clone());
        let dispatcher = match runs_per_dispatcher {
            Some(runs) => dispatcher.holding_at_most(runs),
            None => dispatcher,
        };
        let ticker = Ticker::new(store, ports, functions.clone());
        Self { service, dispatcher, ticker, slots, functions }
    }

    /// Starts the loops of the dispatcher and the ticker, which run until `stop`. `woken` tells the dispatcher that a
    /// Task may be ready, `changed` tells the ticker that something may come due earlier than it knew.
    pub fn spawn_loops(&self, loops: &TaskTracker, stop: &CancellationToken, woken: Arc<Notify>, changed: Arc<Notify>) {
        let (dispatcher, stopped) = (self.dispatcher.clone(), stop.clone());
        loops.spawn(async move { dispatcher.run_until(&stopped, &woken).await });
        let (ticker, stopped) = (self.ticker.clone(), stop.clone());
        loops.spawn(async move { ticker.run_until(&stopped, &changed).await });
    }
}
