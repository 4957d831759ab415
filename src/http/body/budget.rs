//! A limit on the bytes of bodies that all requests together hold.

use std::sync::Arc;

use tasklane_model::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes available for bodies. Bodies of anonymous callers share a smaller part of them.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    all: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
}

impl BodyBudget {
    /// A budget of `all` bytes, of which callers without a credential get at most `anonymous`.
    pub fn new(all: usize, anonymous: usize) -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { all: semaphore(all), anonymous: semaphore(anonymous) }
    }

    /// An account for one body. Bytes are charged as they arrive, so a body that is announced and not sent costs
    /// nothing.
    pub fn account(&self, anonymous: bool) -> Account {
        let sources = match anonymous {
            true => vec![Arc::clone(&self.anonymous), Arc::clone(&self.all)],
            false => vec![Arc::clone(&self.all)],
        };
        Account { sources, charged: Vec::new() }
    }
}

/// The part of the budget that one body holds. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct Account {
    sources: Vec<Arc<Semaphore>>,
    charged: Vec<OwnedSemaphorePermit>,
}

impl Account {
    /// Charges this many more bytes; 1505 when the budget is used up.
    pub fn charge(&mut self, bytes: usize) -> Result<()> {
        let bytes = u32::try_from(bytes).map_err(|_| exhausted())?;
        let mut taken = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            taken.push(Arc::clone(source).try_acquire_many_owned(bytes).map_err(|_| exhausted())?);
        }
        if self.charged.is_empty() {
            self.charged = taken;
        } else {
            self.charged.iter_mut().zip(taken).for_each(|(charged, more)| charged.merge(more));
        }
        Ok(())
    }
}

fn exhausted() -> Error {
    let message = "Too many bytes of request bodies are in progress. Try again in a moment.";
    Error::new(ErrorKind::TooManyRequests, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_a_budget_and_give_their_bytes_back() {
        let budget = BodyBudget::new(100, 40);
        let (mut ada, mut nobody, mut other) = (budget.account(false), budget.account(true), budget.account(true));
        nobody.charge(30).unwrap();
        nobody.charge(5).unwrap();
        assert_eq!(other.charge(6).unwrap_err().kind(), ErrorKind::TooManyRequests);
        other.charge(5).unwrap();
        ada.charge(60).unwrap();
        assert!(ada.charge(1).is_err());
        drop(nobody);
        ada.charge(35).unwrap();
        assert!(other.charge(1).is_err(), "the whole budget is used up");
        drop(ada);
        other.charge(35).unwrap();
    }
}
