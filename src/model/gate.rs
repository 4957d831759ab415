//! The gate of a flow key: which of its Tasks are admitted, which run, and when the last ones started (contract §14).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Flow, FlowConcurrency, FlowKey, FlowRate, ObjectId, RateCount, Timestamp};

/// How many Tasks of one key may be ready and not yet claimed. So with K keys waiting, a newcomer starts after at most 2K others.
pub const MOST_READY: usize = 2;

/// How long a Task that was sent behind the gate may be invisible there: the index that it is read from lags, the process that
/// sends it may be slow, and clocks differ.
const MAY_BE_HIDDEN: Duration = Duration::from_secs(60);

/// After what time the note about Tasks behind the gate is renewed.
const RENEWED_AFTER: Duration = Duration::from_secs(2);

/// When to look again for Tasks that may be hidden behind the gate. The longer none has come, the later.
const LOOK_FOR_HIDDEN: Duration = Duration::from_secs(2);

/// How often the Tasks in a gate are compared with their rows: a process may have died before it said that one has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long an idle gate is kept. Longer than any call of a process takes, because a Task may be on its way behind it.
const KEPT_FOR: Duration = Duration::from_secs(20 * 60);

/// The most starts that are remembered.
const MOST_STARTS: usize = RateCount::MAX.get() as usize;

/// The state of a key of a Function. A Task behind the gate is in none of the sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its key.
    pub key: FlowKey,
    /// The Tasks that are ready, or about to be.
    pub admitted: BTreeSet<ObjectId>,
    /// The Tasks that are being claimed or run. One is here before its claim, so that there are never more runs than that.
    pub running: BTreeSet<ObjectId>,
    /// The last starts, oldest first.
    pub starts: Vec<Timestamp>,
    /// Which of these starts are of Tasks in `running`. One may be missing: it began without a rate, or an older version wrote the
    /// gate.
    pub started: BTreeMap<ObjectId, Timestamp>,
    /// Whether there may be Tasks behind the gate. Then whatever comes has to go there too, so that none is overtaken.
    pub may_hold: bool,
    /// When a Task was last sent behind the gate.
    pub last_held: Option<Timestamp>,
    /// When somebody must look at the gate again.
    pub look: Timestamp,
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(key: FlowKey) -> Self {
        Self {
            key,
            admitted: BTreeSet::new(),
            running: BTreeSet::new(),
            starts: Vec::new(),
            started: BTreeMap::new(),
            may_hold: false,
            last_held: None,
            look: Timestamp::EPOCH,
        }
    }

    /// How many more Tasks may be admitted.
    pub fn room(&self, flow: &Flow, now: Timestamp) -> usize {
        let turns = MOST_READY.saturating_sub(self.admitted.len());
        let places = self.places(flow).saturating_sub(self.admitted.len());
        let starts = self.starts_left(flow, now).saturating_sub(self.admitted.len());
        turns.min(places).min(starts)
    }

    /// Whether this Task may start now. One whose start was noted already has its place: the process that noted it may have died
    /// before it claimed the Task. But it starts only now, and the rate must allow that.
    pub fn may_start(&self, id: ObjectId, flow: &Flow, now: Timestamp) -> bool {
        let has_place = self.running.contains(&id) || self.places(flow) > 0;
        has_place && self.starts_left_beside(self.started.get(&id), flow, now) > 0
    }

    /// Notes that a Task starts. If that was noted before, only the last time counts.
    pub fn start(&mut self, id: ObjectId, flow: &Flow, now: Timestamp) {
        self.admitted.remove(&id);
        self.running.insert(id);
        let Some(rate) = flow.rate else { return };
        // Clocks differ between processes, and the order of the starts is what counts.
        let start = self.starts.last().map_or(now, |last| now.max(*last));
        let noted = self.started.insert(id, start);
        if let Some(noted) = noted.and_then(|noted| self.starts.iter().position(|start| *start == noted)) {
            self.starts.remove(noted);
        }
        self.starts.push(start);
        let oldest = now.saturating_sub(rate.window());
        self.starts.retain(|start| *start > oldest);
        self.starts.drain(..self.starts.len().saturating_sub(MOST_STARTS));
    }

    /// Notes that a Task no longer needs the gate: it has ended, or starts later.
    pub fn leave(&mut self, id: ObjectId) {
        self.admitted.remove(&id);
        self.running.remove(&id);
        self.started.remove(&id);
    }

    /// Notes that a Task that has a place starts later than was noted. `false` if it has none.
    pub fn take_back(&mut self, id: ObjectId) -> bool {
        let has_place = self.admitted.contains(&id) || self.running.contains(&id);
        if has_place {
            self.leave(id);
            self.admitted.insert(id);
        }
        has_place
    }

    /// Notes that Tasks go behind the gate.
    pub fn hold(&mut self, now: Timestamp) {
        self.may_hold = true;
        if self.last_held.is_none_or(|last| last > now || now.since(last) >= RENEWED_AFTER) {
            self.last_held = Some(now);
        }
    }

    /// Notes that nothing was found behind the gate.
    pub fn found_empty(&mut self, now: Timestamp) {
        if !self.may_hide(now) {
            self.may_hold = false;
        }
    }

    /// When the rate allows the next start; `None` if it does now.
    pub fn opens(&self, flow: &Flow, now: Timestamp) -> Option<Timestamp> {
        let FlowRate { count, .. } = flow.rate?;
        let first = self.starts.len().checked_sub(usize::from(count.get()))?;
        let opens = self.starts.get(first)?.saturating_add(flow.rate?.window());
        (opens > now).then_some(opens)
    }

    /// Sets when somebody must look at the gate again. An earlier look that is to come does no harm and stays, because moving it
    /// costs a write of the index.
    ///
    /// Returns that time if somebody has to be woken for it: no other Task need come until then.
    pub fn plan_look(&mut self, flow: Option<&Flow>, now: Timestamp) -> Option<Timestamp> {
        let waits = self.may_hold.then_some(flow).flatten().and_then(|flow| {
            let hidden = || self.room(flow, now) > 0;
            let pause = self.last_held.map_or(Duration::ZERO, |last| now.since(last)).max(LOOK_FOR_HIDDEN);
            self.opens(flow, now).or_else(|| hidden().then(|| now.saturating_add(pause)))
        });
        let check = self.is_busy().then(|| now.saturating_add(LOOK_AGAIN));
        let wanted = waits.into_iter().chain(check).min().unwrap_or_else(|| self.idle_until(flow, now));
        if self.look > now && self.look <= wanted {
            return None;
        }
        self.look = wanted;
        waits.filter(|waits| *waits == wanted)
    }

    /// Whether anything of its key runs or waits.
    pub fn is_busy(&self) -> bool {
        !self.admitted.is_empty() || !self.running.is_empty() || self.may_hold
    }

    /// Whether the gate can be forgotten.
    pub fn is_forgotten(&self, flow: Option<&Flow>, now: Timestamp) -> bool {
        !self.is_busy() && self.idle_until(flow, now) <= now
    }

    /// How many runs may be in progress beside those that are.
    fn places(&self, flow: &Flow) -> usize {
        let most = flow.concurrent.map_or(usize::MAX, |most: FlowConcurrency| usize::from(most.get()));
        most.saturating_sub(self.running.len())
    }

    fn starts_left(&self, flow: &Flow, now: Timestamp) -> usize {
        self.starts_left_beside(None, flow, now)
    }

    /// How many Tasks the rate lets start now, if this one of the starts does not count.
    fn starts_left_beside(&self, uncounted: Option<&Timestamp>, flow: &Flow, now: Timestamp) -> usize {
        let Some(rate) = flow.rate else { return usize::MAX };
        let oldest = now.saturating_sub(rate.window());
        let recent = self.starts.iter().filter(|start| **start > oldest).count();
        let uncounted = uncounted.is_some_and(|start| *start > oldest && self.starts.contains(start));
        usize::from(rate.count.get()).saturating_sub(recent - usize::from(uncounted))
    }

    /// Whether a Task may be on its way behind the gate, or not visible there yet.
    fn may_hide(&self, now: Timestamp) -> bool {
        self.last_held.is_some_and(|last| now < last || now.since(last) < MAY_BE_HIDDEN)
    }

    fn idle_until(&self, flow: Option<&Flow>, now: Timestamp) -> Timestamp {
        let window = flow.and_then(|flow| flow.rate).map_or(Duration::ZERO, FlowRate::window);
        let counted = self.starts.last().map(|last| last.saturating_add(window));
        let held = self.last_held.map(|last| last.saturating_add(KEPT_FOR));
        counted.into_iter().chain(held).max().unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FlowPath, RateSeconds};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_000_000_000_000 + seconds * 1000)
    }

    fn id(number: u64) -> ObjectId {
        ObjectId::new(Timestamp::EPOCH, number)
    }

    fn flow(concurrent: Option<i64>, rate: Option<(i64, i64)>) -> Flow {
        let of_rate = |(count, seconds)| FlowRate {
            count: RateCount::new(count).unwrap(),
            seconds: RateSeconds::new(seconds).unwrap(),
        };
        Flow {
            key: FlowPath::parse("data.k").unwrap(),
            concurrent: concurrent.map(|most| FlowConcurrency::new(most).unwrap()),
            rate: rate.map(of_rate),
        }
    }

    fn gate() -> Gate {
        Gate::new(FlowKey::parse("k").unwrap())
    }

    #[test]
    fn at_most_two_are_ready_and_the_admitted_have_their_place() {
        let (mut gate, now) = (gate(), at(0));
        assert_eq!(gate.room(&flow(None, None), now), 2);
        assert_eq!(gate.room(&flow(Some(1), None), now), 1);
        gate.admitted.insert(id(1));
        assert_eq!(gate.room(&flow(Some(1), None), now), 0);
        assert_eq!(gate.room(&flow(Some(2), None), now), 1);
        gate.start(id(1), &flow(Some(2), None), now);
        assert_eq!((gate.room(&flow(Some(2), None), now), gate.room(&flow(None, None), now)), (1, 2));
        gate.leave(id(1));
        assert_eq!(gate.room(&flow(Some(1), None), now), 1);
    }

    #[test]
    fn a_start_that_is_repeated_counts_once_and_from_then_on() {
        let (mut gate, flow) = (gate(), flow(Some(1), Some((1, 10))));
        gate.start(id(1), &flow, at(0));
        gate.start(id(1), &flow, at(1));
        assert!(gate.may_start(id(1), &flow, at(1)) && !gate.may_start(id(2), &flow, at(1)));
        assert_eq!(gate.starts, [at(1)]);
        assert!(gate.take_back(id(1)) && gate.admitted.contains(&id(1)) && !gate.take_back(id(2)));
        gate.leave(id(1));
        assert_eq!((gate.opens(&flow, at(10)), gate.started.len()), (Some(at(11)), 0));
    }

    #[test]
    fn a_start_that_is_repeated_late_keeps_to_the_rate() {
        let (mut gate, flow) = (gate(), flow(None, Some((2, 10))));
        // The process that noted it died before the claim, and nobody came for long.
        gate.start(id(1), &flow, at(0));
        for second in [11, 12] {
            assert!(gate.may_start(id(1), &flow, at(second)));
            gate.start(id(u64::try_from(second).unwrap()), &flow, at(second));
        }
        assert!(!gate.may_start(id(1), &flow, at(12)), "its own start is too old to count as one of the two");
        assert!(gate.may_start(id(1), &flow, at(21)));
        gate.start(id(1), &flow, at(21));
        assert_eq!(gate.starts, [at(12), at(21)]);
        assert!(!gate.may_start(id(3), &flow, at(21)));
    }

    #[test]
    fn a_window_is_open_again_when_its_first_start_is_that_long_ago() {
        let (mut gate, flow) = (gate(), flow(None, Some((2, 10))));
        for (number, second) in [(1, 0), (2, 4)] {
            assert_eq!(gate.opens(&flow, at(second)), None);
            gate.start(id(number), &flow, at(second));
        }
        assert_eq!((gate.room(&flow, at(9)), gate.opens(&flow, at(9))), (0, Some(at(10))));
        assert_eq!((gate.room(&flow, at(10)), gate.opens(&flow, at(10))), (1, None));
        gate.start(id(3), &flow, at(10));
        assert_eq!(gate.starts, [at(4), at(10)]);
        // A process whose clock is behind adds no earlier start.
        gate.start(id(4), &flow, at(9));
        assert_eq!(gate.starts, [at(4), at(10), at(10)]);
    }

    #[test]
    fn a_task_that_was_sent_behind_the_gate_may_be_hidden_for_a_while() {
        let (mut gate, flow) = (gate(), flow(None, None));
        gate.hold(at(0));
        gate.found_empty(at(59));
        assert!(gate.may_hold);
        assert_eq!(gate.plan_look(Some(&flow), at(1)), Some(at(3)));
        // It is planned already.
        assert_eq!(gate.plan_look(Some(&flow), at(2)), None);
        // The longer none has come, the later is the next look.
        assert_eq!(gate.plan_look(Some(&flow), at(8)), Some(at(16)));
        gate.hold(at(1));
        assert_eq!(gate.last_held, Some(at(0)));
        gate.found_empty(at(60));
        assert!(!gate.may_hold && !gate.is_forgotten(Some(&flow), at(60)));
        assert_eq!((gate.plan_look(Some(&flow), at(60)), gate.look), (None, at(20 * 60)));
        assert!(!gate.is_busy() && gate.is_forgotten(Some(&flow), at(20 * 60)));
    }

    #[test]
    fn somebody_is_woken_when_the_rate_opens() {
        let (mut gate, flow) = (gate(), flow(None, Some((1, 10))));
        gate.start(id(1), &flow, at(0));
        assert_eq!((gate.plan_look(Some(&flow), at(0)), gate.look), (None, at(30)));
        gate.hold(at(1));
        assert_eq!((gate.plan_look(Some(&flow), at(1)), gate.look), (Some(at(10)), at(10)));
        assert_eq!(gate.plan_look(Some(&flow), at(2)), None);
    }
}
