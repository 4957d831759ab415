//! What a connection is doing. The connection itself reports it; the server's request loop and the limit on connections
//! ([`super::crowd`]) read it.

use std::{
    collections::VecDeque,
    sync::{
        MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use tasklane_model::Error;
use tasklane_runtime::lock::Lock;

/// How long a client may pause while it should send or read, before its connection may be closed for another one.
const HESITATION: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Activity {
    began: Instant,
    /// When bytes were last sent or received, in milliseconds since `began`.
    moved: AtomicU64,
    /// Requests whose responses have not been passed on completely.
    in_flight: AtomicUsize,
    inner: Lock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waits_for_client: bool,
    /// For each request head that went to the HTTP library and is not served yet: the error to answer with, if it is
    /// refused.
    heads: VecDeque<Option<Error>>,
    /// Woken when the last response has been passed on.
    rest: Option<Waker>,
}

/// How easily a connection can be spared, easiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No request is in progress.
    Idle,
    /// Its client has stopped sending a request or reading a response.
    Hesitating,
    /// The server is working on its request.
    Busy,
}

impl Activity {
    pub fn new() -> Self {
        Self { began: Instant::now(), moved: AtomicU64::new(0), in_flight: AtomicUsize::new(0), inner: Lock::default() }
    }

    /// Notes that bytes were sent or received.
    pub fn moved(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Sets whether nothing happens until the client sends or reads more.
    pub fn waits_for_client(&self, waits: bool) {
        self.lock().waits_for_client = waits;
    }

    /// Notes that a head goes to the HTTP library, and the error to answer with if the request is refused.
    pub fn head(&self, refused: Option<Error>) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.lock().heads.push_back(refused);
    }

    /// Called when the HTTP library has read the next head. Returns the error to answer with if the request is refused.
    pub fn served(&self) -> Option<Error> {
        self.lock().heads.pop_front().flatten()
    }

    /// Notes that a response was passed on completely, or was abandoned.
    pub fn answered(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let rest = self.lock().rest.take();
        if let Some(waker) = rest {
            waker.wake();
        }
    }

    /// Whether no request is in flight. If one is, `waker` is woken when there is none.
    pub fn rests(&self, waker: &Waker) -> bool {
        if self.in_flight.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.lock().rest = Some(waker.clone());
        self.in_flight.load(Ordering::SeqCst) == 0
    }

    /// How easily the connection can be spared, and since when.
    pub fn standing(&self) -> (Standing, Instant) {
        let since = self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed));
        let standing = if self.lock().waits_for_client {
            if since.elapsed() < HESITATION { Standing::Busy } else { Standing::Hesitating }
        } else if self.in_flight.load(Ordering::SeqCst) == 0 {
            Standing::Idle
        } else {
            Standing::Busy
        };
        (standing, since)
    }

    /// Returns once the client has stopped sending a request or reading a response.
    pub async fn hesitates(&self) {
        while self.standing().0 != Standing::Hesitating {
            tokio::time::sleep(HESITATION / 10).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}
