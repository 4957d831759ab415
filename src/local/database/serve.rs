//! The database's thread: it does what is asked, and answers once it is on the disk.
//!
//! What waits at the same time is a round: one transaction, and one sync of the log.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{Watch, calls::Work, desk::Desk, wal::WriteAheadLog};

/// How often expired records are removed. Readers ignore them as soon as they expire.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The most requests of a round, so that the first of them does not wait for ever.
const SHARE: usize = 128;

/// Does the work in the inbox until all senders are gone.
pub(super) fn serve(
    mut desk: Desk,
    mut log: WriteAheadLog,
    inbox: &mpsc::Receiver<Box<dyn Work>>,
    watch: Option<&Watch>,
) {
    let mut swept = Instant::now();
    loop {
        match inbox.recv_timeout(SWEEP_EVERY) {
            Ok(first) => work_on(first, &mut desk, &mut log, inbox, watch),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            if let Err(error) = desk.dynoxide().sweep_ttl() {
                tracing::warn!(error = %error, "could not remove expired records from the database");
            }
        }
    }
}

/// Does what waits, and answers it.
fn work_on(
    first: Box<dyn Work>,
    desk: &mut Desk,
    log: &mut WriteAheadLog,
    inbox: &mpsc::Receiver<Box<dyn Work>>,
    watch: Option<&Watch>,
) {
    let mut waiting = Some(first);
    let mut unsynced: Vec<Box<dyn Work>> = Vec::new();
    desk.begin(log.broken());
    while let Some(mut work) = waiting.take() {
        if !unsynced.is_empty() {
            work.keep();
        }
        work.run(desk, watch);
        // Only requests that neither wrote anything nor read anything unsynced are answered before the sync.
        if unsynced.is_empty() && !work.has_written() {
            work.answer(Ok(()), watch);
        } else {
            unsynced.push(work);
        }
        // What comes after a failure has no part in it.
        if unsynced.len() < SHARE && !desk.has_failed() {
            waiting = inbox.try_recv().ok();
        }
    }
    let ended = desk.end();
    if unsynced.is_empty() {
        return;
    }
    // Even if it failed: a part of the round may have been written, and its reads see that part.
    let synced = log.sync();
    for mut work in unsynced {
        let done = match &ended {
            Ok(()) => synced.clone(),
            // A read has no part in the failure.
            Err(_) if work.only_reads() => {
                desk.begin(log.broken());
                work.repeat(desk);
                desk.end()
            }
            Err(why) => Err(why.clone()),
        };
        work.answer(done.as_ref().copied().map_err(String::as_str), watch);
    }
}
