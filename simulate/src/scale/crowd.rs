//! The processes of a large deployment: many that serve callers, many dispatchers, a ticker; and Lambda and the queue of
//! wake-ups between them. Nothing dies and nothing is lost; only limits and latencies count.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use tasklane_dispatch::{LONGEST_DRAIN, Shift, SlotLimits, SlotPolicy, Ticker, work_shift};
use tasklane_local::database;
use tasklane_model::{CodeSha256, Deployment, FunctionName, ObjectId, Timestamp};
use tasklane_ports::{
    Clock, Code, DeployError, Events, FunctionSpec, HeldCode, Ids, Invocation, InvokeError, InvokeRequest, Lambda,
    NoUploads, Outcome, PortError, PortFuture, Ports, TaskEvent, Wakeup, Wakeups,
};
use tasklane_service::{Core, Limits, Service, Settings};
use tasklane_store::{Division, RunnerId, RunsIn, ScheduleParts, Store, StoreConfig};
use tasklane_testing::{NoLogs, TestObjects};
use tokio::sync::oneshot;

use super::{
    Scenario,
    wire::{Database, Line},
};
use crate::{
    chance::{Rng, SeededChance},
    outside::NoSecrets,
    row::PREFIX,
    time::timestamp,
};

/// How long Lambda takes beside a run, in milliseconds.
const INVOKES: (u64, u64) = (8, 20);
/// The most messages that one invocation of a dispatcher gets.
const BATCH: usize = 10;
/// The longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// A correct clock.
struct TrueClock(Arc<Database>);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        timestamp(self.0.elapsed())
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Lambda: each run takes the scenario's time, and no more of them run at once than the account may.
struct Cloud {
    database: Arc<Database>,
    takes: Duration,
    concurrency: u64,
}

impl Lambda for Cloud {
    fn deploy<'a>(
        &'a self,
        _: &'a FunctionSpec,
        _: Option<Code>,
        _: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(async { Ok(Deployment { version: "1".to_owned(), code_sha256: CodeSha256::of(b"code") }) })
    }

    fn holds<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(true) })
    }

    fn point_at<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn code_of<'a>(
        &'a self,
        _: &'a FunctionName,
        _: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn retire<'a>(&'a self, _: &'a FunctionName, _: &'a [Deployment]) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, _: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn invoke<'a>(&'a self, _: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(async move {
            if self.database.with(|figures, _| figures.begins_run()) > self.concurrency {
                self.database.with(|figures, _| figures.ends_run());
                return Err(InvokeError::Throttled("the account's concurrency is used up".to_owned()));
            }
            let overhead = Duration::from_millis(self.database.draw(INVOKES));
            tokio::time::sleep(overhead + self.takes).await;
            self.database.with(|figures, _| figures.ends_run());
            Ok(Invocation { request_id: "r".to_owned(), outcome: Outcome::Returned(Bytes::from_static(b"null")) })
        })
    }
}

struct NoEvents;

impl Events for NoEvents {
    fn publish<'a>(&'a self, _: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The queue of wake-ups: each message reaches a dispatcher that is not at work, or waits for one.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    idle: Vec<oneshot::Sender<Vec<Option<ObjectId>>>>,
    messages: VecDeque<Option<ObjectId>>,
}

impl Queue {
    async fn receive(&self) -> Vec<Option<ObjectId>> {
        let (hand, messages) = oneshot::channel();
        {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiting.messages.is_empty() {
                let batch = waiting.messages.len().min(BATCH);
                return waiting.messages.drain(..batch).collect();
            }
            waiting.idle.push(hand);
        }
        messages.await.unwrap_or_default()
    }

    fn send(&self, task: Option<ObjectId>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.idle.pop() {
            // The receiver waits for as long as it is idle.
            Some(hand) => drop(hand.send(vec![task])),
            None => waiting.messages.push_back(task),
        }
    }
}

impl Wakeups for Queue {
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if wakeup.delay > LONGEST_DELAY {
                return Ok(());
            }
            let this = self.clone();
            // SQS's delays are in whole seconds.
            let delay = Duration::from_secs(wakeup.delay.as_millis().div_ceil(1000) as u64);
            tokio::spawn(async move {
                tokio::time::sleep(delay + Duration::from_millis(15)).await;
                this.send(wakeup.task);
            });
            Ok(())
        })
    }
}

/// All processes of a scenario.
pub struct Crowd {
    pub services: Vec<Service>,
    /// The ticker, and what it needs beside itself.
    ticker: Ticker,
    of_ticker: Core,
    store: Store,
    queue: Queue,
}

impl Crowd {
    /// Starts the dispatchers.
    pub fn start(scenario: &Scenario, database: &Arc<Database>) -> Self {
        let queue = Queue::default();
        let core = |process: String| {
            let (store, ports) = (store(scenario, database, &process), ports(scenario, database, &queue, &process));
            let slots = SlotLimits { tasks: scenario.slots, direct: scenario.slots };
            let limits = Limits {
                holder: RunnerId::new(process),
                policy: SlotPolicy::Shared,
                slots,
                runs_per_dispatcher: Some(scenario.runs_per_dispatcher),
            };
            (
                Core::assemble(store.clone(), ports.clone(), Arc::new(NoSecrets), Settings::default(), limits),
                store,
                ports,
            )
        };
        for number in 0..scenario.dispatchers {
            let (Core { dispatcher, slots, .. }, _, ports) = core(format!("dispatcher-{number}"));
            let (queue, database) = (queue.clone(), Arc::clone(database));
            tokio::spawn(async move {
                loop {
                    let woken_for: Vec<_> = queue.receive().await.into_iter().flatten().collect();
                    database.with(|figures, _| figures.shifts += 1);
                    let ends = ports.clock.now().saturating_add(Duration::from_secs(900));
                    let shift = Shift { woken_for, ends, longest_drain: LONGEST_DRAIN };
                    if work_shift(&dispatcher, &slots, &ports, shift).await.is_err() {
                        queue.send(None);
                    }
                }
            });
        }
        let services = (0..scenario.apis).map(|number| core(format!("api-{number}")).0.service).collect();
        let (of_ticker, store, _) = core("ticker".to_owned());
        Self { services, ticker: of_ticker.ticker.clone(), of_ticker, store, queue }
    }

    /// Does what the ticker's Lambda function does, each minute.
    pub async fn tick_each_minute(&self, database: &Database) {
        loop {
            let left = 60_000 - database.elapsed() % 60_000;
            tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
            // What it had no time for, the next tick does.
            let _ = self.ticker.tick().await;
            if let Ok(lanes) = self.of_ticker.functions.lanes().await
                && let Ok(heads) = self.store.tasks.heads(&lanes, 1).await
                && !heads.is_empty()
            {
                self.queue.send(None);
            }
        }
    }
}

/// The store, as a process of the scenario uses it.
pub fn store(scenario: &Scenario, database: &Arc<Database>, process: &str) -> Store {
    let line = Line { database: Arc::clone(database), process: process.to_owned() };
    let client = database::client_config(SharedHttpClient::new(line)).build();
    let config = StoreConfig {
        shards: scenario.shards,
        schedules: ScheduleParts::ON_AWS,
        runs_in: RunsIn::Register,
        slots: Division::FOR_MANY,
        ..StoreConfig::new(PREFIX)
    };
    let chance = SeededChance::new(Rng::new(seed(scenario, process).rotate_left(32)));
    let clock = Arc::new(TrueClock(Arc::clone(database)));
    Store::new(aws_sdk_dynamodb::Client::from_conf(client), config, clock, &chance)
}

fn seed(scenario: &Scenario, process: &str) -> u64 {
    process.bytes().fold(scenario.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn ports(scenario: &Scenario, database: &Arc<Database>, queue: &Queue, process: &str) -> Ports {
    let seed = seed(scenario, process);
    Ports {
        lambda: Arc::new(Cloud {
            database: Arc::clone(database),
            takes: scenario.takes,
            concurrency: scenario.concurrency,
        }),
        wakeups: Arc::new(queue.clone()),
        events: Arc::new(NoEvents),
        logs: Arc::new(NoLogs),
        objects: Arc::new(TestObjects::default()),
        uploads: Arc::new(NoUploads),
        clock: Arc::new(TrueClock(Arc::clone(database))),
        chance: Arc::new(SeededChance::new(Rng::new(!seed))),
        ids: Arc::new(Ids::new(Arc::new(SeededChance::new(Rng::new(seed))))),
    }
}

/// The name of a scenario's Function.
pub fn function(number: u64) -> Option<FunctionName> {
    FunctionName::parse(format!("f{number}")).ok()
}
