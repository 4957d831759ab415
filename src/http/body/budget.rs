//! How many bytes of bodies are held at once, by all requests together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Error, ErrorKind, Result};

/// The bytes that there are for bodies. Bodies of callers who have not said who they are share a smaller part of them.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    all: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
}

impl BodyBudget {
    /// Of this many bytes, of which callers without a credential get at most `anonymous`.
    pub fn new(all: usize, anonymous: usize) -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { all: semaphore(all), anonymous: semaphore(anonymous) }
    }

    /// What one body is charged to, as its bytes come: who announces many and sends none takes nothing from others.
    pub fn account(&self, anonymous: bool) -> Account {
        let sources = match anonymous {
            true => vec![Arc::clone(&self.anonymous), Arc::clone(&self.all)],
            false => vec![Arc::clone(&self.all)],
        };
        Account { sources, charged: Vec::new() }
    }
}

/// What one body holds of the budget; it is given back when this is dropped.
#[derive(Debug)]
pub struct Account {
    sources: Vec<Arc<Semaphore>>,
    charged: Vec<OwnedSemaphorePermit>,
}

impl Account {
    /// Charges this many bytes more. 1505 when there are none left.
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
    let message = "As many bytes of request bodies are held as may be at once. Send the request again in a moment.";
    Error::new(ErrorKind::TooManyRequests, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_a_budget_and_give_back_what_they_held() {
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
        assert!(other.charge(1).is_err(), "there is nothing left for anybody");
        drop(ada);
        other.charge(35).unwrap();
    }
}
