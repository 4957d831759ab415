//! What a connection is doing, for those who look at it from outside: the one who serves its requests, and the one who has
//! to choose which connection goes when there are too many.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use tasklane_model::Error;

/// How long a client that is to send or to read may do nothing before it has to make room for others.
const HESITATION: Duration = Duration::from_secs(5);

/// What one connection is doing.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    /// When bytes last went either way, in milliseconds since it began.
    moved: AtomicU64,
    /// Requests whose answers have not been handed over whole.
    in_flight: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waits_for_client: bool,
    /// For each head that was handed to the HTTP library and not yet served: why it is refused, if it is.
    heads: VecDeque<Option<Error>>,
    /// Waits for the last answer to be handed over.
    rest: Option<Waker>,
}

/// How easily a connection can be done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is asked of it.
    Idle,
    /// Its client neither sends what it announced nor reads what it asked for.
    Hesitating,
    /// It is being worked for.
    Busy,
}

impl Activity {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            inner: Mutex::default(),
        }
    }

    /// Bytes came or went.
    pub fn moved(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Whether nothing goes on until the client sends or reads more.
    pub fn waits_for_client(&self, waits: bool) {
        self.lock().waits_for_client = waits;
    }

    /// A head goes to the HTTP library; it is to be refused, if there is an error.
    pub fn head(&self, refused: Option<Error>) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.lock().heads.push_back(refused);
    }

    /// The HTTP library has read the next head: why it is refused, if it is.
    pub fn served(&self) -> Option<Error> {
        self.lock().heads.pop_front().flatten()
    }

    /// An answer was handed over whole, or nobody wants it any more.
    pub fn answered(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let rest = self.lock().rest.take();
        if let Some(waker) = rest {
            waker.wake();
        }
    }

    /// Whether no request is in flight. A caller that is told otherwise is woken when none is.
    pub fn rests(&self, waker: &Waker) -> bool {
        if self.in_flight.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.lock().rest = Some(waker.clone());
        self.in_flight.load(Ordering::SeqCst) == 0
    }

    /// How easily the connection can be done without, and since when that is so.
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
