//! Lists that are longer than a page.

use std::{collections::HashSet, marker::PhantomData};

use serde::{Deserialize, de::DeserializeOwned};
use tasklane_model::{Json, ObjectId};

use super::{Client, ClientError, Query, Record};

/// How many records to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowMany {
    /// This many, from the beginning.
    First(u64),
    /// All of them.
    All,
}

/// A part of a list, or all of it. Records are parsed only on request, because a query may select fields, and then the
/// rest is missing.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The records as the service sent them.
    pub records: Vec<Json>,
    /// The total number of records, if the service sent it.
    pub total: Option<u64>,
    /// Whether `total` is exact; otherwise there may be more.
    pub total_is_exact: bool,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Listing<T> {
    /// The parsed records.
    ///
    /// # Errors
    /// When fields are missing.
    pub fn parse(&self) -> serde_json::Result<Vec<Record<T>>> {
        self.records.iter().map(|json| serde_json::from_str(json.as_str())).collect()
    }
}

/// The largest page of the service (contract §3).
pub(super) const PAGE: u64 = 50;

#[derive(Deserialize)]
struct Id {
    id: ObjectId,
}

impl Client {
    /// Reads page after page until there are enough records. A query with its own limit is sent once, unchanged.
    pub(super) async fn list<T>(&self, path: &str, query: Query, how_many: HowMany) -> Result<Listing<T>, ClientError> {
        let wanted = match how_many {
            HowMany::First(count) => count,
            HowMany::All => u64::MAX,
        };
        let mut listing = Listing { records: Vec::new(), total: None, total_is_exact: true, of: PhantomData };
        // Meanwhile, new records push old ones onto the next page, where they must not be read again.
        let mut seen = HashSet::new();
        let mut offset = 0;
        // The service ran out of time here. The rest is read as a list of its own.
        let mut after = None;
        loop {
            let asked = PAGE.min(wanted - listing.records.len() as u64);
            let rql = after.map_or_else(|| query.clone(), |after| query.clone().after(after));
            let rql = if query.has_limit() { rql } else { rql.limit(asked, offset) };
            let page = self.page::<Json>(path, rql.as_rql()).await?;
            let count = page.data.len() as u64;
            listing.total = page.page.total;
            listing.total_is_exact = page.page.total_is_exact.unwrap_or(true);
            for record in page.data {
                let id = serde_json::from_str::<Id>(record.as_str()).map(|record| record.id);
                if id.map_or(true, |id| seen.insert(id)) {
                    listing.records.push(record);
                }
            }
            offset += count;
            let next = page.page.next.filter(|_| !query.has_limit());
            if next.is_some() {
                (after, offset) = (next, 0);
            }
            if after.is_some() {
                // The totals of two lists do not give the total of all.
                (listing.total, listing.total_is_exact) = (None, false);
            }
            let is_last = next.is_none()
                && (count < asked
                    || (page.page.total_is_exact.unwrap_or(true)
                        && page.page.total.is_some_and(|total| offset >= total)));
            if query.has_limit() || is_last || listing.records.len() as u64 >= wanted {
                return Ok(listing);
            }
        }
    }
}
