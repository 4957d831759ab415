//! What each keyword asks of a value.

use std::collections::{HashMap, HashSet};

use super::{
    evaluate::{Evaluation, Marks, Outcome, Place, Stop},
    keyword::{Count, Counted, Keyword, RuleId, must_have},
    pattern::Pattern,
};
use crate::json::Node;

impl Evaluation<'_> {
    pub(super) fn keyword(&mut self, keyword: &Keyword, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        match keyword {
            Keyword::Reference(rule) => self.apply(*rule, value, place, tells),
            Keyword::AllOf(rules) => self.all_of(rules, value, place, tells),
            Keyword::AnyOf(rules) => self.any_of(keyword, rules, value, place, tells),
            Keyword::OneOf(rules) => self.one_of(keyword, rules, value, place, tells),
            Keyword::If { condition, then, otherwise } => {
                let fits = self.apply(*condition, value, place, false)?;
                let next = if fits.is_some() { then } else { otherwise };
                let mut marks = fits.unwrap_or_default();
                if let Some(rule) = next {
                    let Some(more) = self.apply(*rule, value, place, tells)? else { return Ok(None) };
                    marks.add(more);
                }
                Ok(Some(marks))
            }
            Keyword::With { name, rule } => match value.get(name) {
                Some(_) => self.apply(*rule, value, place, tells),
                None => Ok(Some(Marks::default())),
            },
            Keyword::Properties { named, patterns, others } => {
                self.properties(named, patterns, *others, value, place, tells)
            }
            Keyword::Items { first, others } => self.items(first, *others, value, place, tells),
            Keyword::Contains { rule, least, most, marks } => {
                let Node::Array(items) = value else { return Ok(Some(Marks::default())) };
                let mut fitting = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    if self.apply(*rule, item, &Place::Item(place, index), false)?.is_some() {
                        fitting.push(index);
                    }
                }
                let fits = fitting.len() >= *least && most.is_none_or(|most| fitting.len() <= most);
                let items = if *marks { fitting } else { Vec::new() };
                self.verdict(fits, keyword, place, tells, Marks { items, ..Marks::default() })
            }
            Keyword::Names(rule) => {
                let fits = self.names(*rule, value)?;
                self.verdict(fits, keyword, place, tells, Marks::default())
            }
            Keyword::Not(rule) => {
                let fits = self.apply(*rule, value, place, false)?.is_none();
                self.verdict(fits, keyword, place, tells, Marks::default())
            }
            Keyword::Required(names) => self.required(names, value, place, tells),
            Keyword::RequiredWith { name, required } => match value.get(name) {
                Some(_) => self.required(required, value, place, tells),
                None => Ok(Some(Marks::default())),
            },
            Keyword::UnevaluatedProperties(_) | Keyword::UnevaluatedItems(_) => Ok(Some(Marks::default())),
            Keyword::Never
            | Keyword::Type(_)
            | Keyword::Values { .. }
            | Keyword::MultipleOf { .. }
            | Keyword::Bound(_)
            | Keyword::Count(_)
            | Keyword::Pattern(_)
            | Keyword::Unique => {
                let fits = self.admits(keyword, value)?;
                self.verdict(fits, keyword, place, tells, Marks::default())
            }
        }
    }

    /// The outcome of a keyword that has one thing to say.
    fn verdict(&mut self, fits: bool, keyword: &Keyword, place: &Place<'_>, tells: bool, marks: Marks) -> Outcome {
        if fits {
            return Ok(Some(marks));
        }
        self.tell(tells, place, || keyword.expected())?;
        Ok(None)
    }

    /// Whether a keyword that names no other rule lets a value pass.
    fn admits(&mut self, keyword: &Keyword, value: &Node<'_>) -> Result<bool, Stop> {
        Ok(match (keyword, value) {
            (Keyword::Never, _) => false,
            (Keyword::Type(types), value) => types.admit(value),
            (Keyword::Values { canonical, .. }, value) => {
                let text = value.canonical();
                self.work(text.len() as u64 / 8 + canonical.len() as u64)?;
                canonical.contains(&text)
            }
            (Keyword::MultipleOf { divisor, .. }, Node::Number(text)) => {
                self.work(text.len() as u64 / 4)?;
                divisor.divides(text)
            }
            (Keyword::Bound(bound), Node::Number(text)) => {
                self.work(text.len() as u64 / 8)?;
                bound.admits(text)
            }
            (Keyword::Count(count @ Count { what: Counted::Characters, .. }), Node::String(text)) => {
                self.work(text.len() as u64 / 32)?;
                count.admits(text.chars().count())
            }
            (Keyword::Count(count @ Count { what: Counted::Items, .. }), Node::Array(items)) => {
                count.admits(items.len())
            }
            (Keyword::Count(count @ Count { what: Counted::Properties, .. }), Node::Object(fields)) => {
                let length = fields.distinct().count();
                self.work(length as u64 / 8)?;
                count.admits(length)
            }
            (Keyword::Pattern(pattern), Node::String(text)) => {
                self.work(pattern.work(text))?;
                pattern.is_in(text)
            }
            (Keyword::Unique, Node::Array(items)) => {
                let mut seen = HashSet::new();
                for item in items {
                    let text = item.canonical();
                    self.work(text.len() as u64 / 8 + 1)?;
                    if !seen.insert(text) {
                        return Ok(false);
                    }
                }
                true
            }
            _ => true,
        })
    }

    fn required(&mut self, names: &[String], value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        if !value.is_object() {
            return Ok(Some(Marks::default()));
        }
        self.work(names.len() as u64)?;
        let missing: Vec<_> = names.iter().filter(|name| value.get(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(Some(Marks::default()));
        }
        self.tell(tells, place, || must_have(missing.into_iter()))?;
        Ok(None)
    }

    fn all_of(&mut self, rules: &[RuleId], value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let mut all = Some(Marks::default());
        for rule in rules {
            match (self.apply(*rule, value, place, tells)?, &mut all) {
                (Some(marks), Some(all)) => all.add(marks),
                (None, _) if !tells => return Ok(None),
                (None, _) | (_, None) => all = None,
            }
        }
        Ok(all)
    }

    fn any_of(
        &mut self,
        keyword: &Keyword,
        rules: &[RuleId],
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let mut found: Option<Marks> = None;
        for rule in rules {
            if let Some(marks) = self.apply(*rule, value, place, false)? {
                found.get_or_insert_default().add(marks);
                if !self.schema.marks {
                    break;
                }
            }
        }
        if found.is_none() {
            self.tell_of_alternatives(keyword, rules, value, place, tells)?;
        }
        Ok(found)
    }

    fn one_of(
        &mut self,
        keyword: &Keyword,
        rules: &[RuleId],
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let mut found = None;
        for rule in rules {
            match (self.apply(*rule, value, place, false)?, &found) {
                (Some(_), Some(_)) => {
                    self.tell(tells, place, || keyword.expected())?;
                    return Ok(None);
                }
                (Some(marks), None) => found = Some(marks),
                (None, _) => {}
            }
        }
        if found.is_none() {
            self.tell_of_alternatives(keyword, rules, value, place, tells)?;
        }
        Ok(found)
    }

    /// Tells what is wrong if no alternative fits: with the only one that is for values of this type, if there is one.
    fn tell_of_alternatives(
        &mut self,
        keyword: &Keyword,
        rules: &[RuleId],
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Result<(), Stop> {
        if !tells {
            return Ok(());
        }
        let types: Option<Vec<_>> = rules.iter().map(|rule| self.schema.types_of(*rule)).collect();
        let Some(types) = types else { return self.tell(true, place, || keyword.expected()) };
        let mut of_type = rules.iter().zip(&types).filter(|(_, types)| types.admit(value)).map(|(rule, _)| *rule);
        match (of_type.next(), of_type.next()) {
            (Some(only), None) => self.apply(only, value, place, true).map(|_| ()),
            (Some(_), Some(_)) => self.tell(true, place, || keyword.expected()),
            (None, _) => {
                let all = types.into_iter().fold(super::types::Types::default(), super::types::Types::and);
                self.tell(true, place, || Keyword::Type(all).expected())
            }
        }
    }

    fn properties(
        &mut self,
        named: &HashMap<String, RuleId>,
        patterns: &[(Pattern, RuleId)],
        others: Option<RuleId>,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Object(fields) = value else { return Ok(Some(Marks::default())) };
        let (mut marks, mut fit) = (Marks::default(), true);
        for (name, value) in fields.distinct() {
            self.work(1)?;
            let place = Place::Property(place, name);
            let mut rules: Vec<_> = named.get(name).copied().into_iter().collect();
            for (pattern, rule) in patterns {
                self.work(pattern.work(name))?;
                if pattern.is_in(name) {
                    rules.push(*rule);
                }
            }
            if rules.is_empty() {
                rules.extend(others);
            }
            for rule in &rules {
                fit &= self.apply(*rule, value, &place, tells)?.is_some();
                if !fit && !tells {
                    return Ok(None);
                }
            }
            if self.schema.marks && !rules.is_empty() {
                marks.properties.push(name.to_owned());
            }
        }
        Ok(fit.then_some(marks))
    }

    fn items(
        &mut self,
        first: &[RuleId],
        others: Option<RuleId>,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Array(items) = value else { return Ok(Some(Marks::default())) };
        let mut fit = true;
        for (index, item) in items.iter().enumerate() {
            let Some(rule) = first.get(index).copied().or(others) else { break };
            self.work(1)?;
            fit &= self.apply(rule, item, &Place::Item(place, index), tells)?.is_some();
            if !fit && !tells {
                return Ok(None);
            }
        }
        let marks = Marks { all: others.is_some(), first_items: first.len(), ..Marks::default() };
        Ok(fit.then_some(marks))
    }

    fn names(&mut self, rule: RuleId, value: &Node<'_>) -> Result<bool, Stop> {
        let Node::Object(fields) = value else { return Ok(true) };
        // A name is no value of the data, so nothing about it can be remembered.
        let stayed = std::mem::replace(&mut self.value_stays, false);
        let mut fit = true;
        for (name, _) in fields.distinct() {
            let name = Node::String(name.into());
            fit &= self.apply(rule, &name, &Place::Root, false)?.is_some();
        }
        self.value_stays = stayed;
        Ok(fit)
    }

    /// `unevaluatedProperties`: what nothing has looked at.
    pub(super) fn rest_of_object(
        &mut self,
        rule: RuleId,
        value: &Node<'_>,
        marks: &mut Marks,
        place: &Place<'_>,
        tells: bool,
    ) -> Result<bool, Stop> {
        let Node::Object(fields) = value else { return Ok(true) };
        if marks.all {
            return Ok(true);
        }
        self.work(marks.properties.len() as u64)?;
        let seen: HashSet<_> = marks.properties.drain(..).collect();
        let mut fit = true;
        for (name, value) in fields.distinct().filter(|(name, _)| !seen.contains(*name)) {
            self.work(1)?;
            fit &= self.apply(rule, value, &Place::Property(place, name), tells)?.is_some();
        }
        marks.all = true;
        Ok(fit)
    }

    /// `unevaluatedItems`: what nothing has looked at.
    pub(super) fn rest_of_array(
        &mut self,
        rule: RuleId,
        value: &Node<'_>,
        marks: &mut Marks,
        place: &Place<'_>,
        tells: bool,
    ) -> Result<bool, Stop> {
        let Node::Array(items) = value else { return Ok(true) };
        if marks.all {
            return Ok(true);
        }
        self.work(marks.items.len() as u64)?;
        let seen: HashSet<_> = marks.items.drain(..).collect();
        let mut fit = true;
        for (index, item) in items.iter().enumerate().skip(marks.first_items) {
            if !seen.contains(&index) {
                self.work(1)?;
                fit &= self.apply(rule, item, &Place::Item(place, index), tells)?.is_some();
            }
        }
        marks.all = true;
        Ok(fit)
    }
}
