//! The callers: they create, cancel, execute and schedule Tasks, and change their Functions meanwhile.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;
use tasklane_model::{
    Backoff, Caller, CatchUp, ConcurrencyLimit, EntryPoint, Error, ErrorKind, ErrorNames, Flow, FlowConcurrency,
    FlowPath, FlowRate, FunctionName, Interval, Json, MaxRetries, NewSchedule, NewTask, ObjectId, Overlap,
    PermissionMode, Priority, QueuedTimeout, RateCount, RateSeconds, Recurrence, RetryPolicyChange, RetrySeconds,
    RetryStrategy, RetryStrategyFields, Runtime, Tags, TaskOptions, TimeLimit, Timeouts, Timestamp,
};
use tasklane_service::{FunctionChange, FunctionOptions, NewFunction, NewProgram, Service};

use crate::{
    chance::Rng,
    check,
    plan::{FlowPlan, FunctionPlan, StrategyPlan},
    process::Processes,
    world::World,
};

/// The callers of a run.
pub struct Load {
    world: Arc<World>,
    processes: Arc<Processes>,
    rng: Rng,
    /// For how long Tasks may wait; so that the older parts of each history stay the same.
    times: Rng,
    /// What Schedules do about overlaps and missed occurrences; for the same reason.
    rules: Rng,
    number: u64,
}

impl Load {
    pub fn new(world: Arc<World>, processes: Arc<Processes>) -> Self {
        let rng = Rng::new(world.plan.seed.wrapping_mul(131).wrapping_add(3));
        let times = Rng::new(world.plan.seed ^ 0x7175_6575_6564_0000);
        let rules = Rng::new(world.plan.seed ^ 0x7275_6c65_7300_0000);
        Self { world, processes, rng, times, rules, number: 0 }
    }

    /// Creates the Functions, while nothing goes wrong.
    pub async fn prepare(&self) {
        for function in &self.world.plan.functions {
            self.insist("create a function", async |service| create(&service, function).await).await;
        }
    }

    /// Makes calls until the plan's time is over.
    pub async fn run(&mut self) {
        let plan = self.world.plan.clone();
        let gap = u64::try_from(plan.load.as_millis()).unwrap_or(0) / plan.calls.max(1);
        for _ in 0..plan.calls {
            tokio::time::sleep(Duration::from_millis(self.rng.below(2 * gap + 1))).await;
            let times = if self.rng.odds(150) { self.rng.within(2..=6) } else { 1 };
            let what = self.rng.below(1000);
            for _ in 0..times {
                self.call(what);
            }
        }
    }

    /// Deletes the schedules, so that the work ends.
    pub async fn end(&self) {
        let schedules: Vec<ObjectId> = self.all_schedules();
        self.world.journal().schedules_end = Some(self.world.elapsed());
        for id in schedules {
            self.insist("delete a schedule", async |service| match service.delete_schedule(id).await {
                Err(error) if error.kind() == ErrorKind::ResourceUnknown => Ok(()),
                other => other.map(|_| ()),
            })
            .await;
        }
    }

    fn all_schedules(&self) -> Vec<ObjectId> {
        self.world.journal().schedules.iter().map(|schedule| schedule.id).collect()
    }

    /// Repeats a call until it succeeds. Only for times when nothing goes wrong.
    async fn insist<F: Future<Output = Result<(), Error>>>(&self, what: &str, call: impl Fn(Service) -> F) {
        for _ in 0..60 {
            if let Some(process) = self.processes.any() {
                match call(process.service).await {
                    Ok(()) => return,
                    Err(error) => self.world.note(None, None, format!("could not {what}: {error}")),
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.world.violated([], format!("could not {what} although there were no faults"));
    }

    fn call(&mut self, what: u64) {
        let Some(process) = self.processes.any() else { return };
        let (world, service) = (Arc::clone(&self.world), process.service);
        let functions = self.world.plan.functions.clone();
        let index = usize::try_from(self.rng.below(functions.len() as u64)).unwrap_or(0);
        let function = functions[index].clone();
        // The first Function never changes, so that promises about it have no exceptions.
        let other = functions[1 + usize::try_from(self.rng.below(functions.len() as u64 - 1)).unwrap_or(0)].clone();
        self.number += 1;
        let number = self.number;
        match what {
            0..560 => {
                let new = self.new_task(&function, number);
                spawn(&world, "create a task", async move |world| {
                    let task = service.create_task(&Caller::Nobody, new).await?;
                    world.note(None, Some(task.id), "its creation is acknowledged");
                    world.journal().acknowledged.push(task);
                    Ok(())
                });
            }
            560..660 => {
                let ids: Vec<ObjectId> = self.world.journal().rows.keys().copied().collect();
                if ids.is_empty() {
                    return;
                }
                // The newest Tasks are the most likely to be `new` still.
                let back = self.rng.below(6.min(ids.len() as u64));
                let id = ids[ids.len() - 1 - usize::try_from(back).unwrap_or(0)];
                spawn(&world, "cancel a task", async move |world| {
                    service.cancel_task(id).await?;
                    world.note(None, Some(id), "its cancellation is acknowledged");
                    world.journal().canceled.insert(id);
                    Ok(())
                });
            }
            660..740 => spawn(&world, "execute a function", async move |world| {
                let asked = world.elapsed();
                let executed = service.execute(&Caller::Nobody, &function.name, None).await;
                if let Err(error) = &executed
                    && error.kind() == ErrorKind::ConcurrentExecutionLimit
                {
                    check::refused(&world, &function.name, asked);
                }
                let executed = executed?;
                world.note(None, Some(executed.task.id), "the result of its execution is returned");
                world.journal().executed.insert(executed.task.id);
                Ok(())
            }),
            740..800 => {
                let new = self.new_schedule(&function, number);
                let pause = self.pause();
                spawn(&world, "create a schedule", async move |world| {
                    let schedule = service.create_schedule(&Caller::Nobody, new).await?;
                    world.note(None, None, format!("schedule {}: {:?}", schedule.id, schedule.recurrence));
                    let id = schedule.id;
                    world.journal().schedules.push(schedule);
                    let Some((after, length)) = pause else { return Ok(()) };
                    world.journal().paused.insert(id);
                    tokio::time::sleep(after).await;
                    let paused = service.enable_schedule(id, false).await;
                    world.note(None, None, format!("schedule {id} paused: {}", paused.is_ok()));
                    tokio::time::sleep(length).await;
                    service.enable_schedule(id, true).await.map(|_| ())
                });
            }
            800..840 => spawn(&world, "disable a function", async move |_| {
                service.set_function_enabled(&other.name, false).await.map(|_| ())
            }),
            840..890 => spawn(&world, "enable a function", async move |_| {
                service.set_function_enabled(&other.name, true).await.map(|_| ())
            }),
            890..940 => {
                let limit = self.rng.pick(&[None, Some(1), Some(1), Some(2), Some(3)]);
                let limit = limit.and_then(|limit| ConcurrencyLimit::new(limit).ok());
                spawn(&world, "limit a function", async move |_| {
                    let options = FunctionOptions { concurrency_limit: Some(limit), ..FunctionOptions::default() };
                    let change = FunctionChange { options, ..FunctionChange::default() };
                    service.update_function(&other.name, change).await.map(|_| ())
                });
            }
            940..960 => spawn(&world, "change the time limit of a function", async move |_| {
                let options = FunctionOptions { time_limit: TimeLimit::new(7).ok(), ..FunctionOptions::default() };
                let change = FunctionChange { options, ..FunctionChange::default() };
                service.update_function(&other.name, change).await.map(|_| ())
            }),
            960..975 => spawn(&world, "delete a function", async move |_| {
                service.delete_function(&other.name).await.map(|_| ())
            }),
            _ => spawn(&world, "create a function again", async move |_| create(&service, &other).await),
        }
    }

    fn new_task(&mut self, function: &FunctionPlan, number: u64) -> NewTask {
        let now = self.world.now();
        let start = match self.rng.below(10) {
            0..6 => None,
            6 => Some(now.saturating_sub(Duration::from_millis(self.rng.below(20_000)))),
            _ => Some(now.saturating_add(Duration::from_millis(self.rng.below(30_000)))),
        };
        NewTask {
            function_name: name_of(function),
            data: Some(data("n", number)),
            start_timestamp: start,
            priority: Priority::new(self.rng.pick(&[0, 0, 0, 1, 5, -3, 9_007_199_254_740_991])).ok(),
            tags: Tags::try_from(vec![format!("tag{number}")]).unwrap_or_default(),
            options: TaskOptions { timeouts: self.timeouts(), ..TaskOptions::default() },
        }
    }

    /// One Task in four may not wait for ever.
    fn timeouts(&mut self) -> Timeouts {
        let queued = self.times.pick(&[0, 0, 0, 0, 0, 0, 1, 5, 30]);
        Timeouts { queued: QueuedTimeout::new(queued).ok() }
    }

    fn new_schedule(&mut self, function: &FunctionPlan, number: u64) -> NewSchedule {
        let now: Timestamp = self.world.now();
        let start = match self.rng.below(3) {
            0 => None,
            1 => Some(now.saturating_sub(Duration::from_millis(self.rng.below(100_000)))),
            _ => Some(now.saturating_add(Duration::from_millis(self.rng.below(10_000)))),
        };
        #[allow(clippy::expect_used)] // a constant of the simulation
        let interval = Interval::from_secs(self.rng.pick(&[3, 7, 20])).expect("an interval");
        NewSchedule {
            data: Some(data("schedule", number)),
            start_timestamp: start,
            overlap: self.rules.pick(&[None, None, Some(Overlap::Skip), Some(Overlap::Queue)]),
            catch_up: self.rules.pick(&[None, Some(CatchUp::None), Some(CatchUp::Latest), Some(CatchUp::All)]),
            ..NewSchedule::of(name_of(function), Recurrence::Every(interval))
        }
    }

    /// One Schedule in five is paused after some time, for some time.
    fn pause(&mut self) -> Option<(Duration, Duration)> {
        let times = (self.rules.below(20_000), self.rules.below(20_000));
        self.rules.odds(200).then(|| (Duration::from_millis(times.0), Duration::from_millis(times.1)))
    }
}

pub fn name_of(function: &FunctionPlan) -> FunctionName {
    #[allow(clippy::expect_used)] // a constant of the simulation
    FunctionName::parse(&function.name).expect("a function's name")
}

/// Data that identifies a request of a caller. One in four is so large that it has a row of its own.
fn data(name: &str, number: u64) -> Json {
    let padding = if number.is_multiple_of(4) { "x".repeat(4096) } else { String::new() };
    // One in five has no flow key.
    let key = (!number.is_multiple_of(5)).then_some(number % 3);
    Json::from(json!({ name: number, "padding": padding, "key": key }))
}

fn spawn<F>(world: &Arc<World>, what: &'static str, call: impl FnOnce(Arc<World>) -> F)
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let call = call(Arc::clone(world));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        if let Err(error) = call.await {
            world.note(None, None, format!("could not {what}: {error}"));
        }
    });
}

fn strategy(plan: StrategyPlan) -> RetryStrategy {
    let fields = RetryStrategyFields {
        max_retries: MaxRetries::new(i64::from(plan.max_retries)).ok(),
        backoff: Some(if plan.doubles { Backoff::Exponential } else { Backoff::Fixed }),
        base_seconds: RetrySeconds::new(i64::from(plan.base)).ok(),
        max_seconds: RetrySeconds::new(i64::from(plan.max)).ok(),
        jitter: Some(plan.jitter),
    };
    #[allow(clippy::expect_used)] // constants of the simulation
    RetryStrategy::try_from(fields).expect("a strategy")
}

/// The flow of a plan. The key of a Task is in its data.
pub fn flow_of(plan: FlowPlan) -> Flow {
    let rate = |(count, seconds): (u16, u32)| FlowRate {
        count: RateCount::new(count.into()).unwrap_or(RateCount::MIN),
        seconds: RateSeconds::new(seconds.into()).unwrap_or(RateSeconds::MIN),
    };
    #[allow(clippy::expect_used)] // a constant of the simulation
    let key = FlowPath::parse("data.key").expect("a path");
    let concurrent = plan.concurrent.and_then(|most| FlowConcurrency::new(most.into()).ok());
    Flow { key, concurrent, rate: plan.rate.map(rate) }
}

async fn create(service: &Service, function: &FunctionPlan) -> Result<(), Error> {
    let flaky = || vec!["Flaky".to_owned()];
    let retry_policy = function.retries.map(|some_only| RetryPolicyChange {
        enabled: true,
        errors_to_retry: if some_only { flaky() } else { Vec::new() },
        errors_not_to_retry: function.never_flaky.then(|| ErrorNames::try_from(flaky()).ok()),
        strategy: function.strategy.map(|plan| Some(strategy(plan))),
    });
    let options = FunctionOptions {
        time_limit: TimeLimit::new(i64::from(function.time_limit)).ok(),
        retry_policy,
        permission_mode: Some(PermissionMode::Public),
        concurrency_limit: function.limit.map(|limit| ConcurrencyLimit::new(i64::from(limit)).ok()),
        events: Some(function.events),
        flow: function.flow.map(|plan| Some(flow_of(plan))),
        ..FunctionOptions::default()
    };
    #[allow(clippy::expect_used)] // a constant of the simulation
    let entry_point = EntryPoint::parse("index.handler").expect("an entry point");
    let new = NewFunction {
        name: name_of(function),
        program: NewProgram::Zip {
            code: Bytes::from_static(b"zip").into(),
            entry_point,
            runtime: Runtime::new("nodejs22.x"),
        },
        options,
        label: None,
        by: None,
    };
    match service.create_function(new).await {
        Err(error) if error.kind() == ErrorKind::ResourceAlreadyExists => Ok(()),
        other => other.map(|_| ()),
    }
}
