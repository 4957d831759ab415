//! What happens now (contract §23).

use std::{cmp::Reverse, collections::BTreeMap};

use tasklane_model::{
    FunctionLoad, FunctionName, Overview, Result, SlotUse,
    overview::{MOST_COUNTED, MOST_FUNCTIONS},
};
use tasklane_store::{Load, SlotScope};

use super::Service;

impl Service {
    /// What the service is doing now. The counts are taken one after the other, so a Task that moves on meanwhile may be
    /// counted twice or not at all.
    pub async fn overview(&self) -> Result<Overview> {
        let (tasks, slots) = (&self.inner.store.tasks, &self.inner.slots);
        let running = tasks.running_load(MOST_COUNTED).await?;
        let lanes = self.inner.functions.lanes().await?;
        let ready = tasks.ready_load(&lanes, MOST_COUNTED).await?;
        let held = tasks.held_load(&lanes, MOST_COUNTED).await?;
        let waiting = tasks.waiting_load(MOST_COUNTED).await?;
        let limits = slots.limits();
        Ok(Overview {
            running: running.count(),
            running_is_exact: running.is_exact,
            ready: ready.count(),
            ready_is_exact: ready.is_exact,
            waiting: waiting.count(),
            waiting_is_exact: waiting.is_exact,
            held: held.count(),
            held_is_exact: held.is_exact,
            oldest_due_timestamp: ready.oldest_due,
            slots: SlotUse { used: slots.held(&SlotScope::Tasks).await?, limit: limits.tasks },
            direct_slots: SlotUse { used: slots.held(&SlotScope::Direct).await?, limit: limits.direct },
            dispatchers: self.dispatchers().await?,
            functions: by_load([&running, &ready, &waiting, &held]),
        })
    }

    async fn dispatchers(&self) -> Result<u64> {
        // A process that sees every write is alone, and dispatches itself.
        if self.inner.settings.feed.is_some() {
            return Ok(1);
        }
        Ok(self.inner.store.shifts.at_work(self.inner.ports.clock.now()).await?)
    }
}

fn by_load<'a>([running, ready, waiting, held]: [&'a Load; 4]) -> Vec<FunctionLoad> {
    let mut loads: BTreeMap<&'a FunctionName, FunctionLoad> = BTreeMap::new();
    let mut add = |load: &'a Load, set: fn(&mut FunctionLoad, u64)| {
        for (name, count) in &load.by_function {
            let none = || FunctionLoad { function_name: name.clone(), running: 0, ready: 0, waiting: 0, held: 0 };
            set(loads.entry(name).or_insert_with(none), *count);
        }
    };
    add(running, |load, count| load.running = count);
    add(ready, |load, count| load.ready = count);
    add(waiting, |load, count| load.waiting = count);
    add(held, |load, count| load.held = count);
    let mut loads: Vec<_> = loads.into_values().collect();
    // The names are in order already, so of two equal ones the first in the alphabet comes first.
    loads.sort_by_key(|load| Reverse((load.running + load.ready + load.held, load.waiting)));
    loads.truncate(MOST_FUNCTIONS);
    loads
}
