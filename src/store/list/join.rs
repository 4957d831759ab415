//! Finds the records that several indexes lead to.

use crate::{StoreError, row::Row};

use super::cursor::{Merge, Reading};

/// How many times indexes are advanced in search of one batch, so that a caller can look at the clock in between.
const STEPS: usize = 64;

/// The records that each of some indexes leads to, in order.
///
/// All indexes are in the order of the ids, so each one skips to the record where the others are: the cost follows the
/// smallest index, not the largest.
pub(super) struct Join {
    indexes: Vec<Merge>,
    /// The last record that was found: an index may lead to it more than once.
    last: Option<String>,
}

impl Join {
    pub(super) fn of(indexes: Vec<Merge>) -> Self {
        Self { indexes, last: None }
    }

    /// The only index, if there is one. All that it leads to is found, unless it leads to a record more than once.
    pub(super) fn into_only(mut self) -> Option<Merge> {
        let only = self.indexes.pop();
        only.filter(|_| self.indexes.is_empty())
    }

    /// About `hint` next rows, of the first index; `None` at the end. A batch may be empty before that.
    pub(super) async fn next(&mut self, reading: &Reading<'_>, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let mut found = match &mut *self.indexes {
            [] => return Ok(None),
            [only] => match only.next(reading, hint).await? {
                Some(found) => found,
                None => return Ok(None),
            },
            [first, others @ ..] => match common(first, others, reading, hint).await? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        found.retain(|row| {
            let id = row.text("sk").ok().map(str::to_owned);
            let is_new = id != self.last;
            self.last = id;
            is_new
        });
        Ok(Some(found))
    }
}

async fn common(
    first: &mut Merge,
    others: &mut [Merge],
    reading: &Reading<'_>,
    hint: usize,
) -> Result<Option<Vec<Row>>, StoreError> {
    let mut found = Vec::new();
    'search: for _ in 0..STEPS {
        if found.len() >= hint {
            break;
        }
        let Some(at) = first.head(reading, hint).await? else {
            return Ok(if found.is_empty() { None } else { Some(found) });
        };
        for other in &mut *others {
            other.skip_to(&at, reading);
            match other.head(reading, hint).await? {
                None => return Ok(if found.is_empty() { None } else { Some(found) }),
                Some(id) if id == at => {}
                Some(id) => {
                    first.skip_to(&id, reading);
                    continue 'search;
                }
            }
        }
        found.extend(first.take_head(reading));
    }
    Ok(Some(found))
}
