//! The expressions of requests, as far as the store writes them: attributes are `#names`, values are `:names`, and an attribute
//! is compared with a value.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use std::{cmp::Ordering, collections::HashMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Attributes;

/// Why an expression is none of this engine's.
pub(super) struct NotOurs;

/// A condition or a filter.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Exists(Placeholder),
    Missing(Placeholder),
    Compare(Placeholder, Comparison, Placeholder),
}

/// A comparison of an attribute with a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A `#name` or a `:name`.
pub(super) type Placeholder = String;

/// What an update does.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Update {
    pub(super) set: Vec<(Placeholder, Placeholder)>,
    pub(super) remove: Vec<Placeholder>,
}

/// Which rows of a partition a query reads.
#[derive(Debug, PartialEq)]
pub(super) struct KeyCondition {
    pub(super) partition: (Placeholder, Placeholder),
    pub(super) sort: Option<(Placeholder, Range)>,
}

/// Which sort keys.
#[derive(Debug, PartialEq)]
pub(super) enum Range {
    Compare(Comparison, Placeholder),
    Between(Placeholder, Placeholder),
    BeginsWith(Placeholder),
}

/// The names and values that a request gives its placeholders.
pub(super) struct Given<'a> {
    pub(super) names: Option<&'a HashMap<String, String>>,
    pub(super) values: Option<&'a Attributes>,
}

impl<'a> Given<'a> {
    pub(super) fn name(&self, placeholder: &str) -> Option<&'a str> {
        self.names?.get(placeholder).map(String::as_str)
    }

    pub(super) fn value(&self, placeholder: &str) -> Option<&'a AttributeValue> {
        self.values?.get(placeholder)
    }

    /// Whether the expressions use each of them and no other, as DynamoDB demands.
    pub(super) fn are_used_by<'b>(&self, placeholders: impl IntoIterator<Item = &'b Placeholder>) -> bool {
        let mut used: Vec<&str> = placeholders.into_iter().map(String::as_str).collect();
        used.sort_unstable();
        used.dedup();
        let (names, values) = (self.names.map(HashMap::len), self.values.map(HashMap::len));
        // Nor does it take empty ones.
        names != Some(0)
            && values != Some(0)
            && used.len() == names.unwrap_or(0) + values.unwrap_or(0)
            && used.iter().all(|used| self.name(used).is_some() || self.value(used).is_some())
    }
}

impl Condition {
    pub(super) fn placeholders<'a>(&'a self, into: &mut Vec<&'a Placeholder>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.placeholders(into)),
            Self::Exists(name) | Self::Missing(name) => into.push(name),
            Self::Compare(name, _, value) => into.extend([name, value]),
        }
    }

    /// Whether an item meets the condition. Its placeholders must be given.
    pub(super) fn is_met(&self, item: &Attributes, given: &Given<'_>) -> bool {
        let attribute = |name| given.name(name).and_then(|name| item.get(name));
        match self {
            Self::And(parts) => parts.iter().all(|part| part.is_met(item, given)),
            Self::Or(parts) => parts.iter().any(|part| part.is_met(item, given)),
            Self::Exists(name) => attribute(name).is_some(),
            Self::Missing(name) => attribute(name).is_none(),
            Self::Compare(name, comparison, value) => match (attribute(name), given.value(value)) {
                (Some(attribute), Some(value)) => comparison.holds(order(attribute, value)),
                _ => false,
            },
        }
    }
}

impl Comparison {
    /// Values of different types have no order.
    pub(super) fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

fn order(one: &AttributeValue, other: &AttributeValue) -> Option<Ordering> {
    match (one, other) {
        (AttributeValue::S(one), AttributeValue::S(other)) => Some(one.cmp(other)),
        (AttributeValue::B(one), AttributeValue::B(other)) => Some(one.as_ref().cmp(other.as_ref())),
        (AttributeValue::N(one), AttributeValue::N(other)) => {
            Some(one.parse::<i128>().ok()?.cmp(&other.parse::<i128>().ok()?))
        }
        _ => None,
    }
}

impl FromStr for Condition {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let mut tokens = Tokens { rest: text };
        let condition = tokens.any_of(0)?;
        tokens.end()?;
        Ok(condition)
    }
}

impl FromStr for Update {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let mut tokens = Tokens { rest: text };
        let mut update = Self::default();
        if tokens.skip_word("SET") {
            loop {
                let name = tokens.name()?;
                tokens.symbol("=")?;
                update.set.push((name, tokens.value()?));
                if !tokens.skip(",") {
                    break;
                }
            }
        }
        if tokens.skip_word("REMOVE") {
            loop {
                update.remove.push(tokens.name()?);
                if !tokens.skip(",") {
                    break;
                }
            }
        }
        tokens.end()?;
        if update == Self::default() { Err(NotOurs) } else { Ok(update) }
    }
}

impl Update {
    pub(super) fn placeholders<'a>(&'a self, into: &mut Vec<&'a Placeholder>) {
        into.extend(self.set.iter().flat_map(|(name, value)| [name, value]));
        into.extend(&self.remove);
    }
}

impl FromStr for KeyCondition {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let mut tokens = Tokens { rest: text };
        let name = tokens.name()?;
        tokens.symbol("=")?;
        let partition = (name, tokens.value()?);
        let mut sort = None;
        if tokens.skip_word("AND") {
            sort = Some(if tokens.skip_word("begins_with") {
                tokens.symbol("(")?;
                let name = tokens.name()?;
                tokens.symbol(",")?;
                let prefix = tokens.value()?;
                tokens.symbol(")")?;
                (name, Range::BeginsWith(prefix))
            } else {
                let name = tokens.name()?;
                if tokens.skip_word("BETWEEN") {
                    let from = tokens.value()?;
                    if !tokens.skip_word("AND") {
                        return Err(NotOurs);
                    }
                    (name, Range::Between(from, tokens.value()?))
                } else {
                    let comparison = tokens.comparison()?;
                    (name, Range::Compare(comparison, tokens.value()?))
                }
            });
        }
        tokens.end()?;
        Ok(Self { partition, sort })
    }
}

impl KeyCondition {
    pub(super) fn placeholders<'a>(&'a self, into: &mut Vec<&'a Placeholder>) {
        into.extend([&self.partition.0, &self.partition.1]);
        if let Some((name, range)) = &self.sort {
            into.push(name);
            match range {
                Range::Compare(_, value) | Range::BeginsWith(value) => into.push(value),
                Range::Between(from, to) => into.extend([from, to]),
            }
        }
    }
}

/// The deepest nesting of parentheses.
const DEEPEST: usize = 16;

/// What is left to be read of an expression.
struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn any_of(&mut self, depth: usize) -> Result<Condition, NotOurs> {
        let mut parts = vec![self.all_of(depth)?];
        while self.skip_word("OR") {
            parts.push(self.all_of(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn all_of(&mut self, depth: usize) -> Result<Condition, NotOurs> {
        let mut parts = vec![self.one(depth)?];
        while self.skip_word("AND") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Condition, NotOurs> {
        if self.skip("(") {
            if depth == DEEPEST || self.is_enclosed_twice() {
                return Err(NotOurs);
            }
            let inner = self.any_of(depth + 1)?;
            self.symbol(")")?;
            return Ok(inner);
        }
        for (function, of) in
            [("attribute_exists", Condition::Exists as fn(_) -> _), ("attribute_not_exists", Condition::Missing)]
        {
            if self.skip_word(function) {
                self.symbol("(")?;
                let name = self.name()?;
                self.symbol(")")?;
                return Ok(of(name));
            }
        }
        let name = self.name()?;
        let comparison = self.comparison()?;
        Ok(Condition::Compare(name, comparison, self.value()?))
    }

    /// Whether another pair of parentheses is all that is in these: DynamoDB refuses those.
    fn is_enclosed_twice(&self) -> bool {
        let mut depth = 0;
        let Some(inner) = self.rest.trim_ascii_start().strip_prefix('(') else { return false };
        let end = inner.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth < 0
        });
        end.is_some_and(|end| inner[end + 1..].trim_ascii_start().starts_with(')'))
    }

    fn comparison(&mut self) -> Result<Comparison, NotOurs> {
        // The longer ones first. `<>` is not ours.
        for (symbol, comparison) in [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ] {
            if self.skip(symbol) {
                return Ok(comparison);
            }
        }
        Err(NotOurs)
    }

    fn name(&mut self) -> Result<Placeholder, NotOurs> {
        self.placeholder('#')
    }

    fn value(&mut self) -> Result<Placeholder, NotOurs> {
        self.placeholder(':')
    }

    fn placeholder(&mut self, first: char) -> Result<Placeholder, NotOurs> {
        self.blanks();
        let name = self.rest.strip_prefix(first).ok_or(NotOurs)?;
        let length = word(name).len();
        // A path, as in `#a.b` or `#a[1]`, is not ours.
        if length == 0 || name[length..].starts_with(['.', '[']) {
            return Err(NotOurs);
        }
        let (placeholder, rest) = self.rest.split_at(first.len_utf8() + length);
        self.rest = rest;
        Ok(placeholder.to_owned())
    }

    fn symbol(&mut self, symbol: &str) -> Result<(), NotOurs> {
        if self.skip(symbol) { Ok(()) } else { Err(NotOurs) }
    }

    fn skip(&mut self, symbol: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A word in just this spelling: DynamoDB allows others, which are not ours.
    fn skip_word(&mut self, wanted: &str) -> bool {
        self.blanks();
        let is_it = word(self.rest) == wanted;
        if is_it {
            self.rest = &self.rest[wanted.len()..];
        }
        is_it
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn end(&mut self) -> Result<(), NotOurs> {
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(NotOurs) }
    }
}

/// The word at the start of this text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}
