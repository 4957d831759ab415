//! The cost of a list page, a claim and a creation in a table that is a thousand times as large.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use dynoxide::{AttributeValue, ImportOptions};
use hot_paths::engine::{Writes, running_task};
#[cfg(target_os = "linux")]
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use tasklane::{
    model::{ObjectId, Priority, Timestamp},
    ports::{Clock as _, SystemClock},
    rql::{Query, Schema},
    store::{AttemptToken, QueueLane, ReadyKey, Run, RunnerId},
};

use super::api::millis;
use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

/// The number of days that the Tasks are spread over.
const DAYS: u64 = 30;
/// The Function of every other Task, so that its page is full in the small table, too.
const BUSY: u64 = 7;
/// The number of Functions that the other Tasks have.
const FUNCTIONS: u64 = 100;
/// One of this many Tasks waits for its turn; the others are complete.
const ONE_WAITS_OF: u64 = 20;

#[cfg(target_os = "linux")]
const THIS_THREAD: Pid = Pid::from_raw(0);

/// The queries.
const QUERIES: &[(&str, &str)] = &[
    ("first page, unfiltered", ""),
    ("last page, unfiltered", "sort(-creationTimestamp)"),
    ("page by status", "status=complete&sort(-creationTimestamp)"),
    ("page by Function", "functionName=f7&sort(-creationTimestamp)"),
    ("page by priority and Function", "functionName=f7&gt(priority,-1)&limit(50)"),
    (RARE, "functionName=f8&sort(-creationTimestamp)"),
    ("page by id", "id=ID"),
];

/// A page that is not full in the small table, which has only five such Tasks.
const RARE: &str = "page by a Function of one Task in 200";

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    // The scheduler may place the threads of the two tables differently: 0.15 or 0.26 ms for the same look-up, whatever
    // the size.
    let _pinned = OneProcessor::pin()?;
    let small = Filled::with(context, 1_000).await?;
    let large_size = if context.quick { 50_000 } else { 1_000_000 };
    let large = Filled::with(context, large_size).await?;
    let mut result = Result::default();
    let many = usize::try_from(context.count(100))?;
    for (what, query) in QUERIES {
        let figures = rounds(context, what, [&small, &large], async |table| table.list(query, many).await).await?;
        add(&mut result, what, figures, large_size);
    }
    let figures = rounds(context, "create", [&small, &large], async |table| table.create(many).await).await?;
    add(&mut result, "create a Task", figures, large_size);
    let figures = rounds(context, "claim", [&small, &large], async |table| table.claim(many / 4).await).await?;
    add(&mut result, "claim the next Task", figures, large_size);
    result.note(format!(
        "All on one processor. The Tasks are spread over {DAYS} days. Half of them belong to one Function (f{BUSY}), the others to {FUNCTIONS} Functions, and one in {ONE_WAITS_OF} is waiting. Both tables are files; \
         the large one was filled directly, with rows as the service writes them."
    ));
    let memory = resident_megabytes();
    result.line("memory of the process with both tables open", Figure::count("MB", memory), None, Target::Shown);
    Ok(result)
}

fn add(result: &mut Result, what: &str, [small, large]: [Figure; 2], size: u64) {
    let what = format!("{what}: {size} Tasks against 1000");
    let target = if what.starts_with(RARE) { Target::Shown } else { Target::RatioAtMost(1.5) };
    result.line(&what, large, Some(("1,000 Tasks", small)), target);
}

/// The median time of an operation in each table, with a value for each round.
async fn rounds(
    context: &Context,
    what: &str,
    tables: [&Filled; 2],
    operation: impl AsyncFn(&Filled) -> anyhow::Result<Vec<f64>>,
) -> anyhow::Result<[Figure; 2]> {
    let mut medians: [Vec<f64>; 2] = Default::default();
    for _ in 0..context.rounds {
        for (table, medians) in tables.iter().zip(&mut medians) {
            medians.push(Figure::new("", operation(table).await?).median());
        }
    }
    let figures = medians.map(|values| Figure::new("ms", values));
    context.say(&format!("   {what}: {} | {}", figures[0].shown(), figures[1].shown()));
    Ok(figures)
}

/// Keeps this thread, and those that it starts, on one processor until it is dropped.
struct OneProcessor {
    #[cfg(target_os = "linux")]
    before: CpuSet,
}

impl OneProcessor {
    #[cfg(target_os = "linux")]
    fn pin() -> anyhow::Result<Self> {
        let before = sched_getaffinity(THIS_THREAD)?;
        let mut one = CpuSet::new();
        let first = (0..CpuSet::count()).find(|processor| before.is_set(*processor) == Ok(true));
        one.set(first.context("there is no processor")?)?;
        sched_setaffinity(THIS_THREAD, &one)?;
        Ok(Self { before })
    }

    #[cfg(not(target_os = "linux"))]
    fn pin() -> anyhow::Result<Self> {
        Ok(Self {})
    }
}

#[cfg(target_os = "linux")]
impl Drop for OneProcessor {
    fn drop(&mut self) {
        // If this fails, the following rows are measured on one processor, which their figures show.
        let _ = sched_setaffinity(THIS_THREAD, &self.before);
    }
}

/// A table with Tasks in it.
struct Filled {
    writes: Writes,
    an_id: ObjectId,
    _folder: tempfile::TempDir,
}

impl Filled {
    async fn with(context: &Context, size: u64) -> anyhow::Result<Self> {
        let folder = context.scratch()?;
        let database = folder.path().join("database.sqlite");
        let began = Instant::now();
        // One Task of each kind, as the service writes it, as templates for the others.
        {
            let writes = Writes::open(&database).await?;
            let complete = running_task(writes.next_id(), "f0");
            let run = writes.begin(&complete).await?;
            writes.complete(&complete, &run).await?;
            let mut new = running_task(writes.next_id(), "f0");
            new.status = tasklane::model::TaskStatus::New;
            writes.store.tasks.create(&new, tasklane::model::Lane::Shared, SystemClock.now()).await?;
        }
        let an_id = fill(&database, size)?;
        let writes = Writes::open(&database).await?;
        context.say(&format!("   {size} Tasks in {:.0} s", began.elapsed().as_secs_f64()));
        Ok(Self { writes, an_id, _folder: folder })
    }

    async fn list(&self, query: &str, times: usize) -> anyhow::Result<Vec<f64>> {
        let text = query.replace("ID", &self.an_id.to_string());
        let query = Query::parse(&text, &Schema::TASKS).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut took = Vec::new();
        for _ in 0..times.min(20) {
            let began = Instant::now();
            let page = self.writes.store.tasks.list(&query, SystemClock.now()).await?;
            took.push(millis(began.elapsed()));
            anyhow::ensure!(!page.data.is_empty(), "the page of {text} is empty");
        }
        Ok(took)
    }

    async fn create(&self, times: usize) -> anyhow::Result<Vec<f64>> {
        let mut took = Vec::new();
        for _ in 0..times {
            let mut task = running_task(self.writes.next_id(), "f7");
            task.status = tasklane::model::TaskStatus::New;
            task.start_timestamp = SystemClock.now().saturating_add(Duration::from_secs(3600));
            let began = Instant::now();
            self.writes.store.tasks.create(&task, tasklane::model::Lane::Shared, SystemClock.now()).await?;
            took.push(millis(began.elapsed()));
        }
        Ok(took)
    }

    async fn claim(&self, times: usize) -> anyhow::Result<Vec<f64>> {
        let mut took = Vec::new();
        // Each claimed Task is replaced, so that the small table does not become empty.
        for _ in 0..times.min(5) {
            let now = SystemClock.now();
            let lease_expires = now.saturating_add(Duration::from_secs(3600));
            let attempt = AttemptToken::new(*self.writes.next_id().as_bytes());
            let run = Run { attempt, runner: RunnerId::new("bench"), started: now, lease_expires, version: None };
            let began = Instant::now();
            let heads = self.writes.store.tasks.heads(&[QueueLane::Shared], 16).await?;
            let head = heads.first().context("the queue is empty")?;
            self.writes.store.tasks.claim(head, &run, now).await?.context("it was not claimed")?;
            took.push(millis(began.elapsed()));
        }
        Ok(took)
    }
}

type Item = HashMap<String, AttributeValue>;

/// Fills the tables without the service. Returns the id of one Task.
fn fill(database: &Path, size: u64) -> anyhow::Result<ObjectId> {
    let text = database.to_str().context("the path is UTF-8")?;
    let db = dynoxide::Database::new(text)?;
    let scan = dynoxide::actions::scan::ScanRequest { table_name: "bench-tasks".to_owned(), ..Default::default() };
    let templates = db.scan(scan)?.items.unwrap_or_default();
    let of = |status: &str| {
        let is = |item: &&Item| item.get("status") == Some(&AttributeValue::S(status.to_owned()));
        templates.iter().find(is).cloned().with_context(|| format!("there is no {status} task"))
    };
    let (complete, new) = (of("complete")?, of("new")?);
    db.enable_bulk_loading()?;
    let now = SystemClock.now();
    let span = Duration::from_secs(DAYS * 24 * 3600);
    let first = now.saturating_sub(span);
    let mut an_id = None;
    let mut days = std::collections::BTreeSet::new();
    let mut batch = Vec::new();
    for n in 0..size {
        let offset = u64::try_from(span.as_millis()).unwrap_or(0) / size * n;
        let created = first.saturating_add(Duration::from_millis(offset));
        let id = ObjectId::new(created, n << 8);
        let template = if n % ONE_WAITS_OF == 0 { &new } else { &complete };
        days.insert(created.day());
        let function = if n % 2 == 1 { BUSY } else { n / 2 % FUNCTIONS };
        batch.push(task_row(template, id, created, function));
        an_id.get_or_insert(id);
        if batch.len() == 20_000 || n + 1 == size {
            db.import_items("bench-tasks", std::mem::take(&mut batch), ImportOptions::default())?;
        }
    }
    let format = complete.get("v").cloned().context("a row says its format")?;
    let days = days.into_iter().map(|day| {
        Item::from([
            ("pk".to_owned(), AttributeValue::S("days:tasks".to_owned())),
            ("sk".to_owned(), AttributeValue::S(day)),
            ("shards".to_owned(), AttributeValue::N("1".to_owned())),
            ("v".to_owned(), format.clone()),
        ])
    });
    db.import_items("bench-control", days.collect(), ImportOptions::default())?;
    an_id.context("the table is empty")
}

fn task_row(template: &Item, id: ObjectId, created: Timestamp, function: u64) -> Item {
    let mut row = template.clone();
    let mut set = |name: &str, value: AttributeValue| {
        row.insert(name.to_owned(), value);
    };
    let time = |time: Timestamp| AttributeValue::N(time.as_millis().to_string());
    set("pk", AttributeValue::S(format!("{}#0", created.day())));
    set("sk", AttributeValue::S(id.to_string()));
    set("function", AttributeValue::S(format!("f{function}")));
    for name in ["created", "start", "updated", "statusChanged"] {
        set(name, time(created));
    }
    if template.contains_key("lane") {
        let key = ReadyKey::new(Priority::default(), created, id);
        set("laneKey", AttributeValue::S(key.as_str().to_owned()));
    }
    row
}

fn resident_megabytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(f64::NAN);
    pages * 4096.0 / 1e6
}
