//! What the keywords ask that are about the values in an object or a list.

use std::collections::HashSet;

use super::{
    evaluate::{Evaluation, Looked, Marks, Outcome, Place},
    keyword::{Keyword, RuleId},
};
use crate::json::Node;

impl Evaluation<'_> {
    pub(super) fn contains(&mut self, keyword: &Keyword, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let (Keyword::Contains { rule, least, most, marks }, Node::Array(items)) = (keyword, value) else {
            return Ok(Some(Marks::NONE));
        };
        let mut fitting = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if self.apply(*rule, item, &Place::Item(place, index), false)?.is_some() {
                fitting.push(index);
            }
        }
        if fitting.len() < *least || most.is_some_and(|most| fitting.len() > most) {
            return self.verdict(false, keyword, place, tells);
        }
        let marks = *marks && self.schema.marks;
        Ok(Some(if marks { Marks::of(Looked { items: fitting, ..Looked::default() }) } else { Marks::NONE }))
    }

    pub(super) fn properties(
        &mut self,
        keyword: &Keyword,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let (Keyword::Properties { named, patterns, others }, Node::Object(fields)) = (keyword, value) else {
            return Ok(Some(Marks::NONE));
        };
        let (mut properties, mut fit) = (Vec::new(), true);
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
                properties.push(name.to_owned());
            }
        }
        let marks =
            if properties.is_empty() { Marks::NONE } else { Marks::of(Looked { properties, ..Looked::default() }) };
        Ok(fit.then_some(marks))
    }

    pub(super) fn items(
        &mut self,
        first: &[RuleId],
        others: Option<RuleId>,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Array(items) = value else { return Ok(Some(Marks::NONE)) };
        let mut fit = true;
        for (index, item) in items.iter().enumerate() {
            let Some(rule) = first.get(index).copied().or(others) else { break };
            self.work(1)?;
            fit &= self.apply(rule, item, &Place::Item(place, index), tells)?.is_some();
            if !fit && !tells {
                return Ok(None);
            }
        }
        let marks = match self.schema.marks {
            true => Marks::of(Looked { all: others.is_some(), first_items: first.len(), ..Looked::default() }),
            false => Marks::NONE,
        };
        Ok(fit.then_some(marks))
    }

    pub(super) fn names(
        &mut self,
        keyword: &Keyword,
        rule: RuleId,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Object(fields) = value else { return Ok(Some(Marks::NONE)) };
        // A name is no value of the data, so nothing about it can be remembered.
        let stayed = std::mem::replace(&mut self.value_stays, false);
        let mut fit = true;
        for (name, _) in fields.distinct() {
            let name = Node::String(name.into());
            fit &= self.apply(rule, &name, &Place::Root, false)?.is_some();
        }
        self.value_stays = stayed;
        self.verdict(fit, keyword, place, tells)
    }

    /// `unevaluatedProperties`: what nothing has looked at.
    pub(super) fn rest_of_object(
        &mut self,
        rule: RuleId,
        value: &Node<'_>,
        marks: &mut Marks,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Object(fields) = value else { return Ok(Some(Marks::NONE)) };
        let looked = marks.complete();
        self.work(looked.properties.len() as u64)?;
        let seen: HashSet<_> = looked.properties.into_iter().collect();
        let mut fit = true;
        for (name, value) in fields.distinct().filter(|(name, _)| !looked.all && !seen.contains(*name)) {
            self.work(1)?;
            fit &= self.apply(rule, value, &Place::Property(place, name), tells)?.is_some();
        }
        Ok(fit.then_some(Marks::NONE))
    }

    /// `unevaluatedItems`: what nothing has looked at.
    pub(super) fn rest_of_array(
        &mut self,
        rule: RuleId,
        value: &Node<'_>,
        marks: &mut Marks,
        place: &Place<'_>,
        tells: bool,
    ) -> Outcome {
        let Node::Array(items) = value else { return Ok(Some(Marks::NONE)) };
        let looked = marks.complete();
        self.work(looked.items.len() as u64)?;
        let seen: HashSet<_> = looked.items.into_iter().collect();
        let mut fit = true;
        let rest = items.iter().enumerate().skip(looked.first_items);
        for (index, item) in rest.filter(|(index, _)| !looked.all && !seen.contains(index)) {
            self.work(1)?;
            fit &= self.apply(rule, item, &Place::Item(place, index), tells)?.is_some();
        }
        Ok(fit.then_some(Marks::NONE))
    }
}
