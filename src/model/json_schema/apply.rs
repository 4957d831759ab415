//! What each keyword asks of a value.

use std::collections::HashSet;

use super::{
    evaluate::{Evaluation, Marks, Outcome, Place, Stop},
    keyword::{Count, Counted, Keyword, RuleId, must_have},
};
use crate::json::Node;

impl Evaluation<'_> {
    /// Applies a keyword to a value. `marks` is what the keywords before it have looked at. Each arm is a call, so that this
    /// function needs little of the stack: every level of a check has it once.
    pub(super) fn keyword(
        &mut self,
        keyword: &Keyword,
        value: &Node<'_>,
        place: &Place<'_>,
        tells: bool,
        marks: &mut Marks,
    ) -> Outcome {
        match keyword {
            Keyword::Reference(rule) => self.apply(*rule, value, place, tells),
            Keyword::AllOf(rules) => self.all_of(rules, value, place, tells),
            Keyword::AnyOf(rules) => self.any_of(keyword, rules, value, place, tells),
            Keyword::OneOf(rules) => self.one_of(keyword, rules, value, place, tells),
            Keyword::If { .. } => self.condition(keyword, value, place, tells),
            Keyword::With { name, rule } if value.get(name).is_some() => self.apply(*rule, value, place, tells),
            Keyword::Properties { .. } => self.properties(keyword, value, place, tells),
            Keyword::Items { first, others } => self.items(first, *others, value, place, tells),
            Keyword::Contains { .. } => self.contains(keyword, value, place, tells),
            Keyword::Names(rule) => self.names(keyword, *rule, value, place, tells),
            Keyword::Not(rule) => self.not(keyword, *rule, value, place, tells),
            Keyword::Required(names) => self.required(names, value, place, tells),
            Keyword::RequiredWith { name, required } if value.get(name).is_some() => {
                self.required(required, value, place, tells)
            }
            Keyword::With { .. } | Keyword::RequiredWith { .. } => Ok(Some(Marks::NONE)),
            Keyword::UnevaluatedProperties(rule) => self.rest_of_object(*rule, value, marks, place, tells),
            Keyword::UnevaluatedItems(rule) => self.rest_of_array(*rule, value, marks, place, tells),
            Keyword::Never
            | Keyword::Type(_)
            | Keyword::Values { .. }
            | Keyword::MultipleOf { .. }
            | Keyword::Bound(_)
            | Keyword::Count(_)
            | Keyword::Pattern(_)
            | Keyword::Unique => self.assertion(keyword, value, place, tells),
        }
    }

    fn assertion(&mut self, keyword: &Keyword, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let fits = self.admits(keyword, value)?;
        self.verdict(fits, keyword, place, tells)
    }

    fn condition(&mut self, keyword: &Keyword, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let Keyword::If { condition, then, otherwise } = keyword else { return Ok(Some(Marks::NONE)) };
        let fits = self.apply(*condition, value, place, false)?;
        let next = if fits.is_some() { then } else { otherwise };
        let mut marks = fits.unwrap_or_default();
        if let Some(rule) = next {
            let Some(more) = self.apply(*rule, value, place, tells)? else { return Ok(None) };
            marks.add(more);
        }
        Ok(Some(marks))
    }

    fn not(&mut self, keyword: &Keyword, rule: RuleId, value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let fits = self.apply(rule, value, place, false)?.is_none();
        self.verdict(fits, keyword, place, tells)
    }

    /// The outcome of a keyword that has one thing to say.
    pub(super) fn verdict(&mut self, fits: bool, keyword: &Keyword, place: &Place<'_>, tells: bool) -> Outcome {
        if fits {
            return Ok(Some(Marks::NONE));
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
            return Ok(Some(Marks::NONE));
        }
        self.work(names.len() as u64)?;
        let missing: Vec<_> = names.iter().filter(|name| value.get(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(Some(Marks::NONE));
        }
        self.tell(tells, place, || must_have(missing.into_iter()))?;
        Ok(None)
    }

    fn all_of(&mut self, rules: &[RuleId], value: &Node<'_>, place: &Place<'_>, tells: bool) -> Outcome {
        let mut all = Some(Marks::NONE);
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
}
