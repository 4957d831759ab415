//! The database's thread: it does what is asked, and answers once it is on the disk.
//!
//! What waits at the same time is a round: one transaction, and one sync of the log. A second thread syncs, so that the next
//! round is worked on meanwhile; a round that has ended while the log was being synced shares the sync after it with others.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{Watch, calls::Work, desk::Desk, wal::WriteAheadLog};

/// How often expired records are removed. Readers ignore them as soon as they expire.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The most requests of a round, so that the first of them does not wait for ever.
const SHARE: usize = 128;

/// Requests whose answers wait for the sync of what they have written or read, each with why it failed nevertheless.
type Round = Vec<(Box<dyn Work>, Result<(), String>)>;

/// The log, and what is known of it.
struct Syncs<'a> {
    log: WriteAheadLog,
    /// How many rounds are not synced yet.
    behind: AtomicUsize,
    watch: Option<&'a Watch>,
}

/// Does the work in the inbox until all senders are gone.
pub(super) fn serve(mut desk: Desk, log: WriteAheadLog, inbox: &mpsc::Receiver<Box<dyn Work>>, watch: Option<&Watch>) {
    let syncs = &Syncs { log, behind: AtomicUsize::new(0), watch };
    thread::scope(|threads| {
        let (ended, rounds) = mpsc::channel();
        // If it cannot be started, this thread does its work.
        let syncer = thread::Builder::new().name("tasklane-sync".to_owned());
        let syncer = syncer.spawn_scoped(threads, move || syncs.sync_all_of(&rounds)).ok();
        let ended = syncer.map(|_| ended);
        let mut swept = Instant::now();
        loop {
            let first = match inbox.recv_timeout(SWEEP_EVERY) {
                Ok(work) => Some(work),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            if let Some(first) = first {
                let round = syncs.work_on(&mut desk, first, inbox);
                syncs.hand_on(round, ended.as_ref());
            }
            if swept.elapsed() >= SWEEP_EVERY {
                swept = Instant::now();
                if let Err(error) = desk.dynoxide().sweep_ttl() {
                    tracing::warn!(error = %error, "could not remove expired records from the database");
                }
            }
        }
    });
}

impl Syncs<'_> {
    /// Does what waits, and returns what cannot be answered before the log is synced.
    fn work_on(&self, desk: &mut Desk, first: Box<dyn Work>, inbox: &mpsc::Receiver<Box<dyn Work>>) -> Round {
        let mut waiting = Some(first);
        desk.begin(self.log.broken());
        let mut unsynced: Vec<Box<dyn Work>> = Vec::new();
        while let Some(mut work) = waiting.take() {
            if !unsynced.is_empty() {
                work.keep();
            }
            // Before it reads: a round that is synced meanwhile may be read of.
            let is_clean = unsynced.is_empty() && self.behind.load(Ordering::SeqCst) == 0;
            work.run(desk, self.watch);
            // Only requests that neither wrote anything nor read anything unsynced are answered before the sync.
            if is_clean && !work.has_written() {
                work.answer(Ok(()), self.watch);
            } else {
                unsynced.push(work);
            }
            // What comes after a failure has no part in it.
            if unsynced.len() < SHARE && !desk.has_failed() {
                waiting = inbox.try_recv().ok();
            }
        }
        match desk.end() {
            Ok(()) => unsynced.into_iter().map(|work| (work, Ok(()))).collect(),
            Err(why) => unsynced.into_iter().map(|work| self.after_failure(desk, work, &why)).collect(),
        }
    }

    /// Repeats a read of a round that has failed: it has no part in the failure. A part of the round may have been written, and
    /// the reads see that part.
    fn after_failure(
        &self,
        desk: &mut Desk,
        mut work: Box<dyn Work>,
        why: &str,
    ) -> (Box<dyn Work>, Result<(), String>) {
        if !work.only_reads() {
            return (work, Err(why.to_owned()));
        }
        desk.begin(self.log.broken());
        work.repeat(desk);
        let ended = desk.end();
        (work, ended)
    }

    /// Has a round synced and answered.
    fn hand_on(&self, round: Round, to: Option<&mpsc::Sender<Round>>) {
        if round.is_empty() {
            return;
        }
        let others = self.behind.fetch_add(1, Ordering::SeqCst);
        match to {
            // At rest nothing comes meanwhile, and another thread would only begin later.
            Some(to) if others > 0 || round.len() > 1 => {
                if let Err(mpsc::SendError(round)) = to.send(round) {
                    self.sync(vec![round]);
                }
            }
            Some(_) | None => self.sync(vec![round]),
        }
    }

    /// Syncs round after round.
    fn sync_all_of(&self, rounds: &mpsc::Receiver<Round>) {
        while let Ok(first) = rounds.recv() {
            self.sync([first].into_iter().chain(rounds.try_iter()).collect());
        }
    }

    /// Syncs the log, and answers the requests of these rounds.
    fn sync(&self, rounds: Vec<Round>) {
        let synced = self.log.sync();
        self.behind.fetch_sub(rounds.len(), Ordering::SeqCst);
        for (work, ended) in rounds.into_iter().flatten() {
            let done = ended.as_ref().and(synced.as_ref());
            work.answer(done.copied().map_err(String::as_str), self.watch);
        }
    }
}
