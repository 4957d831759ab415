//! The register of dispatchers with long shifts, so that they do not all stop claiming at the same time.
//!
//! One row lists them, with the beginning of each shift, and whether it drains: it claims nothing more and waits for
//! its runs.

use serde::{Deserialize, Serialize};
use tasklane_model::Timestamp;

use super::{
    RunnerId, StoreError,
    holders::{ByHolder, Holders},
};

const SHIFTS: &str = "shifts";

/// The register of dispatchers with long shifts.
#[derive(Clone)]
pub struct Shifts(pub(super) Holders);

/// A dispatcher's shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LongShift {
    began: Timestamp,
    /// Whether it claims nothing more.
    drains: bool,
    /// When its process will be stopped.
    until: Timestamp,
}

impl Shifts {
    /// Notes that `holder` began its shift at `began`, and that its process will be stopped at `until`. Writes nothing
    /// if that is known already.
    pub async fn enter(
        &self,
        holder: &RunnerId,
        began: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let enter = |shifts: &mut ByHolder<LongShift>| {
            shifts.retain(|_, shift| shift.until > now);
            let drains = shifts.get(holder.as_str()).is_some_and(|own| own.began == began && own.drains);
            shifts.insert(holder.as_str().to_owned(), LongShift { began, drains, until });
        };
        self.0.change("note the shift", SHIFTS, holder, enter).await
    }

    /// How many dispatchers are in a long shift and claim Tasks.
    pub async fn at_work(&self, now: Timestamp) -> Result<u64, StoreError> {
        let shifts = self.0.read::<LongShift>("count the dispatchers", SHIFTS).await?.holders;
        Ok(shifts.values().filter(|shift| shift.until > now && !shift.drains).count() as u64)
    }

    /// Whether the shift of `holder` may drain from now on: only if a younger one claims, and fewer than half of all
    /// drain. So at least one goes on claiming whatever the others do, and takes over when they are gone.
    pub async fn may_drain(&self, holder: &RunnerId, now: Timestamp) -> Result<bool, StoreError> {
        self.drain(holder, now, |own, shifts| {
            let draining = shifts.values().filter(|shift| shift.drains).count();
            // Of two that began in the same millisecond, one is the younger.
            let own_age = (own.began, holder.as_str());
            let mut claiming = shifts.iter().filter(|(_, shift)| !shift.drains);
            2 * draining < shifts.len() && claiming.any(|(name, shift)| (shift.began, name.as_str()) > own_age)
        })
        .await
    }

    /// Notes that the shift of `holder` drains because its time is up.
    pub async fn must_drain(&self, holder: &RunnerId, now: Timestamp) -> Result<(), StoreError> {
        self.drain(holder, now, |_, _| true).await.map(|_| ())
    }

    /// Notes that the shift of `holder` has ended.
    pub async fn leave(&self, holder: &RunnerId) -> Result<(), StoreError> {
        let leave = |shifts: &mut ByHolder<LongShift>| {
            shifts.remove(holder.as_str());
        };
        self.0.change("note the end of the shift", SHIFTS, holder, leave).await
    }

    async fn drain(
        &self,
        holder: &RunnerId,
        now: Timestamp,
        may: impl Fn(&LongShift, &ByHolder<LongShift>) -> bool,
    ) -> Result<bool, StoreError> {
        let drain = |shifts: &mut ByHolder<LongShift>| {
            shifts.retain(|_, shift| shift.until > now);
            let Some(own) = shifts.get(holder.as_str()).copied() else { return false };
            // If it drains already, this is our own write, whose response was lost.
            let drains = own.drains || may(&own, shifts);
            shifts.insert(holder.as_str().to_owned(), LongShift { drains, ..own });
            drains
        };
        self.0.change("drain a shift", SHIFTS, holder, drain).await
    }
}
