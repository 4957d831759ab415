//! Compiles a schema: every subschema becomes a rule, once, however many places refer to it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{
    InvalidSchema, JsonSchema, Misfit,
    evaluate::Evaluation,
    keyword::{Keyword, Rule, RuleId},
    reading::Subschema,
    reference::{Pointer, refuse_loops},
    types::Types,
};
use crate::{
    Json,
    json::{Node, scan},
};

/// A schema in the form that data is checked with.
#[derive(Debug)]
pub struct CompiledSchema {
    pub(super) rules: Vec<Rule>,
    /// Whether some rule asks what the others have looked at.
    pub(super) marks: bool,
}

/// The drafts, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    Of7,
    Of2019,
    Of2020,
}

const DRAFTS: [(&str, Draft); 3] = [
    ("//json-schema.org/draft-07/schema", Draft::Of7),
    ("//json-schema.org/draft/2019-09/schema", Draft::Of2019),
    ("//json-schema.org/draft/2020-12/schema", Draft::Of2020),
];

impl CompiledSchema {
    pub(super) fn of(schema: &JsonSchema) -> Result<Self, InvalidSchema> {
        let text = schema.as_json().as_str();
        if scan::depth(text) > JsonSchema::MAX_DEPTH {
            let most = JsonSchema::MAX_DEPTH;
            return Err(InvalidSchema::new("", format!("nests deeper than {most} levels: make it flatter")));
        }
        let document = schema.as_json().node();
        let draft = draft_of(&document)?;
        let mut compiler = Compiler {
            document: &document,
            draft,
            rules: Vec::new(),
            places: Vec::new(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
            anchors: HashMap::new(),
            to_anchors: Vec::new(),
            patterns: 0,
        };
        compiler.rule_at(Pointer::default(), &document);
        while let Some((id, node)) = compiler.waiting.pop_front() {
            let subschema = Subschema { node, place: compiler.places[id.0].clone() };
            compiler.rules[id.0].keywords = compiler.keywords(id, &subschema)?;
        }
        compiler.finish()
    }

    /// The types that a rule, or what it refers to, asks for first; `None` if it asks for none.
    pub(super) fn types_of(&self, rule: RuleId) -> Option<Types> {
        self.rules[rule.0].keywords.iter().find_map(|keyword| match keyword {
            Keyword::Type(types) => Some(*types),
            Keyword::Reference(target) => self.types_of(*target),
            _ => None,
        })
    }

    /// Checks data; absent data counts as `null`.
    ///
    /// # Errors
    /// In what the data does not fit.
    pub fn check(&self, data: Option<&Json>) -> Result<(), Misfit> {
        let node = data.map_or(Node::Null, Json::node);
        Evaluation::new(self).check(&node)
    }
}

fn draft_of(document: &Node<'_>) -> Result<Draft, InvalidSchema> {
    let Some(named) = document.get("$schema") else { return Ok(Draft::Of2020) };
    let text = named.as_str().unwrap_or_default().trim_end_matches('#');
    let text = text.strip_prefix("https:").or_else(|| text.strip_prefix("http:")).unwrap_or_default();
    let found = DRAFTS.iter().find(|(name, _)| *name == text).map(|(_, draft)| *draft);
    found.ok_or_else(|| {
        let drafts = DRAFTS.map(|(name, _)| format!("https:{name}")).join(", ");
        InvalidSchema::new("/$schema", format!("must be one of {drafts}"))
    })
}

pub(super) struct Compiler<'n, 'a> {
    pub(super) document: &'n Node<'a>,
    pub(super) draft: Draft,
    rules: Vec<Rule>,
    /// Where each rule is.
    places: Vec<Pointer>,
    known: HashMap<Pointer, RuleId>,
    waiting: VecDeque<(RuleId, &'n Node<'a>)>,
    pub(super) anchors: HashMap<String, RuleId>,
    /// References to anchors, which may only be found later: the rule, the anchor and the place of the reference.
    pub(super) to_anchors: Vec<(RuleId, String, Pointer)>,
    /// How much the regular expressions weigh together.
    pub(super) patterns: u64,
}

pub(super) type Compiled<T> = Result<T, InvalidSchema>;

impl<'n, 'a> Compiler<'n, 'a> {
    /// The rule of the subschema at this place, which is compiled later.
    pub(super) fn rule_at(&mut self, place: Pointer, node: &'n Node<'a>) -> RuleId {
        if let Some(known) = self.known.get(&place) {
            return *known;
        }
        let id = RuleId(self.rules.len());
        self.rules.push(Rule::default());
        self.places.push(place.clone());
        self.known.insert(place, id);
        self.waiting.push_back((id, node));
        id
    }

    fn finish(mut self) -> Compiled<CompiledSchema> {
        for (rule, anchor, place) in std::mem::take(&mut self.to_anchors) {
            let Some(found) = self.anchors.get(&anchor).copied() else {
                return Err(InvalidSchema::new(place.to_string(), "must lead to a place that exists in this schema"));
            };
            self.rules[rule.0].keywords.insert(0, Keyword::Reference(found));
        }
        refuse_loops(&self.rules, &self.places)?;
        let shared: HashSet<_> = self
            .rules
            .iter()
            .flat_map(|rule| &rule.keywords)
            .filter_map(|keyword| if let Keyword::Reference(target) = keyword { Some(*target) } else { None })
            .collect();
        for target in shared {
            self.rules[target.0].is_shared = true;
        }
        let is_last = |one: &Keyword| matches!(one, Keyword::UnevaluatedItems(_) | Keyword::UnevaluatedProperties(_));
        let marks = self.rules.iter().flat_map(|rule| &rule.keywords).any(is_last);
        Ok(CompiledSchema { rules: self.rules, marks })
    }
}
