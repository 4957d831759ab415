//! What happened: every version of every Task's row, every run and every event, in order.
//!
//! The journal stands outside the product: it sees the writes of the database and the requests to Lambda, not what the
//! product believes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use tasklane_model::{ObjectId, Task};
use tasklane_ports::TaskEvent;

use crate::{
    plan::FlowPlan,
    row::{MARK, TaskRow},
};

/// The number of lines that the trace keeps.
const TRACE: usize = 20_000;

/// One process from its start to its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LifeId {
    /// The number of the process.
    pub process: usize,
    /// The number of its life.
    pub number: u32,
}

impl LifeId {
    /// Differs for each life, so that no two draw the same random numbers.
    pub fn salt(self) -> u64 {
        (self.process as u64) << 32 | u64::from(self.number)
    }
}

impl std::fmt::Display for LifeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p{}.{}", self.process, self.number)
    }
}

/// A line of the trace.
#[derive(Clone, Debug)]
pub struct Line {
    /// The time, in milliseconds since the start.
    pub at: i64,
    /// The process that did it.
    pub by: Option<LifeId>,
    /// The Task that it happened to.
    pub task: Option<ObjectId>,
    /// What happened.
    pub what: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.by.map_or_else(|| "-".to_owned(), |life| life.to_string());
        let task = self.task.map_or_else(String::new, |task| format!(" [{task}]"));
        write!(f, "{:>9} ms {by:>6}{task} {}", self.at, self.what)
    }
}

/// A version of a Task's row, as a write left it.
#[derive(Clone, Debug)]
pub struct Version {
    /// The number of the write.
    pub seq: u64,
    /// The time, in milliseconds since the start.
    pub at: i64,
    /// The writer.
    pub by: LifeId,
    pub row: TaskRow,
}

/// A claim, and the part of the queue that its dispatcher had seen.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The number of the write.
    pub seq: u64,
    /// The claimer.
    pub by: LifeId,
    /// The Task.
    pub task: ObjectId,
    /// When each partition of the shared lane was last read, as the number of the latest write.
    pub heads: BTreeMap<String, u64>,
}

/// A claim that was sent, whether or not it succeeded.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was sent, in milliseconds since the start.
    pub at: i64,
    /// The sender.
    pub by: LifeId,
    /// The Task.
    pub task: ObjectId,
    /// The lane in which it was found.
    pub lane: String,
    /// Its place in that lane.
    pub key: String,
    /// When the sender had last read a ready lane, in milliseconds since the start.
    pub looked: i64,
    /// As [`Claim::heads`].
    pub heads: BTreeMap<String, u64>,
}

/// The state of a Function, as its row says, from some time on; `None`: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionState {
    pub enabled: bool,
    pub limit: Option<u16>,
    pub flow: Option<FlowPlan>,
    /// Which Function of that name it is: callers delete them, and create them again.
    pub series: String,
    /// The number of its current version.
    pub version: u64,
    pub canary: Option<CanaryState>,
}

/// A version that gets a part of the runs, as a Function's row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryState {
    pub version: u64,
    pub percent: u64,
    /// How many of how many of its last runs may fail.
    pub fail_when: Option<(u64, u64)>,
    /// By the clock of its caller, in milliseconds.
    pub started: i64,
}

/// The gate of a flow key, as its row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    pub admitted: BTreeSet<ObjectId>,
    pub running: BTreeSet<ObjectId>,
    /// By the clocks of those who started them, in milliseconds.
    pub starts: Vec<i64>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The time, in milliseconds since the start.
    pub at: i64,
    /// The Tasks that it concerns.
    pub tasks: Vec<ObjectId>,
    /// What happened, in words.
    pub what: String,
}

/// A time in which something happened to a life that explains the outcomes of its runs.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// When it began, in milliseconds since the start.
    pub at: i64,
    /// When it ends.
    pub until: i64,
    pub life: LifeId,
}

/// Everything that happened.
#[derive(Default)]
pub struct Journal {
    /// The number of writes.
    pub seq: u64,
    /// Every Task's versions, in order.
    pub rows: BTreeMap<ObjectId, Vec<Version>>,
    /// Large data, which has a row of its own, by the id of the Task that it was written for.
    data: BTreeMap<String, Value>,
    /// The ids of Tasks and their marks.
    marks: BTreeSet<(String, String)>,
    /// The runs on each page of the register, by the page's key.
    pub register: BTreeMap<String, BTreeSet<ObjectId>>,
    /// When each process started, in milliseconds since the start.
    pub births: BTreeMap<LifeId, i64>,
    /// The gates of flow keys, by Function and key.
    pub gates: BTreeMap<(String, String), Gate>,
    /// The Schedules that callers paused.
    pub paused: BTreeSet<ObjectId>,
    /// Every claim, in order.
    pub claims: Vec<Claim>,
    /// Every claim that was sent, in order.
    pub asked: Vec<Asked>,
    /// Each Function's states, each with the time when it began.
    pub functions: BTreeMap<String, Vec<(i64, Option<FunctionState>)>>,
    /// The deployment of each version of a Function, by the Function's name and series.
    pub versions: BTreeMap<(String, String, u64), String>,
    /// The rollbacks that were acknowledged: the Function's name and series, to which version, and which version it is then.
    pub rollbacks: Vec<(String, String, u64, u64)>,
    /// How the runs of canaries ended, by Function and the canary's start, in the order in which they were written down.
    pub canary_runs: BTreeMap<(String, i64), Vec<bool>>,
    /// The Tasks of which an invocation never reached Lambda.
    pub lost_invocations: BTreeSet<ObjectId>,
    /// The published events.
    pub events: Vec<(i64, TaskEvent)>,
    /// The Tasks whose creation was acknowledged.
    pub acknowledged: Vec<Task>,
    /// The Tasks that calls with an idempotency key were answered with, by the number of the key.
    pub keyed: BTreeMap<u64, BTreeSet<ObjectId>>,
    /// The Tasks whose change was acknowledged, as they were after it.
    pub edited: Vec<Task>,
    /// The bulk operations that were acknowledged.
    pub bulks: Vec<ObjectId>,
    /// The acknowledged elements of debounced creations, and the Task of each.
    pub debounced: Vec<(u64, ObjectId)>,
    /// The Tasks whose cancellation was acknowledged.
    pub canceled: BTreeSet<ObjectId>,
    /// The Tasks whose direct execution was answered with a result.
    pub executed: BTreeSet<ObjectId>,
    /// The schedules whose creation was acknowledged.
    pub schedules: Vec<tasklane_model::Schedule>,
    /// When the schedules began to be deleted.
    pub schedules_end: Option<i64>,
    /// The reasons that zombies may have.
    pub troubles: Vec<Trouble>,
    /// Broken promises, in the order in which they were noticed.
    pub violations: Vec<Violation>,
    lines: VecDeque<Line>,
    hash: u64,
    /// The number of lines so far.
    pub written: u64,
}

impl Journal {
    /// Adds a line to the trace.
    pub fn note(&mut self, line: Line) {
        // FNV-1a of everything that happened: two runs of a seed must agree to the last line.
        let mut hash = if self.written == 0 { 0xcbf2_9ce4_8422_2325 } else { self.hash };
        let text = format!("{}|{:?}|{:?}|{}\n", line.at, line.by, line.task, line.what);
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.hash = hash;
        self.written += 1;
        if self.lines.len() == TRACE {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// A hash of the whole history.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Records a broken promise.
    pub fn violated(&mut self, at: i64, tasks: impl Into<Vec<ObjectId>>, what: impl Into<String>) {
        let violation = Violation { at, tasks: tasks.into(), what: what.into() };
        self.note(Line {
            at,
            by: None,
            task: violation.tasks.first().copied(),
            what: format!("!! {}", violation.what),
        });
        self.violations.push(violation);
    }

    /// Records what a Task has beside its row: its large data, or a mark.
    pub fn saw_companion(&mut self, item: &Value) {
        let (Some(pk), Some(id)) = (item["pk"]["S"].as_str(), item["sk"]["S"].as_str()) else { return };
        if let Some((mark, _)) = pk.strip_prefix(MARK).and_then(|mark| mark.rsplit_once('#')) {
            self.marks.insert((id.to_owned(), mark.to_owned()));
        } else if item["data"].is_object() {
            self.data.insert(id.to_owned(), item["data"].clone());
        }
    }

    /// Whether the Task has a mark: `failed`, `canceled`, or `tag:` and a tag.
    pub fn is_marked(&self, id: ObjectId, mark: &str) -> bool {
        self.marks.contains(&(id.to_string(), mark.to_owned()))
    }

    /// A Task's row, together with its data.
    pub fn with_data(&self, item: &Value) -> Value {
        let mut item = item.clone();
        if let Some(data) = item["dataOf"]["S"].as_str().and_then(|id| self.data.get(id)) {
            item["data"] = data.clone();
        }
        item
    }

    /// Records a row of a Task after a write.
    pub fn saw_row(&mut self, at: i64, clock: i64, by: LifeId, item: &Value, heads: &BTreeMap<String, u64>) {
        let row = match TaskRow::read(item) {
            Ok(row) => row,
            Err(why) => return self.violated(at, [], format!("a task's row cannot be read: {why}")),
        };
        let id = row.id;
        let before = self.rows.get(&id).and_then(|versions| versions.last()).map(|version| version.row.clone());
        if before.as_ref() == Some(&row) {
            return;
        }
        self.seq += 1;
        self.note(Line { at, by: Some(by), task: Some(id), what: format!("row: {row}") });
        if let Some(why) = row.cannot_follow(before.as_ref(), clock) {
            self.violated(at, [id], why);
        }
        let is_claim = row.status == tasklane_model::TaskStatus::InProgress
            && before.as_ref().is_some_and(|before| before.status == tasklane_model::TaskStatus::New);
        if is_claim {
            self.claims.push(Claim { seq: self.seq, by, task: id, heads: heads.clone() });
        }
        let next = row.retried_by;
        self.rows.entry(id).or_default().push(Version { seq: self.seq, at, by, row });
        if let Some(next) = next
            && !self.rows.contains_key(&next)
        {
            self.violated(at, [id, next], "a retried task names a retry that does not exist");
        }
    }

    /// Records that a Task's row was deleted. Only a direct execution may be withdrawn, before its code runs and
    /// anybody learns of it.
    pub fn saw_withdrawal(&mut self, at: i64, by: LifeId, id: ObjectId, was_invoked: bool) {
        self.seq += 1;
        self.note(Line { at, by: Some(by), task: Some(id), what: "row: withdrawn".to_owned() });
        let begun = matches!(self.rows.get(&id).map(Vec::as_slice), Some([only])
            if only.row.status == tasklane_model::TaskStatus::InProgress);
        if !begun || was_invoked || self.executed.contains(&id) {
            self.violated(at, [id], "a task was deleted");
        }
        self.rows.remove(&id);
    }

    /// Records a Function's row after a write.
    pub fn saw_function(&mut self, at: i64, by: LifeId, name: &str, state: Option<FunctionState>) {
        self.seq += 1;
        self.note(Line { at, by: Some(by), task: None, what: format!("function {name}: {state:?}") });
        self.functions.entry(name.to_owned()).or_default().push((at, state));
    }

    /// The states that a Function had between two times.
    pub fn function_between(&self, name: &str, from: i64, to: i64) -> Vec<Option<FunctionState>> {
        let Some(states) = self.functions.get(name) else { return vec![None] };
        let before = states.iter().rev().find(|(at, _)| *at <= from).and_then(|(_, state)| state.clone());
        let within = states.iter().filter(|(at, _)| *at > from && *at <= to).map(|(_, state)| state.clone());
        std::iter::once(before).chain(within).collect()
    }

    /// The Task's current row.
    pub fn last(&self, id: ObjectId) -> Option<&TaskRow> {
        self.rows.get(&id)?.last().map(|version| &version.row)
    }

    /// Whether the Task is a direct execution: it was in progress from the first version.
    pub fn is_direct(&self, id: ObjectId) -> bool {
        let first = self.rows.get(&id).and_then(|versions| versions.first());
        first.is_some_and(|first| first.row.status == tasklane_model::TaskStatus::InProgress)
    }

    /// The last version in which the Task had not started.
    pub fn last_new(&self, id: ObjectId) -> Option<&Version> {
        self.rows.get(&id)?.iter().rev().find(|version| version.row.status == tasklane_model::TaskStatus::New)
    }

    /// The version that began the run.
    pub fn claimed(&self, id: ObjectId) -> Option<&Version> {
        self.rows.get(&id)?.iter().find(|version| version.row.status == tasklane_model::TaskStatus::InProgress)
    }

    /// Whether something happened to this life between two times that explains a run without an outcome.
    pub fn troubled(&self, life: LifeId, from: i64, to: i64) -> bool {
        self.troubles_of(life, from, to).next().is_some()
    }

    /// Whether this life stood still, or waited long for a call, for some of the time between two times.
    pub fn stood_still(&self, life: LifeId, from: i64, to: i64) -> bool {
        self.troubles_of(life, from, to).any(|trouble| trouble.until > trouble.at)
    }

    fn troubles_of(&self, life: LifeId, from: i64, to: i64) -> impl Iterator<Item = &Trouble> {
        let is_of = move |trouble: &&Trouble| trouble.life == life && trouble.at <= to && trouble.until >= from;
        self.troubles.iter().filter(is_of)
    }

    /// The lines that the trace keeps.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The lines that explain a violation: those of its Tasks, and the last lines before it.
    pub fn lines_about(&self, violation: &Violation, most: usize, around: usize) -> Vec<&Line> {
        let end = self.lines.iter().rposition(|line| line.at <= violation.at).map_or(0, |index| index + 1);
        let lives: BTreeSet<_> =
            self.lines.iter().filter(|line| concerns(line, violation)).filter_map(|line| line.by).collect();
        let mut chosen: Vec<usize> = (0..self.lines.len())
            .filter(|index| {
                let line = &self.lines[*index];
                let fate = line.task.is_none()
                    && line.by.is_some_and(|life| lives.contains(&life))
                    && (line.what.starts_with("dies")
                        || line.what.starts_with("freezes")
                        || line.what.starts_with("starts"));
                concerns(line, violation) || fate || (*index < end && *index + around >= end)
            })
            .collect();
        let skip = chosen.len().saturating_sub(most);
        chosen.drain(..skip);
        chosen.into_iter().map(|index| &self.lines[index]).collect()
    }
}

fn concerns(line: &Line, violation: &Violation) -> bool {
    line.task.is_some_and(|task| violation.tasks.contains(&task))
}
