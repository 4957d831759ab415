//! Hashes passwords, which takes processor time and memory on purpose: few at once, and few that wait.

use tasklane_model::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

/// How many passwords are hashed at once in this process. Each takes 19 MiB.
const AT_ONCE: usize = 2;
/// How many may be in progress or wait.
const MOST: usize = 32;

/// The hashing of passwords in this process.
pub(super) struct Passwords {
    turns: Semaphore,
    places: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), places: Semaphore::new(MOST) }
    }
}

impl Passwords {
    /// Does this work when its turn comes, on a thread that may block. 1505 if too many wait already.
    pub(super) async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let too_many = |_| {
            let message = "Too many passwords are being checked. Try again in a moment.";
            Error::new(ErrorKind::TooManyRequests, message)
        };
        let _place = self.places.try_acquire().map_err(too_many)?;
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn few_are_hashed_at_once_and_few_wait() {
        let passwords = Arc::new(Passwords::default());
        let (begun, count) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let start = |_| {
            let (passwords, begun, held) = (passwords.clone(), begun.clone(), held.clone());
            tokio::spawn(async move {
                let work = move || {
                    begun.send(()).unwrap();
                    held.lock().unwrap().recv().unwrap();
                };
                passwords.work(work).await
            })
        };
        let all: Vec<_> = (0..MOST).map(start).collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.work(|| ()).await.unwrap_err().kind(), ErrorKind::TooManyRequests);
        for _ in 0..AT_ONCE {
            count.recv().unwrap();
        }
        assert!(count.try_recv().is_err(), "more than {AT_ONCE} were hashed at once");
        (0..MOST).for_each(|_| release.send(()).unwrap());
        assert!(join_all(all).await.into_iter().all(|done| done.unwrap().is_ok()));
        assert!(passwords.work(|| ()).await.is_ok());
    }
}
