//! Checks data against a schema, with bounded work.

use std::collections::HashMap;

use super::{
    CompiledSchema, Misfit,
    keyword::{Keyword, RuleId},
    misfit::{MOST_PROBLEMS, Problem},
    reference::escape,
};
use crate::{json::Node, shorten::cut_short};

/// How much work one check may take: a step is a keyword, or about ten bytes of a value that is read as a whole. It is a
/// fraction of a second.
const MOST_WORK: u64 = 4_000_000;

/// What it takes to remember an outcome, which bounds how many are.
const WORK_TO_REMEMBER: u64 = 20;

/// How deep rules may apply one another, so that the stack of a thread suffices.
const MOST_NESTING: usize = 400;

/// A check in progress.
pub(super) struct Evaluation<'s> {
    pub(super) schema: &'s CompiledSchema,
    work_left: u64,
    nesting: usize,
    /// What is known about a value and a rule that several places refer to. Without it, a check could take twice as long for
    /// each level of the data.
    known: HashMap<(RuleId, usize), Option<Marks>>,
    /// Whether the value will be there, at its address, until the end of the check.
    pub(super) value_stays: bool,
    problems: Vec<Problem>,
}

/// Why a check ends early.
pub(super) enum Stop {
    TooMuchWork,
    TooDeep,
    /// Enough problems have been found.
    Enough,
}

/// What was looked at in an object or an array by the rules that it fits. Small, because every level of a check has some.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Option<Box<Looked>>);

/// The parts that were looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked {
    pub(super) all: bool,
    /// How many items from the first one on.
    pub(super) first_items: usize,
    pub(super) items: Vec<usize>,
    pub(super) properties: Vec<String>,
}

impl Marks {
    /// None.
    pub(super) const NONE: Self = Self(None);

    pub(super) fn of(looked: Looked) -> Self {
        Self(Some(Box::new(looked)))
    }

    pub(super) fn add(&mut self, other: Self) {
        let Some(other) = other.0 else { return };
        let Some(own) = &mut self.0 else {
            self.0 = Some(other);
            return;
        };
        own.all |= other.all;
        own.first_items = own.first_items.max(other.first_items);
        own.items.extend(other.items);
        own.properties.extend(other.properties);
    }

    /// What was looked at so far; from now on, everything was.
    pub(super) fn complete(&mut self) -> Looked {
        let all = Looked { all: true, ..Looked::default() };
        self.0.replace(Box::new(all)).map_or_else(Looked::default, |looked| *looked)
    }

    fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |looked| looked.items.len() as u64 + looked.properties.len() as u64)
    }
}

/// Whether a value fits, and what was looked at in it if it does.
pub(super) type Outcome = Result<Option<Marks>, Stop>;

/// Where a value is in the data.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Root,
    Property(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl Place<'_> {
    /// As a JSON pointer, with long names cut.
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Property(parent, name) => format!("{}/{}", parent.pointer(), escape(&cut_short(name, 64))),
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

impl<'s> Evaluation<'s> {
    pub(super) fn new(schema: &'s CompiledSchema) -> Self {
        Self {
            schema,
            work_left: MOST_WORK,
            nesting: 0,
            known: HashMap::new(),
            value_stays: true,
            problems: Vec::new(),
        }
    }

    pub(super) fn check(mut self, data: &Node<'_>) -> Result<(), Misfit> {
        match self.apply(RuleId(0), data, &Place::Root, true) {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(Stop::Enough) => {
                self.problems.dedup();
                Err(Misfit::Problems(self.problems))
            }
            // What has been found is of more help.
            Err(_) if !self.problems.is_empty() => Err(Misfit::Problems(self.problems)),
            Err(Stop::TooMuchWork) => Err(Misfit::TooMuchWork),
            Err(Stop::TooDeep) => Err(Misfit::TooDeep),
        }
    }

    /// Takes so many steps from what may be done.
    pub(super) fn work(&mut self, steps: u64) -> Result<(), Stop> {
        self.work_left = self.work_left.checked_sub(steps).ok_or(Stop::TooMuchWork)?;
        Ok(())
    }

    /// Adds a problem, unless nobody wants to know.
    pub(super) fn tell(
        &mut self,
        tells: bool,
        place: &Place<'_>,
        expected: impl FnOnce() -> String,
    ) -> Result<(), Stop> {
        if tells {
            self.problems.push(Problem { place: place.pointer(), expected: expected() });
            if self.problems.len() > MOST_PROBLEMS {
                return Err(Stop::Enough);
            }
        }
        Ok(())
    }

    /// Applies a rule to a value. `tells` is whether the value must fit, so that what is wrong is a problem.
    pub(super) fn apply(&mut self, id: RuleId, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let is_worth_it = self.schema.rules[id.0].is_shared && matches!(value, Node::Object(_) | Node::Array(_));
        if !is_worth_it || !self.value_stays {
            return self.apply_newly(id, value, place, tells);
        }
        let key = (id, std::ptr::from_ref(value).addr());
        match self.known.get(&key) {
            Some(Some(marks)) => {
                let marks = marks.clone();
                self.work(marks.count())?;
                return Ok(Some(marks));
            }
            // What is wrong has to be found again to be told.
            Some(None) if !tells => return Ok(None),
            Some(None) | None => {}
        }
        let outcome = self.apply_newly(id, value, place, tells)?;
        self.work(WORK_TO_REMEMBER)?;
        self.known.insert(key, outcome.clone());
        Ok(outcome)
    }

    fn apply_newly(&mut self, id: RuleId, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        self.nesting += 1;
        if self.nesting > MOST_NESTING {
            return Err(Stop::TooDeep);
        }
        let outcome = self.keywords(id, value, place, tells);
        self.nesting -= 1;
        outcome
    }

    fn keywords(&mut self, id: RuleId, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let schema = self.schema;
        let (mut marks, mut fits) = (Marks::NONE, true);
        for keyword in &schema.rules[id.0].keywords {
            self.work(1)?;
            match self.keyword(keyword, value, place, tells, &mut marks)? {
                Some(more) => marks.add(more),
                None => fits = false,
            }
            if !fits && (!tells || matches!(keyword, Keyword::Type(_))) {
                // With the wrong type, everything else would be wrong, too.
                return Ok(None);
            }
        }
        Ok(fits.then_some(marks))
    }
}
