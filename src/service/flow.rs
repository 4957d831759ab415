//! Flow by key: how much of each key runs and waits, and the change of its limits (contract §14).

use std::{cmp::Reverse, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_dispatch::look_at_gates;
use tasklane_model::{
    AffectedRecords, Caller, Error, ErrorKind, Flow, FlowKeyState, Function, Gate, Json, Lane, Page, PageWindow,
    Result, flow::MOST_WAITING,
};
use tasklane_ports::Wakeup;
use tasklane_rql::Query;
use tasklane_store::{GateId, Versioned};
use tracing::{info, warn};

use super::Service;

/// How many keys of a Function are read for one answer.
const MOST_KEYS: usize = 5000;

/// How many keys are counted at once.
const COUNTED_AT_ONCE: usize = 16;

/// How long a caller who changes a flow waits for its effect on the keys that wait. The rest is done after the answer.
const EFFECT: Duration = Duration::from_secs(1);

impl Service {
    /// The keys of a Function of which something runs or waits, the busiest first; 16 when there is no Function. `sort` and
    /// `select` are 19.
    pub async fn flow_keys(&self, caller: &Caller, name: &str, query: &Query) -> Result<Page<FlowKeyState>> {
        if !query.sort.is_empty() || query.select.is_some() {
            let message = "Keys are sorted by how much of them runs and waits: leave out sort(…) and select(…).";
            return Err(Error::new(ErrorKind::InvalidRql, message));
        }
        let function = self.get_function(name).await?;
        let _turn = self.turn_of(caller, query).await?;
        let gates = self.inner.store.gates.of_function(&function.name, MOST_KEYS).await?;
        let is_partial = gates.len() == MOST_KEYS;
        let count = |gate: Gate| self.state_of(&function, gate);
        let mut states: Vec<_> = stream::iter(gates)
            .map(count)
            .buffered(COUNTED_AT_ONCE)
            .try_filter_map(|state| async { Ok(state) })
            .try_collect()
            .await?;
        if let Some(filter) = &query.filter {
            let mut matching = Vec::with_capacity(states.len());
            for state in states {
                if filter.matches(&Json::of(&state).map_err(Error::internal)?.node()) {
                    matching.push(state);
                }
            }
            states = matching;
        }
        states.sort_by(|a: &FlowKeyState, b| {
            (Reverse(a.running + a.waiting), &a.key).cmp(&(Reverse(b.running + b.waiting), &b.key))
        });
        let (window, total) = (query.window, states.len() as u64);
        let page = PageWindow {
            total: Some(total).filter(|_| !query.skip_count),
            total_is_exact: (is_partial && !query.skip_count).then_some(false),
            offset: window.offset,
            limit: window.limit,
            ..PageWindow::default()
        };
        let data = states
            .into_iter()
            .skip(usize::try_from(window.offset).unwrap_or(usize::MAX))
            .take(usize::try_from(window.limit).unwrap_or(usize::MAX))
            .collect();
        Ok(Page { query: query.text.clone(), page, data })
    }

    /// `None` if nothing of the key runs or waits.
    async fn state_of(&self, function: &Function, gate: Gate) -> Result<Option<FlowKeyState>> {
        let held = if gate.may_hold {
            self.inner.store.tasks.count_held(&function.name, &GateId::of(&gate.key), MOST_WAITING).await?
        } else {
            0
        };
        let (running, waiting) = (gate.running.len() as u64, gate.admitted.len() as u64 + held);
        let now = self.inner.ports.clock.now();
        let next_timestamp = function.flow.as_ref().and_then(|flow| gate.opens(flow, now));
        let is_busy = running + waiting > 0;
        Ok(is_busy.then(|| FlowKeyState { key: gate.key, running, waiting: waiting.min(MOST_WAITING), next_timestamp }))
    }

    /// Sets or removes the flow of a Function, without a new version of it; 16 when there is none, 1502 when concurrent changes
    /// keep winning.
    pub async fn set_flow(&self, name: &str, flow: Option<Flow>) -> Result<AffectedRecords> {
        let mut tries = self.tries();
        loop {
            let Versioned { value: mut function, revision } = self.stored_function(name).await?;
            if function.flow == flow {
                return Ok(AffectedRecords::ONE);
            }
            function.flow.clone_from(&flow);
            function.update_timestamp = self.inner.ports.clock.now();
            if flow.is_some() {
                function.lane = Lane::Own;
            }
            if self.inner.store.functions.update(&function, revision).await? {
                info!(function = %function.name, "flow changed");
                self.function_changed(&function).await;
                self.flow_changed(function).await;
                return Ok(AffectedRecords::ONE);
            }
            self.again(&mut tries).await?;
        }
    }

    /// After a change of the flow of a Function, more may run than before.
    pub(super) async fn flow_changed(&self, function: Function) {
        let this = self.clone();
        let look = async move {
            match look_at_gates(&this.inner.store, &this.inner.ports, &function, MOST_KEYS).await {
                Ok(_) => this.wake(Wakeup::NOW).await,
                Err(error) => {
                    warn!(function = %function.name, %error, "some keys learn of their new limits within a minute");
                }
            }
        };
        let look = self.inner.background.spawn(look);
        tokio::select! {
            _ = look => {}
            () = self.inner.ports.clock.sleep(EFFECT) => {}
        }
    }
}
