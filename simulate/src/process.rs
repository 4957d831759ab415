//! A process: the real service, dispatcher and ticker, assembled as in the product.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tasklane_dispatch::{Dispatcher, FunctionDirectory, Shift, SlotLimits, SlotPolicy, Ticker, work_shift};
use tasklane_local::{database, wakeups::LocalWakeups};
use tasklane_ports::{Chance, Clock, Ids, NoUploads, Objects, Ports, Wakeup, Wakeups};
use tasklane_service::{Core, Limits, Service, Settings};
use tasklane_store::{Division, RunnerId, RunsIn, ScheduleParts, SlowFilters, Store, StoreConfig, StoreError};
use tasklane_testing::TestObjects;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    chance::{Rng, SeededChance},
    journal::LifeId,
    lambda::LambdaPort,
    life::Life,
    outside::{EventsPort, NoLogs, NoSecrets, WakeupQueue, WakeupsPort},
    plan::{Plan, Shape},
    row::PREFIX,
    wire::Wire,
    world::World,
};

pub struct Processes {
    world: Arc<World>,
    database: SharedHttpClient,
    queue: WakeupQueue,
    objects: Arc<TestObjects>,
    living: Mutex<BTreeMap<usize, Process>>,
}

/// A living process, as its callers see it.
#[derive(Clone)]
pub struct Process {
    pub life: Arc<Life>,
    /// The service that callers use.
    pub service: Service,
    /// The tables, as it reads and writes them.
    pub store: Store,
    tick: Option<Arc<Tick>>,
}

struct Tick {
    ticker: Ticker,
    functions: Arc<FunctionDirectory>,
    store: Store,
    ports: Ports,
}

/// The store, as a process with this clock uses it.
pub fn store_of(
    client: SharedHttpClient,
    clock: Arc<dyn Clock>,
    chance: &dyn Chance,
    plan: &Plan,
    slots: Division,
) -> Store {
    let client = aws_sdk_dynamodb::Client::from_conf(database::client_config(client).build());
    let runs_in = match plan.shape {
        Shape::Machine => RunsIn::Lane,
        Shape::Cloud => RunsIn::Register,
    };
    // Some stacks were deployed before Schedules were divided.
    let schedules = match plan.shape {
        Shape::Cloud if !plan.seed.is_multiple_of(3) => ScheduleParts::ON_AWS,
        Shape::Cloud | Shape::Machine => ScheduleParts::ONE,
    };
    let config = StoreConfig {
        shards: plan.shards,
        schedules,
        runs_in,
        slots,
        own_lanes: plan.own_lanes,
        slow_filters: SlowFilters::OnTheCallersThread,
        ..StoreConfig::new(PREFIX)
    };
    Store::new(client, config, clock, chance)
}

impl Processes {
    /// No process runs yet.
    pub fn new(world: Arc<World>, database: SharedHttpClient) -> Arc<Self> {
        let queue = WakeupQueue::new(Arc::clone(&world));
        Arc::new(Self { world, database, queue, objects: Arc::default(), living: Mutex::default() })
    }

    /// Starts every process, restarts each one after its death, and starts the ticks.
    pub fn start(self: &Arc<Self>) {
        for process in 0..self.world.plan.processes {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                for number in 0.. {
                    let life = Life::new(LifeId { process, number }, Arc::clone(&this.world));
                    this.live(&life).await;
                    this.living.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
                    let pause = this.world.draw(|rng| rng.within(50..=8000));
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            });
        }
        if self.world.plan.shape == Shape::Cloud {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.tick_again_and_again().await });
        }
    }

    /// A random living process; `None` if all are dead.
    pub fn any(&self) -> Option<Process> {
        let living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.world.draw(|rng| rng.below(living.len().max(1) as u64));
        living.values().nth(usize::try_from(index).unwrap_or(0)).cloned()
    }

    async fn live(&self, life: &Arc<Life>) {
        self.world.note(Some(life.id), None, "starts");
        let now = self.world.elapsed();
        self.world.journal().births.insert(life.id, now);
        match self.world.plan.shape {
            Shape::Machine => self.run_machine(life).await,
            Shape::Cloud => self.run_in_cloud(life).await,
        }
        life.died.notified().await;
    }

    fn ports(&self, life: &Arc<Life>, wakeups: Arc<dyn Wakeups>) -> Ports {
        let salt = life.id.salt();
        let rng = Rng::new(self.world.plan.seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Ports {
            lambda: Arc::new(LambdaPort { life: Arc::clone(life) }),
            wakeups,
            events: Arc::new(EventsPort { life: Arc::clone(life) }),
            logs: Arc::new(NoLogs),
            objects: Arc::clone(&self.objects) as Arc<dyn Objects>,
            uploads: Arc::new(NoUploads),
            clock: Arc::clone(life) as Arc<dyn Clock>,
            ids: Arc::new(Ids::new(Arc::new(SeededChance::new(rng)))),
            chance: Arc::new(SeededChance::new(Rng::new(self.world.plan.seed ^ salt.rotate_left(17)))),
        }
    }

    fn limits(&self, holder: RunnerId, policy: SlotPolicy) -> Limits {
        let slots = SlotLimits { tasks: self.world.plan.task_limit, direct: self.world.plan.direct_limit };
        Limits { holder, policy, slots, runs_per_dispatcher: None }
    }

    fn store(&self, life: &Arc<Life>) -> Store {
        let wire = Wire { database: self.database.clone(), life: Arc::clone(life) };
        let division = self.world.plan.divisions.get(life.id.process).copied().unwrap_or(Division::NONE);
        let chance = SeededChance::new(Rng::new(self.world.plan.seed ^ life.id.salt().rotate_left(41)));
        let clock = Arc::clone(life) as Arc<dyn Clock>;
        store_of(SharedHttpClient::new(wire), clock, &chance, &self.world.plan, division)
    }

    fn join(&self, life: &Arc<Life>, service: Service, store: Store, tick: Option<Arc<Tick>>) {
        let process = Process { life: Arc::clone(life), service, store, tick };
        self.living.lock().unwrap_or_else(PoisonError::into_inner).insert(life.id.process, process);
    }

    /// Does the same as `local::machine`.
    async fn run_machine(&self, life: &Arc<Life>) {
        let store = self.store(life);
        let wakeups = LocalWakeups::default();
        let ports = self.ports(life, Arc::new(wakeups.clone()));
        let runner = RunnerId::new("local");
        let settings = Settings { record_before_answer: false, ..Settings::default() };
        let limits = self.limits(runner.clone(), SlotPolicy::Alone);
        let core = Core::assemble(store.clone(), ports, Arc::new(NoSecrets), settings, limits);
        let buried = tokio::select! {
            biased;
            buried = core.ticker.bury(&runner) => buried,
            () = life.died.notified() => return life.died.notify_one(),
        };
        if let Err(error) = buried {
            return life.die(&format!("at its start: {error}"));
        }
        core.spawn_loops(&TaskTracker::new(), &CancellationToken::new(), wakeups.dispatcher, wakeups.ticker);
        self.join(life, core.service, store, None);
    }

    /// Does the same as the Lambda functions.
    async fn run_in_cloud(&self, life: &Arc<Life>) {
        let store = self.store(life);
        let wakeups = |continues| WakeupsPort { queue: self.queue.clone(), life: Arc::clone(life), continues };
        let ports = self.ports(life, Arc::new(wakeups(false)));
        let of = Ports { wakeups: Arc::new(wakeups(true)), ..ports.clone() };
        let limits = self.limits(RunnerId::new(life.id.to_string()), SlotPolicy::Shared);
        let settings = Settings::default();
        let Core { service, ticker, slots, functions, .. } =
            Core::assemble(store.clone(), ports.clone(), Arc::new(NoSecrets), settings, limits);
        // Its wake-ups continue the chain of the one that woke it, so it has its own ports.
        let dispatcher = Dispatcher::new(store.clone(), of.clone(), Arc::clone(&slots), Arc::clone(&functions))
            .holding_at_most(self.world.plan.runs_per_dispatcher);
        let (queue, shift_of) = (self.queue.clone(), Arc::clone(life));
        let Plan { claims_for, longest_drain, .. } = self.world.plan;
        tokio::spawn(async move {
            loop {
                let message = queue.receive(&shift_of).await;
                shift_of.hops.store(message.hops, Ordering::SeqCst);
                let ends = of.clock.now().saturating_add(claims_for + longest_drain);
                let named = message.task.filter(|_| !shift_of.world.seams.forgets_what_it_was_woken_for());
                let shift = Shift { woken_for: named.into_iter().collect(), ends, longest_drain };
                let worked = work_shift(&dispatcher, &slots, &of, shift).await;
                queue.done(&shift_of);
                if worked.is_err() {
                    queue.send(message, Duration::from_secs(1));
                }
            }
        });
        let tick = Arc::new(Tick { ticker, functions, store: store.clone(), ports });
        self.join(life, service, store, Some(tick));
    }

    async fn tick_again_and_again(&self) {
        loop {
            tokio::time::sleep(self.world.plan.tick_every).await;
            if self.world.befalls(|faults| faults.tick_missed) {
                continue;
            }
            let times = if self.world.befalls(|faults| faults.tick_doubled) { 3 } else { 1 };
            for tick in (0..times).filter_map(|_| self.any()?.tick) {
                tokio::spawn(async move {
                    // If it fails, the next tick does its work.
                    let _ = tick.tick().await;
                });
            }
        }
    }
}

impl Tick {
    /// Does the same as `aws::work_minute`.
    async fn tick(&self) -> Result<(), StoreError> {
        let ticked = self.ticker.tick().await;
        let lanes = self.functions.lanes().await?;
        if !self.store.tasks.heads(&lanes, 1).await?.is_empty() {
            // If it fails, the next tick sends it.
            let _ = self.ports.wakeups.wake(Wakeup::NOW).await;
        }
        ticked.map(|_| ()).map_err(|error| error.first)
    }
}
