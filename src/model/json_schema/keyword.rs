//! What a schema says about one value, in the form that is checked.

use std::{cmp::Ordering, collections::HashMap};

use super::{pattern::Pattern, types::Types};
use crate::{
    json::number::{Divisor, Number},
    shorten::cut_short,
};

/// The place of a [`Rule`] in its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RuleId(pub(super) usize);

/// One subschema.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// In the order that they are checked in: those that look at what the others have looked at are last.
    pub(super) keywords: Vec<Keyword>,
    /// Whether several places refer to it, so that what was found out about a value is worth remembering.
    pub(super) is_shared: bool,
}

/// One keyword, or several that only make sense together.
#[derive(Debug)]
pub(super) enum Keyword {
    /// The schema `false`.
    Never,
    Type(Types),
    /// `enum` and `const`: the values, in their canonical form, and as a sentence shows them.
    Values {
        canonical: Vec<String>,
        shown: String,
    },
    MultipleOf {
        divisor: Divisor,
        shown: String,
    },
    Bound(Bound),
    Count(Count),
    Pattern(Pattern),
    Unique,
    Required(Vec<String>),
    /// `dependentRequired`, and `dependencies` with a list.
    RequiredWith {
        name: String,
        required: Vec<String>,
    },
    /// `dependentSchemas`, and `dependencies` with a schema.
    With {
        name: String,
        rule: RuleId,
    },
    Reference(RuleId),
    AllOf(Vec<RuleId>),
    AnyOf(Vec<RuleId>),
    OneOf(Vec<RuleId>),
    Not(RuleId),
    If {
        condition: RuleId,
        then: Option<RuleId>,
        otherwise: Option<RuleId>,
    },
    /// `properties`, `patternProperties` and `additionalProperties`.
    Properties {
        named: HashMap<String, RuleId>,
        patterns: Vec<(Pattern, RuleId)>,
        others: Option<RuleId>,
    },
    Names(RuleId),
    /// `prefixItems` and `items`, which earlier drafts call `items` and `additionalItems`.
    Items {
        first: Vec<RuleId>,
        others: Option<RuleId>,
    },
    Contains {
        rule: RuleId,
        least: usize,
        most: Option<usize>,
        /// Whether the items that fit count as looked at: not before draft 2020-12.
        marks: bool,
    },
    UnevaluatedProperties(RuleId),
    UnevaluatedItems(RuleId),
}

/// `minimum` and its relatives.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) limit: Number,
    pub(super) shown: String,
    pub(super) side: Side,
    /// Whether the limit itself is out of bounds.
    pub(super) exclusive: bool,
}

/// Which side of a limit is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    AtLeast,
    AtMost,
}

/// `minLength` and its relatives.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) what: Counted,
    pub(super) side: Side,
    pub(super) limit: usize,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Characters,
    Items,
    Properties,
}

impl Bound {
    pub(super) fn admits(&self, number: &str) -> bool {
        match self.limit.order(number) {
            Ordering::Equal => !self.exclusive,
            Ordering::Less => self.side == Side::AtMost,
            Ordering::Greater => self.side == Side::AtLeast,
        }
    }
}

impl Count {
    pub(super) fn admits(&self, count: usize) -> bool {
        match self.side {
            Side::AtLeast => count >= self.limit,
            Side::AtMost => count <= self.limit,
        }
    }
}

impl Keyword {
    /// The rules that are about the same value as this one.
    pub(super) fn in_place(&self) -> Vec<RuleId> {
        match self {
            Self::Reference(rule) | Self::Not(rule) | Self::With { rule, .. } => vec![*rule],
            Self::AllOf(rules) | Self::AnyOf(rules) | Self::OneOf(rules) => rules.clone(),
            Self::If { condition, then, otherwise } => {
                [Some(*condition), *then, *otherwise].into_iter().flatten().collect()
            }
            Self::Never
            | Self::Type(_)
            | Self::Values { .. }
            | Self::MultipleOf { .. }
            | Self::Bound(_)
            | Self::Count(_)
            | Self::Pattern(_)
            | Self::Unique
            | Self::Required(_)
            | Self::RequiredWith { .. }
            | Self::Properties { .. }
            | Self::Names(_)
            | Self::Items { .. }
            | Self::Contains { .. }
            | Self::UnevaluatedProperties(_)
            | Self::UnevaluatedItems(_) => Vec::new(),
        }
    }

    /// What is expected of a value, phrased to follow its place. It quotes the schema, and never the value.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Never => "must be absent".to_owned(),
            Self::Type(types) => format!("must be {}", types.in_words()),
            Self::Values { shown, .. } => format!("must be {shown}"),
            Self::MultipleOf { shown, .. } => format!("must be a multiple of {shown}"),
            Self::Bound(Bound { shown, side, exclusive, .. }) => {
                let words = match (side, exclusive) {
                    (Side::AtLeast, false) => "at least",
                    (Side::AtLeast, true) => "more than",
                    (Side::AtMost, false) => "at most",
                    (Side::AtMost, true) => "less than",
                };
                format!("must be {words} {shown}")
            }
            Self::Count(Count { what, side, limit }) => {
                let side = match side {
                    Side::AtLeast => "at least",
                    Side::AtMost => "at most",
                };
                let (one, many) = match what {
                    Counted::Characters => ("character", "characters"),
                    Counted::Items => ("item", "items"),
                    Counted::Properties => ("property", "properties"),
                };
                format!("must have {side} {limit} {}", if *limit == 1 { one } else { many })
            }
            Self::Pattern(pattern) => format!("must match the pattern {}", cut_short(pattern.as_str(), 100)),
            Self::Unique => "must not have two equal items".to_owned(),
            Self::Required(names) | Self::RequiredWith { required: names, .. } => must_have(names.iter()),
            Self::AnyOf(_) => "must fit one of the alternatives of 'anyOf'".to_owned(),
            Self::OneOf(_) => "must fit exactly one of the alternatives of 'oneOf'".to_owned(),
            Self::Not(_) => "must not fit the schema in 'not'".to_owned(),
            Self::Contains { least, most, .. } => match (least, most) {
                (1, None) => "must contain an item that fits 'contains'".to_owned(),
                (least, None) => format!("must contain at least {least} items that fit 'contains'"),
                (least, Some(most)) => format!("must contain {least} to {most} items that fit 'contains'"),
            },
            Self::Names(_) => "must have other names of properties".to_owned(),
            Self::With { .. }
            | Self::Reference(_)
            | Self::AllOf(_)
            | Self::If { .. }
            | Self::Properties { .. }
            | Self::Items { .. }
            | Self::UnevaluatedProperties(_)
            | Self::UnevaluatedItems(_) => "must fit the schema".to_owned(),
        }
    }
}

/// That properties are missing.
pub(super) fn must_have<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("'{}'", cut_short(name, 64))).collect();
    let noun = if names.len() == 1 { "property" } else { "properties" };
    format!("must have the {noun} {}", cut_short(&names.join(", "), 200))
}
