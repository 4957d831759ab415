//! What one subschema says, keyword by keyword.

use super::{
    InvalidSchema,
    compile::{Compiled, Compiler, Draft},
    keyword::{Bound, Count, Counted, Keyword, RuleId, Side},
    pattern::Pattern,
    reading::{Subschema, names},
    reference::{Target, target},
    types::Types,
};
use crate::{
    json::{Node, number::Divisor},
    shorten::cut_short,
};

/// How much all regular expressions of a schema may weigh together: a megabyte or so.
const MOST_PATTERNS: u64 = 2048;

/// How much of a value that a schema expects is shown.
const LONGEST_SHOWN: usize = 160;

impl<'n, 'a> Compiler<'n, 'a> {
    pub(super) fn keywords(&mut self, id: RuleId, schema: &Subschema<'n, 'a>) -> Compiled<Vec<Keyword>> {
        match schema.node {
            Node::Bool(true) => return Ok(Vec::new()),
            Node::Bool(false) => return Ok(vec![Keyword::Never]),
            Node::Object(_) => {}
            Node::Null | Node::Number(_) | Node::String(_) | Node::Array(_) => {
                return Err(InvalidSchema::new(schema.place.to_string(), "must be an object, true or false"));
            }
        }
        // Even those that nothing refers to must be schemas.
        for keyword in ["$defs", "definitions"] {
            self.each(schema, keyword)?;
        }
        self.name(id, schema)?;
        let mut found = Vec::new();
        self.references(id, schema, &mut found)?;
        if self.draft == Draft::Of7 && schema.get("$ref").is_some() {
            // In this draft, everything beside a reference is ignored.
            return Ok(found);
        }
        self.values(schema, &mut found)?;
        self.numbers(schema, &mut found)?;
        self.counts(schema, &mut found)?;
        self.properties(schema, &mut found)?;
        self.dependencies(schema, &mut found)?;
        self.items(schema, &mut found)?;
        self.combinations(schema, &mut found)?;
        // Last, because they ask what the others have looked at.
        if self.draft >= Draft::Of2019 {
            found.extend(self.one(schema, "unevaluatedProperties").map(Keyword::UnevaluatedProperties));
            found.extend(self.one(schema, "unevaluatedItems").map(Keyword::UnevaluatedItems));
        }
        Ok(found)
    }

    /// The subschema that is the value of this keyword.
    fn one(&mut self, schema: &Subschema<'n, 'a>, keyword: &str) -> Option<RuleId> {
        schema.get(keyword).map(|node| self.rule_at(schema.place.then(keyword), node))
    }

    /// The subschemas in a list; at least one.
    fn several(&mut self, schema: &Subschema<'n, 'a>, keyword: &str) -> Compiled<Option<Vec<RuleId>>> {
        let Some(list) = schema.list(keyword)? else { return Ok(None) };
        if list.is_empty() {
            return schema.refuse(keyword, "must have at least one schema");
        }
        let place = schema.place.then(keyword);
        Ok(Some(list.iter().enumerate().map(|(index, node)| self.rule_at(place.item(index), node)).collect()))
    }

    /// The subschemas in an object, by name.
    fn each(&mut self, schema: &Subschema<'n, 'a>, keyword: &str) -> Compiled<Vec<(&'n str, RuleId)>> {
        let place = schema.place.then(keyword);
        let members = schema.members(keyword)?.into_iter();
        Ok(members.map(|(name, node)| (name, self.rule_at(place.then(name), node))).collect())
    }

    /// `$id` and anchors.
    fn name(&mut self, id: RuleId, schema: &Subschema<'n, 'a>) -> Compiled<()> {
        let own = schema.text("$id")?;
        let mut anchors = Vec::new();
        if self.draft >= Draft::Of2019 {
            anchors.extend(schema.text("$anchor")?);
            anchors.extend(schema.text("$dynamicAnchor")?);
        } else {
            anchors.extend(own.and_then(|own| own.strip_prefix('#')));
        }
        if own.is_some_and(|own| !own.starts_with('#')) && !schema.place.is_root() {
            let rule = "can be set only for the whole schema: refer to a part of it by '#/…'";
            return schema.refuse("$id", rule);
        }
        for anchor in anchors {
            if self.anchors.insert(anchor.to_owned(), id).is_some_and(|other| other != id) {
                return Err(InvalidSchema::new(schema.place.to_string(), "has an anchor that another part has, too"));
            }
        }
        Ok(())
    }

    fn references(&mut self, id: RuleId, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        // In one document without parts that have an `$id`, the dynamic references lead where the others do.
        let known: &[&str] = match self.draft {
            Draft::Of7 => &["$ref"],
            Draft::Of2019 => &["$ref", "$recursiveRef"],
            Draft::Of2020 => &["$ref", "$dynamicRef"],
        };
        for keyword in known {
            let Some(reference) = schema.text(keyword)? else { continue };
            match target(self.document, reference) {
                Ok(Target::Place(place, node)) => found.push(Keyword::Reference(self.rule_at(place, node))),
                Ok(Target::Anchor(anchor)) => self.to_anchors.push((id, anchor, schema.place.then(keyword))),
                Err(rule) => return schema.refuse(keyword, rule),
            }
        }
        Ok(())
    }

    fn values(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        if let Some(node) = schema.get("type") {
            let named = |node: &Node<'_>| node.as_str().and_then(Types::named);
            let types = match node {
                Node::Array(several) if !several.is_empty() => {
                    several.iter().map(named).try_fold(Types::default(), |all, one| Some(all.and(one?)))
                }
                one => named(one),
            };
            match types {
                Some(types) => found.push(Keyword::Type(types)),
                None => {
                    let rule = "must be object, array, string, number, integer, boolean or null, or a list of these";
                    return schema.refuse("type", rule);
                }
            }
        }
        if let Some(values) = schema.list("enum")? {
            if values.is_empty() {
                return schema.refuse("enum", "must have at least one value");
            }
            let shown: Vec<_> = values.iter().map(shown).collect();
            let prefix = if shown.len() == 1 { "" } else { "one of " };
            let shown = cut_short(&format!("{prefix}{}", shown.join(", ")), LONGEST_SHOWN);
            found.push(Keyword::Values { canonical: values.iter().map(Node::canonical).collect(), shown });
        }
        if let Some(value) = schema.get("const") {
            found.push(Keyword::Values {
                canonical: vec![value.canonical()],
                shown: cut_short(&shown(value), LONGEST_SHOWN),
            });
        }
        Ok(())
    }

    fn numbers(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        if let Some((text, _)) = schema.number("multipleOf")? {
            let Some(divisor) = Divisor::parse(text) else {
                let most = Divisor::MOST_DIGITS;
                return schema.refuse("multipleOf", format!("must be more than 0, with at most {most} digits"));
            };
            found.push(Keyword::MultipleOf { divisor, shown: cut_short(text, 64) });
        }
        for (keyword, side, exclusive) in [
            ("minimum", Side::AtLeast, false),
            ("exclusiveMinimum", Side::AtLeast, true),
            ("maximum", Side::AtMost, false),
            ("exclusiveMaximum", Side::AtMost, true),
        ] {
            if let Some((text, limit)) = schema.number(keyword)? {
                found.push(Keyword::Bound(Bound { limit, shown: cut_short(text, 64), side, exclusive }));
            }
        }
        Ok(())
    }

    fn counts(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        for (keyword, what, side) in [
            ("minLength", Counted::Characters, Side::AtLeast),
            ("maxLength", Counted::Characters, Side::AtMost),
            ("minItems", Counted::Items, Side::AtLeast),
            ("maxItems", Counted::Items, Side::AtMost),
            ("minProperties", Counted::Properties, Side::AtLeast),
            ("maxProperties", Counted::Properties, Side::AtMost),
        ] {
            if let Some(limit) = schema.count(keyword)? {
                found.push(Keyword::Count(Count { what, side, limit }));
            }
        }
        if let Some(text) = schema.text("pattern")? {
            match self.pattern(text) {
                Ok(pattern) => found.push(Keyword::Pattern(pattern)),
                Err(rule) => return schema.refuse("pattern", rule),
            }
        }
        if schema.flag("uniqueItems")? {
            found.push(Keyword::Unique);
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::parse(text)?;
        self.patterns += pattern.weight();
        if self.patterns > MOST_PATTERNS {
            return Err("is too much, together with the schema's other regular expressions".to_owned());
        }
        Ok(pattern)
    }

    fn properties(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        if let Some(required) = schema.names("required")?.filter(|names| !names.is_empty()) {
            found.push(Keyword::Required(required));
        }
        let named = self.each(schema, "properties")?;
        let mut patterns = Vec::new();
        for (pattern, rule) in self.each(schema, "patternProperties")? {
            match self.pattern(pattern) {
                Ok(pattern) => patterns.push((pattern, rule)),
                Err(rule) => return schema.refuse("patternProperties", format!("must have valid names: one {rule}")),
            }
        }
        let others = self.one(schema, "additionalProperties");
        if !named.is_empty() || !patterns.is_empty() || others.is_some() {
            let named = named.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect();
            found.push(Keyword::Properties { named, patterns, others });
        }
        found.extend(self.one(schema, "propertyNames").map(Keyword::Names));
        Ok(())
    }

    fn dependencies(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        if self.draft >= Draft::Of2019 {
            for (name, node) in schema.members("dependentRequired")? {
                let Some(required) = names(node) else {
                    return schema.refuse("dependentRequired", "must have lists of different names");
                };
                found.push(Keyword::RequiredWith { name: name.to_owned(), required });
            }
            for (name, rule) in self.each(schema, "dependentSchemas")? {
                found.push(Keyword::With { name: name.to_owned(), rule });
            }
        }
        // Of draft 7. Later drafts let it be known, too.
        for (name, node) in schema.members("dependencies")? {
            let name = name.to_owned();
            found.push(match names(node) {
                Some(required) => Keyword::RequiredWith { name, required },
                None => {
                    let place = schema.place.then("dependencies").then(&name);
                    Keyword::With { name, rule: self.rule_at(place, node) }
                }
            });
        }
        Ok(())
    }

    fn items(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        let (first, others) = if self.draft == Draft::Of2020 {
            (self.several(schema, "prefixItems")?.unwrap_or_default(), self.one(schema, "items"))
        } else if let Some(Node::Array(list)) = schema.get("items") {
            let first = if list.is_empty() { Vec::new() } else { self.several(schema, "items")?.unwrap_or_default() };
            (first, self.one(schema, "additionalItems"))
        } else {
            (Vec::new(), self.one(schema, "items"))
        };
        if !first.is_empty() || others.is_some() {
            found.push(Keyword::Items { first, others });
        }
        let (least, most) = match self.draft {
            Draft::Of7 => (None, None),
            Draft::Of2019 | Draft::Of2020 => (schema.count("minContains")?, schema.count("maxContains")?),
        };
        if let Some(rule) = self.one(schema, "contains") {
            let marks = self.draft >= Draft::Of2020;
            found.push(Keyword::Contains { rule, least: least.unwrap_or(1), most, marks });
        }
        Ok(())
    }

    fn combinations(&mut self, schema: &Subschema<'n, 'a>, found: &mut Vec<Keyword>) -> Compiled<()> {
        found.extend(self.several(schema, "allOf")?.map(Keyword::AllOf));
        found.extend(self.several(schema, "anyOf")?.map(Keyword::AnyOf));
        found.extend(self.several(schema, "oneOf")?.map(Keyword::OneOf));
        found.extend(self.one(schema, "not").map(Keyword::Not));
        let condition = self.one(schema, "if");
        // Without a condition they say nothing, but must be schemas.
        let (then, otherwise) = (self.one(schema, "then"), self.one(schema, "else"));
        found.extend(condition.map(|condition| Keyword::If { condition, then, otherwise }));
        Ok(())
    }
}

/// A value of the schema in a sentence, as it was written apart from white space and escapes.
fn shown(value: &Node<'_>) -> String {
    match value {
        Node::Number(text) => (*text).to_owned(),
        value => value.to_value().to_string(),
    }
}
