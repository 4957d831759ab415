//! Wakes dispatchers for what becomes due before the next tick, where a clock starts the ticker each minute.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, stream};
use tasklane_model::{Schedule, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tracing::warn;

use super::{Part, Ticker};

/// How far ahead: until the next tick has begun its work.
const AHEAD: Duration = Duration::from_secs(70);

/// How many waiting Tasks and how many Schedules are looked at. With that many, few seconds are empty.
const MOST: usize = 1000;

/// How many wake-ups are sent at once.
const AT_ONCE: usize = 16;

impl Ticker {
    /// Sends one wake-up for each second to come in which an occurrence or a waiting Task is due. Wake-ups are only hints, so
    /// that what fails here is done by the next tick.
    pub(super) async fn wake_ahead(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("wake-ups", &self.ports.clock, ends);
        let now = self.ports.clock.now();
        let until = now.saturating_add(AHEAD);
        let mut seconds = Seconds::after(now);
        match self.store.tasks.waiting_until(until, MOST).await {
            Ok(times) => times.into_iter().for_each(|at| seconds.add(at)),
            Err(error) => part.fail(error),
        }
        let mut from = self.store.schedules.first_due(0);
        for _ in 0..MOST / super::BATCH {
            if seconds.are_all() || !part.has_time() {
                break;
            }
            match self.store.schedules.due(until, &from, super::BATCH).await {
                Ok(due) => {
                    due.schedules.iter().for_each(|record| seconds.add_all(&record.schedule));
                    due.unreadable.into_iter().for_each(|error| part.fail(error));
                    match due.next {
                        Some(next) => from = next,
                        None => break,
                    }
                }
                Err(error) => {
                    part.fail(error);
                    break;
                }
            }
        }
        seconds.wake(&self.ports).await;
        part
    }
}

/// Wakes dispatchers for the occurrences of a new or changed Schedule until a tick does so.
pub async fn wake_for_occurrences(ports: &Ports, schedule: &Schedule) {
    let mut seconds = Seconds::after(ports.clock.now());
    seconds.add_all(schedule);
    seconds.wake(ports).await;
}

/// The seconds to come in which something is due.
struct Seconds {
    now: Timestamp,
    delays: BTreeSet<u64>,
}

impl Seconds {
    fn after(now: Timestamp) -> Self {
        Self { now, delays: BTreeSet::new() }
    }

    fn add(&mut self, at: Timestamp) {
        let delay = at.since(self.now);
        if !delay.is_zero() && delay <= AHEAD {
            self.delays.insert(u64::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(0));
        }
    }

    fn add_all(&mut self, schedule: &Schedule) {
        let until = self.now.saturating_add(AHEAD);
        let Some(next) = schedule.next_timestamp.filter(|_| schedule.enabled) else { return };
        self.add(next);
        let all: Vec<_> = schedule.occurrences_after(next.max(self.now)).take_while(|at| *at <= until).collect();
        all.into_iter().for_each(|at| self.add(at));
    }

    fn are_all(&self) -> bool {
        self.delays.len() as u64 >= AHEAD.as_secs()
    }

    async fn wake(self, ports: &Ports) {
        let send = |delay| async move {
            let wakeup = Wakeup { delay: Duration::from_secs(delay), task: None };
            if let Err(error) = ports.wakeups.wake(wakeup).await {
                warn!(%error, "no wake-up was sent; the next tick will find what is due then");
            }
        };
        stream::iter(self.delays).for_each_concurrent(AT_ONCE, send).await;
    }
}
