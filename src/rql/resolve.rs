//! Tree + schema → query: values get their types, and operators are checked against the fields that they apply to.

use tasklane_model::{Error, Result};

use super::{
    Comparison, Field, FieldKind, FieldPath, Filter, MAX_DEPTH, MAX_LIMIT, MAX_QUERY_BYTES, Query, Schema, SortKey,
    Value, Window, literal,
    syntax::{self, Fault, Term, Word},
};

/// Reads a whole query.
pub(super) fn read(raw: &str, schema: &Schema) -> Result<Query> {
    let text = raw.strip_prefix('?').unwrap_or(raw);
    if text.len() > MAX_QUERY_BYTES {
        return Err(Error::invalid_rql(format!("The RQL is longer than {MAX_QUERY_BYTES} bytes.")));
    }
    let mut resolver =
        Resolver { schema, query: Query { text: text.to_owned(), ..Query::everything() }, conditions: Vec::new() };
    match syntax::parse(text).and_then(|terms| terms.iter().try_for_each(|term| resolver.top_level(term))) {
        Ok(()) => {
            let Resolver { mut query, conditions, .. } = resolver;
            query.filter = (!conditions.is_empty()).then(|| all(conditions));
            Ok(query)
        }
        Err(fault) => {
            let position = text.get(..fault.at).map_or(fault.at, |before| before.chars().count()) + 1;
            let message = format!("Invalid RQL at character {position}: {}.", fault.message);
            Err(Error::invalid_rql(message).with("position", position.into()))
        }
    }
}

struct Resolver<'s> {
    schema: &'s Schema,
    query: Query,
    conditions: Vec<Filter>,
}

impl Resolver<'_> {
    /// Conditions are collected; for every other operator, the last one wins.
    fn top_level(&mut self, term: &Term<'_>) -> Result<(), Fault> {
        match term {
            // The SDK's `intermediate()` wraps a query of several operators in it.
            Term::And(terms) => return terms.iter().try_for_each(|term| self.top_level(term)),
            Term::Sort { keys, .. } => {
                self.query.sort = keys.iter().map(|key| sort_key(*key)).collect::<Result<_, _>>()?
            }
            Term::Select { fields, .. } => {
                self.query.select = Some(fields.iter().map(|field| path(*field)).collect::<Result<_, _>>()?);
            }
            Term::Limit { limit, offset, .. } => {
                self.query.window = Window {
                    limit: count(*limit)?.min(MAX_LIMIT),
                    offset: match offset {
                        Some(word) if !word.text.is_empty() => count(*word)?,
                        Some(_) | None => 0,
                    },
                };
            }
            Term::SkipCount { .. } => self.query.skip_count = true,
            Term::Or { .. }
            | Term::Compare { .. }
            | Term::In { .. }
            | Term::Like { .. }
            | Term::Contains { .. }
            | Term::Bare(_) => {
                let filter = self.condition(term, &FieldPath::itself())?;
                self.conditions.push(filter);
            }
        }
        Ok(())
    }

    /// A condition on the value at `base`: the record, or an element of a list in it.
    fn condition(&self, term: &Term<'_>, base: &FieldPath) -> Result<Filter, Fault> {
        let each =
            |terms: &[Term<'_>]| terms.iter().map(|term| self.condition(term, base)).collect::<Result<Vec<_>, _>>();
        match term {
            Term::And(terms) => Ok(all(each(terms)?)),
            Term::Or { at, terms } => match each(terms)? {
                filters if filters.is_empty() => Err(Fault::new(*at, "'or' needs at least one condition")),
                mut filters if filters.len() == 1 => Ok(filters.remove(0)),
                filters => Ok(Filter::Or(filters)),
            },
            Term::Compare { field, op, value } => {
                let path = path(*field)?;
                self.compare(path.clone(), self.schema.field(&base.join(&path)), *op, *value)
            }
            Term::Bare(value) => {
                let field = self.schema.field(base);
                let element = Field { kind: field.kind.element(), ..field };
                self.compare(FieldPath::itself(), element, Comparison::Eq, *value)
            }
            Term::In { field, values, negated } => {
                let path = path(*field)?;
                let known = self.schema.field(&base.join(&path));
                let values = match values.as_slice() {
                    // The SDK's builder writes an empty list like this. If the field can hold strings, it is read as
                    // one empty string, which seldom differs from an empty list.
                    [only] if only.text.is_empty() && !holds_text(known.kind) => Vec::new(),
                    values => values
                        .iter()
                        .filter_map(|value| literal::read(*value, known, &path.to_string()).transpose())
                        .collect::<Result<_, _>>()?,
                };
                Ok(Filter::In { field: path, values, negated: *negated })
            }
            Term::Like { field, value } => self.like(*field, base, *value),
            Term::Contains { field, conditions, negated } => {
                let path = path(*field)?;
                let element = base.join(&path);
                let conditions =
                    conditions.iter().map(|term| self.condition(term, &element)).collect::<Result<Vec<_>, _>>()?;
                let condition = (!conditions.is_empty()).then(|| Box::new(all(conditions)));
                Ok(Filter::Contains { field: path, condition, negated: *negated })
            }
            Term::Sort { at, .. } | Term::Select { at, .. } | Term::Limit { at, .. } | Term::SkipCount { at } => {
                Err(Fault::new(
                    *at,
                    "sort, select, limit and skipCount apply to the whole query and cannot be part of a condition",
                ))
            }
        }
    }

    fn compare(&self, path: FieldPath, field: Field, op: Comparison, word: Word<'_>) -> Result<Filter, Fault> {
        let value = literal::read(word, field, &path.to_string())?;
        match (op, value) {
            (Comparison::Eq | Comparison::Ne, Some(value)) => Ok(Filter::Compare { field: path, op, value }),
            (Comparison::Eq, None) => Ok(Filter::In { field: path, values: Vec::new(), negated: false }),
            (Comparison::Ne, None) => Ok(Filter::In { field: path, values: Vec::new(), negated: true }),
            (Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le, Some(value)) => match value {
                Value::Null => Err(Fault::new(word.at, "null cannot be greater or less than a value")),
                value => Ok(Filter::Compare { field: path, op, value }),
            },
            (Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le, None) => {
                Err(Fault::new(word.at, format!("'{path}' holds ids of 24 hexadecimal digits; this value is not one")))
            }
        }
    }

    fn like(&self, field: Word<'_>, base: &FieldPath, value: Word<'_>) -> Result<Filter, Fault> {
        let path = path(field)?;
        let text = literal::text(value)?;
        match self.schema.field(&base.join(&path)).kind {
            FieldKind::Text | FieldKind::TextList | FieldKind::Any => Ok(Filter::Like { field: path, text }),
            FieldKind::Id | FieldKind::IdList => Ok(Filter::Like { field: path, text: text.to_ascii_lowercase() }),
            FieldKind::Number | FieldKind::Timestamp | FieldKind::Object => {
                Err(Fault::new(field.at, format!("'{path}' does not hold strings, which like(field,text) needs")))
            }
        }
    }
}

/// One condition that combines all of these.
fn all(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 { filters.remove(0) } else { Filter::And(filters) }
}

fn holds_text(kind: FieldKind) -> bool {
    match kind {
        FieldKind::Text | FieldKind::TextList | FieldKind::Any => true,
        FieldKind::Id | FieldKind::IdList | FieldKind::Number | FieldKind::Timestamp | FieldKind::Object => false,
    }
}

/// A dotted path; a dot within a field's name must be encoded. Spaces around it are ignored, because the platform's
/// documentation writes `select(field1, field2)`.
fn path(word: Word<'_>) -> Result<FieldPath, Fault> {
    let steps = word
        .text
        .split('.')
        .map(|step| literal::decode(Word { at: word.at, text: step }).map(|step| step.trim().to_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    if steps.iter().any(String::is_empty) || steps.len() > MAX_DEPTH {
        return Err(Fault::new(word.at, "expected the name of a field, with parts separated by single dots"));
    }
    Ok(FieldPath::new(steps))
}

fn sort_key(word: Word<'_>) -> Result<SortKey, Fault> {
    const SIGNS: [(&str, bool); 6] =
        [("+", false), ("-", true), ("%2B", false), ("%2b", false), ("%2D", true), ("%2d", true)];
    let word = Word { text: word.text.trim_start_matches("%20").trim_start(), ..word };
    let signed = SIGNS.into_iter().find_map(|(sign, descending)| Some((word.text.strip_prefix(sign)?, descending)));
    let (text, descending) = signed.unwrap_or((word.text, false));
    Ok(SortKey { field: path(Word { at: word.at, text })?, descending })
}

fn count(word: Word<'_>) -> Result<u64, Fault> {
    let text = literal::decode(word)?;
    // JavaScript clients cannot read larger numbers exactly.
    match text.parse::<u64>() {
        Ok(count) if count < 1 << 53 => Ok(count),
        Ok(_) | Err(_) => Err(Fault::new(word.at, "expected a whole number of 0 or more")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::DEFAULT_LIMIT;
    use tasklane_model::{ErrorKind, Json};

    fn query(text: &str) -> Query {
        read(text, &Schema::TASKS).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_empty_query_selects_everything() {
        assert_eq!(query(""), Query::everything());
        assert_eq!(query("?"), Query::everything());
    }

    #[test]
    fn the_last_of_each_directive_wins_even_inside_and() {
        let query = query(
            "limit(5)&and(sort(-priority,%20+data.x,%20id),eq(status,new))&select(id,data.key)&limit(7,30)&skipCount()",
        );
        assert_eq!(query.window, Window { limit: 7, offset: 30 });
        let keys: Vec<_> = query.sort.iter().map(|key| (key.field.to_string(), key.descending)).collect();
        assert_eq!(keys, [("priority".to_owned(), true), ("data.x".to_owned(), false), ("id".to_owned(), false)]);
        assert_eq!(query.select, Some(vec![FieldPath::new(["id"]), FieldPath::new(["data", "key"])]));
        assert!(query.skip_count);
        assert!(matches!(query.filter, Some(Filter::Compare { op: Comparison::Eq, .. })));
    }

    #[test]
    fn a_page_never_exceeds_its_limit() {
        assert_eq!(query("limit(1000)").window, Window { limit: MAX_LIMIT, offset: 0 });
        assert_eq!(query("limit(0,5)").window, Window { limit: 0, offset: 5 });
        assert_eq!(query("limit(5,)").window, Window { limit: 5, offset: 0 });
        assert_eq!(query("skipCount()").window, Window { limit: DEFAULT_LIMIT, offset: 0 });
    }

    #[test]
    fn an_invalid_query_is_refused_with_its_position() {
        for (text, says) in [
            ("eq(a,1)&eq(b", "Invalid RQL at character 13: expected ',' and a value, found the end."),
            ("é=1&foo", "Invalid RQL at character 5: expected a condition"),
            ("limit(-1)", "character 7: expected a whole number"),
            ("limit(x)", "character 7: expected a whole number"),
            ("sort()", "expected the name of a field"),
            ("sort(-)", "expected the name of a field"),
            ("select()", "expected the name of a field"),
            ("eq(data..x,1)", "expected the name of a field"),
            ("or()", "'or' needs at least one condition"),
            ("or(limit(5),eq(a,1))", "apply to the whole query"),
            ("contains(data,sort(+a))", "apply to the whole query"),
            ("like(priority,1)", "'priority' does not hold strings"),
            ("gt(priority,high)", "'priority' holds numbers"),
            ("ge(creationTimestamp,soon)", "'creationTimestamp' holds timestamps"),
            ("eq(error,x)", "'error' holds an object"),
            ("gt(id,xyz)", "'id' holds ids"),
            ("gt(data.x,null)", "null cannot be greater or less than a value"),
        ] {
            let error = read(text, &Schema::TASKS).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidRql);
            assert!(error.message().contains(says), "{text}: {}", error.message());
        }
        let long = format!("eq(data.x,{})", "x".repeat(MAX_QUERY_BYTES));
        assert!(read(&long, &Schema::TASKS).unwrap_err().message().contains("longer than"));
    }

    #[test]
    fn a_field_within_an_element_keeps_its_kind() {
        let filter = query("contains(error,name=5)").filter.unwrap();
        assert!(filter.matches(&Json::from(json!({"error": {"name": "5"}})).node()));
        let filter = query("contains(tags,5)").filter.unwrap();
        assert!(filter.matches(&Json::from(json!({"tags": ["4", "5"]})).node()));
    }

    #[test]
    fn a_dot_within_a_name_must_be_encoded() {
        let filter = query("eq(data.a%2Eb,1)").filter.unwrap();
        assert!(filter.matches(&Json::from(json!({"data": {"a.b": 1}})).node()));
        assert!(!filter.matches(&Json::from(json!({"data": {"a": {"b": 1}}})).node()));
    }
}
