//! A seed's plan: the shape of the deployment, its Functions, and the faults and their frequency.

use std::time::Duration;

use tasklane_model::{TaskEventKind, TaskEvents};
use tasklane_store::{Division, LaneMemory};

use crate::chance::Rng;

/// The shape of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `tasklane dev`: one process that owns its database, with loops that run until it dies. Its runs die with it.
    Machine,
    /// On AWS: several processes that come and go, dispatchers woken by a queue, and a tick at intervals.
    Cloud,
}

/// Everything that is decided before a run starts.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Whether there are only the most ordinary callers, and few calls of theirs.
    pub is_quiet: bool,
    pub shape: Shape,
    /// The number of processes at a time.
    pub processes: usize,
    /// The error of each process's clock, in milliseconds.
    pub skews: Vec<i64>,
    /// How many queued Tasks may run at once.
    pub task_limit: u16,
    /// How many direct executions may be in progress at once.
    pub direct_limit: u16,
    /// How many dispatchers may be at work at once, in a cloud.
    pub dispatchers: usize,
    /// How many runs one dispatcher may hold.
    pub runs_per_dispatcher: usize,
    /// How long a dispatcher claims before it only waits for its runs.
    pub claims_for: Duration,
    /// How long it waits for them at most.
    pub longest_drain: Duration,
    /// The longest time for which an index may return old results.
    pub index_lag: Duration,
    /// How long an index hides each new write, if it lags at all.
    pub index_hides: Duration,
    /// The number of partitions of each lane.
    pub shards: u8,
    /// How long lanes of single Functions are remembered.
    pub own_lanes: LaneMemory,
    /// How each process divides scopes into parts. One that does not is like a version that knows nothing of parts.
    pub divisions: Vec<Division>,
    /// The Functions. The first never changes.
    pub functions: Vec<FunctionPlan>,
    /// How long callers make calls.
    pub load: Duration,
    /// The number of their calls.
    pub calls: u64,
    /// The time between two ticks, in a cloud.
    pub tick_every: Duration,
    /// The faults.
    pub faults: Faults,
}

/// A Function and its behaviour.
#[derive(Clone, Debug)]
pub struct FunctionPlan {
    pub name: String,
    /// The time limit of its runs, in seconds.
    pub time_limit: u16,
    /// The duration of a run if nothing goes wrong, in milliseconds.
    pub takes: (u64, u64),
    /// How often it throws, per mille.
    pub throws: u64,
    /// How often it runs until it is stopped, per mille.
    pub hangs: u64,
    /// Whether failures are retried; `Some(true)`: only those named `Flaky`.
    pub retries: Option<bool>,
    /// Its own limit at first.
    pub limit: Option<u16>,
    /// How its failures are retried, if not after 2, 5 and 10 s.
    pub strategy: Option<StrategyPlan>,
    /// Whether failures named `Flaky` are never retried, whatever `retries` says.
    pub never_flaky: bool,
    /// What its Tasks publish besides their failures.
    pub events: TaskEvents,
    /// How its Tasks with the same key share it, at first.
    pub flow: Option<FlowPlan>,
}

/// A Function's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPlan {
    pub concurrent: Option<u16>,
    /// How many in how many seconds.
    pub rate: Option<(u16, u32)>,
}

/// A Function's retry strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyPlan {
    pub max_retries: u16,
    /// Whether the delays double.
    pub doubles: bool,
    /// In seconds.
    pub base: u32,
    /// In seconds.
    pub max: u32,
    pub jitter: bool,
}

/// The faults: how often each of them happens, in per mille of its occasions unless said otherwise, and how severe it
/// is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A process dies at an await.
    pub crash_at_await: u64,
    /// Mean seconds between two deaths at any time; 0: none.
    pub crash_every: u64,
    /// Mean seconds between two freezes of a process; 0: none.
    pub freeze_every: u64,
    /// The longest freeze, in milliseconds.
    pub longest_freeze: u64,
    /// A call of the store fails and has no effect.
    pub store_fails: u64,
    /// The response of the store is lost.
    pub store_answer_lost: u64,
    /// The response of the store is lost, and the SDK repeats the call.
    pub store_repeats: u64,
    /// The longest time of a call of the store, in milliseconds.
    pub store_latency: u64,
    /// A call of the store takes seconds.
    pub store_slow: u64,
    /// An index returns old results.
    pub stale_index: u64,
    /// Lambda has no capacity.
    pub throttled: u64,
    /// Lambda refuses.
    pub refused: u64,
    /// The connection breaks before Lambda has the request.
    pub invoke_lost: u64,
    /// The connection breaks after Lambda has the request.
    pub invoke_answer_lost: u64,
    /// The response of a run is late, possibly after the lease.
    pub invoke_answer_late: u64,
    /// An event is refused.
    pub event_refused: u64,
    /// An event is published, and its acknowledgement is lost.
    pub event_answer_lost: u64,
    /// A wake-up is refused.
    pub wake_refused: u64,
    /// A wake-up is lost.
    pub wake_lost: u64,
    /// A wake-up is delivered twice.
    pub wake_doubled: u64,
    /// A wake-up is late.
    pub wake_late: u64,
    /// A tick is missed.
    pub tick_missed: u64,
    /// Two ticks come at once.
    pub tick_doubled: u64,
}

impl Plan {
    /// The plan of this seed.
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let shape = if rng.odds(250) { Shape::Machine } else { Shape::Cloud };
        let processes = match shape {
            Shape::Machine => 1,
            Shape::Cloud => usize::try_from(rng.within(1..=4)).unwrap_or(1),
        };
        let skewed = shape == Shape::Cloud && rng.odds(500);
        let skews = (0..processes).map(|_| if skewed { skew(rng) } else { 0 }).collect();
        let functions = (0..rng.within(2..=4)).map(|n| FunctionPlan::draw(n, rng)).collect();
        // From a generator of its own, so that the older parts of each plan stay the same.
        let more = &mut Rng::new(seed ^ 0x6469_7370_6174_6368);
        let plan = Self {
            direct_limit: more.pick(&[1, 2, 3, 5]),
            dispatchers: more.pick(&[2, 2, 3, 10]),
            runs_per_dispatcher: more.pick(&[1, 2, 64, 64]),
            claims_for: Duration::from_secs(more.pick(&[5, 20, 550, 550])),
            longest_drain: Duration::ZERO,
            index_lag: Duration::from_millis(more.pick(&[100, 800, 2000])),
            index_hides: Duration::from_millis(more.pick(&[0, 0, 300, 1500])),
            seed,
            is_quiet: false,
            shape,
            processes,
            skews,
            task_limit: rng.pick(&[1, 2, 2, 3, 5]),
            shards: rng.pick(&[1, 1, 1, 2]),
            own_lanes: LaneMemory::default(),
            divisions: Vec::new(),
            functions,
            load: Duration::from_secs(rng.within(10..=90)),
            calls: rng.within(8..=32),
            tick_every: Duration::from_secs(rng.pick(&[5, 10, 30, 60])),
            faults: Faults::draw(shape, rng),
        };
        let long = &mut Rng::new(seed ^ 0x6c6f_6e67_0073_6866);
        let plan = if shape == Shape::Cloud && long.odds(60) { plan.with_long_shifts(long) } else { plan };
        let divisions = divisions(&plan, &mut Rng::new(seed ^ 0x7061_7274_7300_6469));
        let plan = Self { divisions, ..plan };
        let retried = &mut Rng::new(seed ^ 0x7265_7472_6965_6400);
        let eventful = &mut Rng::new(seed ^ 0x6576_656e_7466_756c);
        let functions =
            plan.functions.into_iter().map(|function| function.with_strategy(retried).with_events(eventful)).collect();
        let plan = Self { functions, ..plan };
        let plan = plan.with_flows(&mut Rng::new(seed ^ 0x666c_6f77_7300_6b65));
        let limited = &mut Rng::new(seed ^ 0x6c69_6d69_7465_6400);
        let plan = if shape == Shape::Cloud && limited.odds(60) { plan.with_busy_limits(limited) } else { plan };
        let rare = &mut Rng::new(seed ^ 0x7261_7265_0063_616c);
        let plan = if shape == Shape::Cloud && rare.odds(60) { plan.with_rare_calls(rare) } else { plan };
        let own_lanes = lane_memory(&plan.faults);
        Self { longest_drain: longest_drain(&plan.functions), own_lanes, ..plan }
    }

    /// Whether any process divides scopes into parts.
    pub fn has_parts(&self) -> bool {
        self.divisions.iter().any(|division| *division != Division::NONE)
    }

    /// In every third history, the Tasks of a Function take turns by key.
    fn with_flows(self, rng: &mut Rng) -> Self {
        if !self.seed.is_multiple_of(3) {
            return self;
        }
        let mut functions = self.functions;
        for function in functions.iter_mut().skip(1) {
            if rng.odds(700) {
                function.flow = Some(FlowPlan::draw(rng));
            }
        }
        Self { functions, ..self }
    }

    /// So much work that limited Functions always use all of their slots, which are divided into few parts. When a limit
    /// is lowered, parts hold more slots than they may.
    fn with_busy_limits(self, rng: &mut Rng) -> Self {
        let processes = self.processes.max(3);
        let skews = (0..processes).map(|process| self.skews.get(process).copied().unwrap_or(0)).collect();
        let limited =
            |function: FunctionPlan| FunctionPlan { time_limit: 5, takes: (1000, 3000), limit: Some(3), ..function };
        let mut functions = self.functions.into_iter();
        let first = functions.next();
        Self {
            processes,
            skews,
            functions: first.into_iter().chain(functions.map(limited)).collect(),
            divisions: vec![Division { undivided: 0, slots_per_part: rng.pick(&[2, 3, 3]) }; processes],
            task_limit: 5,
            load: Duration::from_secs(rng.within(60..=90)),
            calls: rng.within(50..=80),
            ..self
        }
    }

    /// So little work that a dispatcher finds nothing but what it was woken for, which its index shows late.
    fn with_rare_calls(self, rng: &mut Rng) -> Self {
        let faults = Faults { stale_index: 300, store_latency: self.faults.store_latency, ..Faults::default() };
        Self {
            index_hides: Duration::from_millis(1500),
            load: Duration::from_secs(rng.within(60..=120)),
            calls: rng.within(4..=8),
            tick_every: Duration::from_secs(60),
            is_quiet: true,
            faults,
            ..self
        }
    }

    /// So much work that every dispatcher is busy until its time is up.
    fn with_long_shifts(self, rng: &mut Rng) -> Self {
        let dispatchers = rng.pick(&[2, 2, 3]);
        let processes = self.processes.max(dispatchers);
        let skews = (0..processes).map(|process| self.skews.get(process).copied().unwrap_or(0)).collect();
        let slow =
            |function: FunctionPlan| FunctionPlan { time_limit: 5, takes: (1000, 3000), limit: None, ..function };
        let functions: Vec<_> = self.functions.into_iter().map(slow).collect();
        let (load, calls) = (Duration::from_secs(rng.within(120..=180)), rng.within(150..=250));
        Self {
            processes,
            skews,
            dispatchers,
            runs_per_dispatcher: 2,
            claims_for: longest_drain(&functions) + Duration::from_secs(rng.within(6..=20)),
            task_limit: 2 * u16::try_from(dispatchers).unwrap_or(1),
            functions,
            load,
            calls,
            ..self
        }
    }

    /// Whether shifts last long enough for one to drain before its time is up.
    pub fn has_long_shifts(&self) -> bool {
        self.claims_for > self.longest_drain + self.longest_drain / 10
    }
}

/// Limits are small, so parts are: with the product's own division there would be none. In one cloud of five that has
/// parts, some of the processes do not know them.
fn divisions(plan: &Plan, rng: &mut Rng) -> Vec<Division> {
    let parts = plan.shape == Shape::Cloud && rng.odds(650);
    let divided = Division { undivided: rng.pick(&[0, 0, 1, 2]), slots_per_part: rng.pick(&[1, 1, 2, 2, 3]) };
    let mixed = rng.odds(200);
    let mut of_one = || if parts && !(mixed && rng.odds(500)) { divided } else { Division::NONE };
    (0..plan.processes).map(|_| of_one()).collect()
}

/// A run, the grace of its lease, and the time to write its outcome. Callers set a time limit of 7 s.
fn longest_drain(functions: &[FunctionPlan]) -> Duration {
    let longest = functions.iter().map(|function| function.time_limit).fold(7, u16::max);
    Duration::from_secs(u64::from(longest) + 30 + 5)
}

fn skew(rng: &mut Rng) -> i64 {
    i64::try_from(rng.below(6001)).unwrap_or(0) - 3000
}

/// As short as the time allows for which a call of a process may be under way: lanes are forgotten in most histories.
fn lane_memory(faults: &Faults) -> LaneMemory {
    let frozen = if faults.freeze_every > 0 { faults.longest_freeze } else { 0 };
    // A call of the store that is slow or is sent again takes a few seconds, and an index lags by as much.
    let renewed_after = Duration::from_secs(5);
    LaneMemory { renewed_after, kept_for: renewed_after + Duration::from_secs(30) + Duration::from_millis(frozen) }
}

impl FlowPlan {
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            concurrent: rng.pick(&[None, Some(1), Some(1), Some(2), Some(3)]),
            rate: rng.pick(&[None, None, Some((1, 3)), Some((2, 10)), Some((3, 5))]),
        }
    }
}

impl FunctionPlan {
    fn draw(number: u64, rng: &mut Rng) -> Self {
        let slowest = rng.pick(&[50, 400, 3000, 9000]);
        Self {
            name: format!("f{number}"),
            time_limit: rng.pick(&[3, 5, 10, 20]),
            takes: (slowest / 10, slowest),
            throws: rng.pick(&[0, 100, 400, 800, 1000]),
            hangs: rng.pick(&[0, 0, 0, 50, 200]),
            retries: rng.pick(&[None, Some(false), Some(false), Some(true)]),
            limit: if number > 0 && rng.odds(400) { Some(rng.pick(&[1, 1, 2])) } else { None },
            strategy: None,
            never_flaky: false,
            events: TaskEvents::default(),
            flow: None,
        }
    }

    /// Half of the Functions publish more than failures.
    fn with_events(self, rng: &mut Rng) -> Self {
        if rng.odds(500) {
            return self;
        }
        let events = TaskEventKind::ALL.into_iter().filter(|_| rng.odds(700)).collect();
        Self { events, ..self }
    }

    /// With a retry strategy, in one case of three.
    fn with_strategy(self, rng: &mut Rng) -> Self {
        let strategy = StrategyPlan {
            max_retries: rng.pick(&[0, 1, 2, 5]),
            doubles: rng.odds(600),
            base: rng.pick(&[1, 3]),
            max: rng.pick(&[3, 6, 30]),
            jitter: rng.odds(500),
        };
        Self { strategy: rng.odds(350).then_some(strategy), never_flaky: rng.odds(150), ..self }
    }

    /// The shortest and the longest delay before the next run, in milliseconds, given the number of runs before the failed one;
    /// `None` if there is no next run.
    pub fn delay(&self, earlier_runs: usize) -> Option<(i64, i64)> {
        match self.strategy {
            None => [2000, 5000, 10_000].get(earlier_runs).map(|delay| (*delay, *delay)),
            Some(strategy) if earlier_runs < usize::from(strategy.max_retries) => {
                let doubled = if strategy.doubles { earlier_runs } else { 0 };
                let delay = i64::from(strategy.max).min(i64::from(strategy.base) << doubled) * 1000;
                Some((if strategy.jitter { delay / 2 } else { delay }, delay))
            }
            Some(_) => None,
        }
    }
}

impl Faults {
    pub fn any(&self) -> bool {
        let calm = Self { store_latency: self.store_latency, ..Self::default() };
        *self != calm
    }

    /// One seed in ten has none. Each of the others has about half of the kinds, each often or seldom.
    fn draw(shape: Shape, rng: &mut Rng) -> Self {
        let store_latency = rng.pick(&[0, 5, 20, 100]);
        if rng.odds(100) {
            return Self { store_latency, ..Self::default() };
        }
        let mut some = |of: &[u64]| if rng.odds(500) { rng.pick(of) } else { 0 };
        let mut faults = Self {
            crash_at_await: some(&[2, 5, 15]),
            crash_every: some(&[8, 20, 60]),
            freeze_every: some(&[8, 20]),
            longest_freeze: 0,
            store_fails: some(&[5, 30, 120]),
            store_answer_lost: some(&[5, 20, 60]),
            store_repeats: some(&[5, 30, 120]),
            store_latency,
            store_slow: some(&[5, 20]),
            stale_index: some(&[50, 300]),
            throttled: some(&[50, 300]),
            refused: some(&[30, 100]),
            invoke_lost: some(&[30, 100]),
            invoke_answer_lost: some(&[30, 100]),
            invoke_answer_late: some(&[30, 150]),
            event_refused: some(&[100, 400]),
            event_answer_lost: some(&[100, 400]),
            wake_refused: some(&[50, 300]),
            wake_lost: some(&[50, 300]),
            wake_doubled: some(&[50, 300]),
            wake_late: some(&[50, 300]),
            tick_missed: some(&[100, 300]),
            tick_doubled: some(&[200, 600]),
        };
        match shape {
            Shape::Cloud if faults.freeze_every > 0 => faults.longest_freeze = rng.pick(&[2_000, 10_000, 90_000]),
            Shape::Cloud => {}
            Shape::Machine => {
                // One process has its database to itself: nobody sees it from outside while it is frozen, and its
                // wake-ups and indexes are in its own memory.
                faults.freeze_every = 0;
                faults.stale_index = 0;
            }
        }
        faults
    }
}
