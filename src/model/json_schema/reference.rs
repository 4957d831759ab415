//! Places in a schema, what refers to them, and that nothing refers to itself for ever.

use std::{borrow::Cow, fmt};

use super::{
    InvalidSchema,
    keyword::{Rule, RuleId},
};
use crate::json::Node;

/// A JSON pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pointer(String);

impl Pointer {
    /// The place of this field.
    pub(super) fn then(&self, field: &str) -> Self {
        Self(format!("{}/{}", self.0, escape(field)))
    }

    /// The place of this item.
    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a JSON pointer.
pub(super) fn escape(step: &str) -> Cow<'_, str> {
    if step.contains(['~', '/']) { Cow::Owned(step.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(step) }
}

/// What a `$ref` leads to.
pub(super) enum Target<'n, 'a> {
    Place(Pointer, &'n Node<'a>),
    Anchor(String),
}

/// Finds the target of a `$ref`, which must be in this document.
///
/// # Errors
/// The rule, phrased to follow the place.
pub(super) fn target<'n, 'a>(document: &'n Node<'a>, reference: &str) -> Result<Target<'n, 'a>, String> {
    let Some(fragment) = reference.strip_prefix('#') else {
        return Err("must begin with '#': a schema can refer only to itself, and nothing is fetched".to_owned());
    };
    let fragment = percent_decoded(fragment).ok_or("must be a fragment that is UTF-8")?;
    if !fragment.is_empty() && !fragment.starts_with('/') {
        return Ok(Target::Anchor(fragment));
    }
    let mut found = (Pointer::default(), document);
    for step in fragment.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = match found.1 {
            Node::Array(elements) => step.parse::<usize>().ok().and_then(|index| elements.get(index)),
            node => node.get(&step),
        };
        found = (found.0.then(&step), next.ok_or("must lead to a place that exists in this schema")?);
    }
    Ok(Target::Place(found.0, found.1))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?].map(char::from);
        bytes.push(u8::from_str_radix(&String::from_iter(digits), 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Refuses rules that lead back to themselves without going deeper into the data: checking them would never end. `places`
/// are those of the rules.
pub(super) fn refuse_loops(rules: &[Rule], places: &[Pointer]) -> Result<(), InvalidSchema> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; rules.len()];
    let next_of = |rule: usize| -> Vec<RuleId> { rules[rule].keywords.iter().flat_map(|one| one.in_place()).collect() };
    for start in 0..rules.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        // Not by recursion: a chain of references may be long.
        let mut path = vec![(start, next_of(start).into_iter())];
        while let Some((rule, rest)) = path.last_mut() {
            match rest.next() {
                None => {
                    states[*rule] = State::Done;
                    path.pop();
                }
                Some(RuleId(next)) => match states[next] {
                    State::Done => {}
                    State::Open => {
                        let rule = "refers to itself without going deeper into the data, so a check would never end";
                        return Err(InvalidSchema::new(places[next].to_string(), rule));
                    }
                    State::New => {
                        states[next] = State::Open;
                        path.push((next, next_of(next).into_iter()));
                    }
                },
            }
        }
    }
    Ok(())
}
