//! The register of runs: which Tasks each process may have in progress.
//!
//! On AWS, a Task in progress is in no lane: to enter one and to leave it would cost two write units. Instead, a process
//! writes the ids of a group of Tasks into its page of the register before it claims them. So whatever becomes of the
//! process, its runs are found. What has ended is dropped with the next group, or by the ticker when all leases of the
//! page have expired.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::try_join_all;
use tasklane_model::{ObjectId, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::{hash::fnv1a, lock::Lock};

use super::{
    Run, RunnerId, StoreError,
    change::Condition,
    row::{NewRow, Row, json, number},
    table::{Table, Written},
};

/// The first format with this register.
const FORMAT: u32 = 2;

/// How many partitions the pages of all processes are spread over, because each takes 1,000 write units per second.
const PARTS: u32 = 8;

/// How many runs a page holds: about 3 KB, so at most three write units for each group of claims.
const PAGE: usize = 64;

/// How often a page is written in total if the table contains a later revision. Only its process writes a page, so one
/// repetition is enough.
const TRIES: usize = 3;

/// How long a registered Task that is not in progress is kept after its lease. A process that is suspended between
/// the registration and the claim may still claim the Task when it continues.
pub(super) const KEPT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the runs in progress are recorded, so that those of a dead process are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunsIn {
    /// In a lane of their own. For one machine, where write units cost nothing, and a write before each claim would
    /// delay it.
    #[default]
    Lane,
    /// In the register: one write for each group of claims, and two write units less for each Task.
    Register,
}

/// The register of runs.
#[derive(Clone)]
pub struct Runs {
    control: Table,
    kept_in: RunsIn,
    clock: Arc<dyn Clock>,
    own: Arc<Lock<BTreeMap<RunnerId, Vec<Arc<Page>>>>>,
}

/// A run that its process has registered.
///
/// If it is dropped before [`RegisteredRun::end`], its Task stays in the register, because it may still be in progress.
#[derive(Debug)]
#[must_use]
pub struct RegisteredRun(Option<(Arc<Page>, Open)>);

/// Runs whose registration has not been written. None of them may be started, so they are dropped from their pages.
struct Unwritten(Vec<RegisteredRun>);

impl Unwritten {
    fn written(mut self) -> Vec<RegisteredRun> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.drain(..).for_each(RegisteredRun::end);
    }
}

impl RegisteredRun {
    /// To be called when the Task is no longer in progress, or was not claimed.
    pub fn end(self) {
        if let Some((page, open)) = self.0 {
            page.end(open);
        }
    }
}

/// A part of what a process has registered: one row.
#[derive(Debug)]
struct Page {
    pk: String,
    sk: String,
    contents: Lock<Contents>,
    /// Held during a write, so that groups that arrive meanwhile are written together.
    writing: tokio::sync::Mutex<()>,
}

/// A run that may be in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    task: ObjectId,
    lease_expires: Timestamp,
}

#[derive(Debug, Default)]
struct Contents {
    /// A Task may be there twice: a process that claims it may see it in a lagging index once more.
    open: Vec<Open>,
    /// The revision of the last write.
    revision: u64,
    /// How many groups were added.
    added: u64,
    /// How many of them are written.
    written: u64,
}

/// A page, as the ticker reads it.
pub(super) struct RegisterRow {
    pk: String,
    sk: String,
    revision: u64,
    pub(super) runner: RunnerId,
    /// The end of each run's lease.
    pub(super) runs: BTreeMap<ObjectId, Timestamp>,
}

impl Runs {
    pub(super) fn new(control: &Table, kept_in: RunsIn, clock: &Arc<dyn Clock>) -> Self {
        Self { control: control.clone(), kept_in, clock: Arc::clone(clock), own: Arc::default() }
    }

    pub(super) fn kept_in(&self) -> RunsIn {
        self.kept_in
    }

    /// Registers runs that their runner is about to start, in the same order. To be called before their Tasks are
    /// claimed or created.
    ///
    /// # Errors
    /// None of the runs may be started then.
    pub async fn register(&self, runs: &[(ObjectId, &Run)]) -> Result<Vec<RegisteredRun>, StoreError> {
        match self.kept_in {
            RunsIn::Lane => return Ok(runs.iter().map(|_| RegisteredRun(None)).collect()),
            RunsIn::Register => {}
        }
        let mut pages: BTreeMap<String, Arc<Page>> = BTreeMap::new();
        let mut unwritten = Unwritten(Vec::with_capacity(runs.len()));
        for (id, run) in runs {
            let open = Open { task: *id, lease_expires: run.lease_expires };
            let page = self.add(open, &run.runner);
            unwritten.0.push(RegisteredRun(Some((Arc::clone(&page), open))));
            pages.insert(page.sk.clone(), page);
        }
        try_join_all(pages.values().map(|page| self.write(page))).await?;
        Ok(unwritten.written())
    }

    /// Like [`Runs::register`], for a single run.
    pub async fn register_one(&self, id: ObjectId, run: &Run) -> Result<RegisteredRun, StoreError> {
        let registered = self.register(&[(id, run)]).await?.pop();
        Ok(registered.unwrap_or(RegisteredRun(None)))
    }

    /// Whether this run may be started.
    pub(super) fn knows(&self, id: ObjectId, run: &Run) -> bool {
        match self.kept_in {
            RunsIn::Lane => true,
            RunsIn::Register => {
                let own = self.own.lock();
                let open = Open { task: id, lease_expires: run.lease_expires };
                own.get(&run.runner).into_iter().flatten().any(|page| page.contents.lock().open.contains(&open))
            }
        }
    }

    fn add(&self, open: Open, runner: &RunnerId) -> Arc<Page> {
        let mut own = self.own.lock();
        let pages = own.entry(runner.clone()).or_default();
        let page = match pages.iter().find(|page| page.has_room()) {
            Some(page) => Arc::clone(page),
            None => {
                let page = Arc::new(Page::new(runner, pages.len()));
                pages.push(Arc::clone(&page));
                page
            }
        };
        page.add(open);
        page
    }

    /// Writes a page with everything that was added to it until now.
    async fn write(&self, page: &Page) -> Result<(), StoreError> {
        const ACTION: &str = "register the runs";
        let wanted = page.contents.lock().added;
        let _turn = page.writing.lock().await;
        for _ in 0..TRIES {
            let (row, added, revision) = {
                let mut contents = page.contents.lock();
                if contents.written >= wanted {
                    return Ok(());
                }
                contents.revision += 1;
                let too_old = self.clock.now().saturating_sub(KEPT_AFTER);
                contents.open.retain(|open| open.lease_expires > too_old);
                (page.row(&contents), contents.added, contents.revision)
            };
            // A repetition of an earlier write that arrives late must not replace this one.
            let newer =
                Condition::new("attribute_not_exists(#pk) OR #revision < :revision").with("revision", number(revision));
            match self.control.put(ACTION, row, newer).await? {
                Written::Done(_) => {
                    page.contents.lock().written = added;
                    return Ok(());
                }
                // Either this is our own write, whose response was lost, or a process of the same name wrote the page
                // earlier.
                Written::Refused(Some(row)) => page.contents.lock().revision = row.number("revision")?,
                Written::Refused(None) => {}
            }
        }
        Err(StoreError::Contended { action: ACTION })
    }

    /// All pages of all processes; none if runs are not kept in the register.
    pub(super) async fn all(&self) -> Result<Vec<RegisterRow>, StoreError> {
        match self.kept_in {
            RunsIn::Lane => return Ok(Vec::new()),
            RunsIn::Register => {}
        }
        let names: Vec<_> = (0..PARTS).map(partition).collect();
        let parts = try_join_all(names.iter().map(|part| self.control.all_of("read the runs", part))).await?;
        parts.iter().flatten().map(read).collect()
    }

    /// Removes a page that has not been written since it was read.
    pub(super) async fn remove(&self, page: &RegisterRow) -> Result<(), StoreError> {
        let unchanged = Condition::new("#revision = :revision").with("revision", number(page.revision));
        self.control.delete_when("remove runs that have ended", &page.pk, &page.sk, unchanged).await.map(|_| ())
    }
}

impl Page {
    fn new(runner: &RunnerId, number: usize) -> Self {
        Self {
            pk: partition(part_of(runner)),
            sk: format!("{runner}#{number}"),
            contents: Lock::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    fn has_room(&self) -> bool {
        self.contents.lock().open.len() < PAGE
    }

    fn add(&self, open: Open) {
        let mut contents = self.contents.lock();
        contents.open.push(open);
        contents.added += 1;
    }

    fn end(&self, ended: Open) {
        let open = &mut self.contents.lock().open;
        if let Some(index) = open.iter().position(|open| *open == ended) {
            open.swap_remove(index);
        }
    }

    fn row(&self, contents: &Contents) -> NewRow {
        let mut leases = BTreeMap::new();
        for open in &contents.open {
            // Of two leases, the earlier one: when it has expired, the ticker reads the Task's own.
            let lease = leases.entry(open.task).or_insert(open.lease_expires.as_millis());
            *lease = open.lease_expires.as_millis().min(*lease);
        }
        let mut row = NewRow::new(&self.pk, &self.sk).in_format(FORMAT);
        row.set("runs", json(&leases));
        row.set("revision", number(contents.revision));
        row
    }
}

fn read(row: &Row) -> Result<RegisterRow, StoreError> {
    let (pk, sk) = (row.text("pk")?.to_owned(), row.text("sk")?.to_owned());
    let (runner, _) = sk.rsplit_once('#').ok_or_else(|| row.corrupt("its key has no number"))?;
    let leases: BTreeMap<ObjectId, i64> = row.json("runs")?;
    let lease = |millis| Timestamp::from_millis(millis).map_err(|error| row.corrupt(error));
    Ok(RegisterRow {
        revision: row.number("revision")?,
        runner: RunnerId::new(runner),
        runs: leases.into_iter().map(|(id, millis)| Ok((id, lease(millis)?))).collect::<Result<_, StoreError>>()?,
        pk,
        sk,
    })
}

fn partition(part: u32) -> String {
    format!("runs#{part}")
}

/// The partition of a process's pages.
fn part_of(runner: &RunnerId) -> u32 {
    fnv1a(runner.as_str()) % PARTS
}
