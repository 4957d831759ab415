//! A query as the official clients read it before they sign it: with the npm package qs (6.15, default options), whose
//! result they flatten again.
//!
//! qs turns brackets into arrays and objects, and the flattening loses some of that: `a[]=1` is signed as `a=1`,
//! `a[b][c]=1` as `a[b]=[object Object]`. To verify such signatures, this module does the same, oddities included. Some
//! parameters qs ignores: those after the thousandth, and those named like a method of JavaScript's objects. They are not
//! signed and could be added in transit, so a query that has them cannot be read this way.

use percent_encoding::percent_decode_str;

/// The longest array; qs turns a longer one into an object.
const ARRAY_LIMIT: usize = 20;
const PARAMETER_LIMIT: usize = 1000;
const DEPTH: usize = 5;

/// The names of a JavaScript object's own methods, which qs ignores.
const PROTOTYPE: [&str; 12] = [
    "constructor",
    "__defineGetter__",
    "__defineSetter__",
    "hasOwnProperty",
    "__lookupGetter__",
    "__lookupSetter__",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toString",
    "valueOf",
    "__proto__",
    "toLocaleString",
];

/// The parameters that the official clients sign for this query; `None` if they would not sign all of it.
pub(super) fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    let query = ["%5B", "%5b"].iter().fold(query.to_owned(), |query, escape| query.replace(escape, "["));
    let query = ["%5D", "%5d"].iter().fold(query, |query, escape| query.replace(escape, "]"));
    let parts: Vec<&str> = query.split('&').collect();
    if parts.len() > PARAMETER_LIMIT {
        return None;
    }
    let mut flat = Object::default();
    for part in parts {
        let (name, value) = split(part);
        if name.is_empty() && value.is_empty() {
            // Nothing between two `&`.
            continue;
        }
        flat.put(decode(name), Value::Text(decode(value)), combine);
    }
    // JavaScript lists an object's indices first, in ascending order, then its names in insertion order.
    flat.entries.sort_by_key(|(name, _)| index_of(name).map_or((true, 0), |index| (false, index)));
    let mut root = Value::Object(Object::default());
    for (name, value) in flat.entries {
        root = merge(root, fold(&name, value)?);
    }
    Some(match root {
        Value::Object(object) => flatten(object),
        Value::Text(_) | Value::Array(_) => Vec::new(),
    })
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    /// May have holes, like JavaScript's arrays.
    Array(Vec<Option<Value>>),
    Object(Object),
}

#[derive(Clone, Debug, Default)]
struct Object {
    entries: Vec<(String, Value)>,
    /// The greatest index, if this object stands for an array that was too long.
    overflow: Option<usize>,
}

impl Object {
    /// Sets an entry. An existing one keeps its position and is merged with the value.
    fn put(&mut self, name: String, value: Value, join: fn(Value, Value) -> Value) {
        match self.entries.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => {
                let existing = std::mem::replace(own, Value::Array(Vec::new()));
                *own = join(existing, value);
            }
            None => self.entries.push((name, value)),
        }
    }

    fn of_array(elements: Vec<Option<Value>>) -> Self {
        let entries = elements.into_iter().enumerate().filter_map(|(at, value)| Some((at.to_string(), value?)));
        Self { entries: entries.collect(), overflow: None }
    }

    fn overflowing(elements: Vec<Option<Value>>) -> Value {
        let overflow = Some(elements.len().saturating_sub(1));
        Value::Object(Self { overflow, ..Self::of_array(elements) })
    }

    fn push(&mut self, value: Value) {
        let index = self.overflow.map_or(0, |last| last + 1);
        self.put(index.to_string(), value, |_, new| new);
        self.overflow = Some(index);
    }
}

fn split(part: &str) -> (&str, &str) {
    let at = part.find("]=").map(|at| at + 1).or_else(|| part.find('='));
    at.map_or((part, ""), |at| (&part[..at], &part[at + 1..]))
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    let well_formed = text
        .split('%')
        .skip(1)
        .all(|after| after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) if well_formed => decoded.into_owned(),
        Ok(_) | Err(_) => text,
    }
}

fn combine(a: Value, b: Value) -> Value {
    match a {
        Value::Object(mut object) if object.overflow.is_some() => {
            object.push(b);
            Value::Object(object)
        }
        a => {
            let mut elements = spread(a);
            elements.extend(spread(b));
            bounded(elements)
        }
    }
}

fn spread(value: Value) -> Vec<Option<Value>> {
    match value {
        Value::Array(elements) => elements,
        other => vec![Some(other)],
    }
}

fn bounded(elements: Vec<Option<Value>>) -> Value {
    if elements.len() > ARRAY_LIMIT { Object::overflowing(elements) } else { Value::Array(elements) }
}

/// `a[b]` and a value → `{a: {b: value}}`.
fn fold(name: &str, value: Value) -> Option<Value> {
    let segments = segments(name)?;
    Some(segments.into_iter().rev().fold(value, |leaf, segment| {
        if segment == "[]" {
            return match leaf {
                Value::Object(object) if object.overflow.is_some() => Value::Object(object),
                leaf => bounded(spread(leaf)),
            };
        }
        let bare = segment.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let index = bare.and_then(index_of);
        let name = bare.unwrap_or(&segment).to_owned();
        match index {
            Some(index) if index < ARRAY_LIMIT => {
                let mut elements = vec![None; index];
                elements.push(Some(leaf));
                Value::Array(elements)
            }
            Some(_) => Value::Object(Object { entries: vec![(name, leaf)], overflow: index }),
            None if name == "__proto__" => Value::Object(Object::default()),
            None => Value::Object(Object { entries: vec![(name, leaf)], overflow: None }),
        }
    }))
}

/// The number, if the string is one exactly as JavaScript prints it.
fn index_of(text: &str) -> Option<usize> {
    text.parse().ok().filter(|index: &usize| index.to_string() == text)
}

/// `a[b][c]` → `a`, `[b]`, `[c]`. `None`: qs ignores the parameter.
fn segments(name: &str) -> Option<Vec<String>> {
    if name.is_empty() {
        return None;
    }
    let mut open = name.find('[');
    let parent = &name[..open.unwrap_or(name.len())];
    let mut segments = Vec::new();
    if !parent.is_empty() {
        if PROTOTYPE.contains(&parent) {
            return None;
        }
        segments.push(parent.to_owned());
    }
    while let Some(start) = open {
        let Some(end) = closing(name, start).filter(|_| segments.len() < DEPTH + usize::from(!parent.is_empty()))
        else {
            // Not closed, or deeper than qs reads: the rest is one segment.
            segments.push(format!("[{}]", &name[start..]));
            return Some(segments);
        };
        if PROTOTYPE.contains(&&name[start + 1..end]) {
            return None;
        }
        segments.push(name[start..=end].to_owned());
        open = name[end + 1..].find('[').map(|at| end + 1 + at);
    }
    Some(segments)
}

/// The position where the bracket that opens at `start` closes.
fn closing(name: &str, start: usize) -> Option<usize> {
    let mut level = 0_usize;
    for (at, c) in name[start..].char_indices() {
        match c {
            '[' => level += 1,
            ']' if level == 1 => return Some(start + at),
            ']' => level -= 1,
            _ => {}
        }
    }
    None
}

fn merge(target: Value, source: Value) -> Value {
    match (target, source) {
        (target, Value::Text(text)) if text.is_empty() => target,
        (Value::Array(mut elements), source @ Value::Text(_)) => {
            let too_long = elements.len() > ARRAY_LIMIT;
            elements.push(Some(source));
            if too_long { Object::overflowing(elements) } else { Value::Array(elements) }
        }
        (Value::Object(mut object), source @ Value::Text(_)) if object.overflow.is_some() => {
            object.push(source);
            Value::Object(object)
        }
        (target @ (Value::Object(_) | Value::Text(_)), source @ Value::Text(_)) => {
            Value::Array(vec![Some(target), Some(source)])
        }
        (target @ Value::Text(_), Value::Object(object)) if object.overflow.is_some() => {
            let shifted = object.entries.into_iter().map(|(name, value)| {
                let name = name.parse::<usize>().map_or("NaN".to_owned(), |index| (index + 1).to_string());
                (name, value)
            });
            let entries = [("0".to_owned(), target)].into_iter().chain(shifted).collect();
            Value::Object(Object { entries, overflow: object.overflow.map(|last| last + 1) })
        }
        (target @ Value::Text(_), source) => bounded([Some(target)].into_iter().chain(spread(source)).collect()),
        (Value::Array(target), Value::Array(source)) => Value::Array(merge_arrays(target, source)),
        (Value::Array(target), Value::Object(source)) => merge_objects(Object::of_array(target), source),
        (Value::Object(target), Value::Array(source)) => merge_objects(target, Object::of_array(source)),
        (Value::Object(target), Value::Object(source)) => merge_objects(target, source),
    }
}

fn merge_arrays(mut target: Vec<Option<Value>>, source: Vec<Option<Value>>) -> Vec<Option<Value>> {
    for (at, item) in source.into_iter().enumerate() {
        let Some(item) = item else { continue };
        if target.len() <= at {
            target.resize(at + 1, None);
        }
        match (target[at].take(), item) {
            (None, item) => target[at] = Some(item),
            (Some(existing @ (Value::Array(_) | Value::Object(_))), item @ (Value::Array(_) | Value::Object(_))) => {
                target[at] = Some(merge(existing, item));
            }
            (Some(existing), item) => {
                target[at] = Some(existing);
                target.push(Some(item));
            }
        }
    }
    target
}

fn merge_objects(mut target: Object, source: Object) -> Value {
    for (name, value) in source.entries {
        let index = name.parse::<usize>().ok();
        target.put(name, value, merge);
        target.overflow = target.overflow.or(source.overflow);
        target.overflow = target.overflow.map(|last| index.map_or(last, |index| last.max(index)));
    }
    Value::Object(target)
}

/// Flattens qs's result to parameters, as the clients' own `map` does.
fn flatten(object: Object) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (name, value) in object.entries {
        match value {
            Value::Text(text) => flat.push((name, text)),
            Value::Array(elements) => {
                flat.extend(elements.iter().flatten().map(|value| (name.clone(), printed(value))))
            }
            Value::Object(below) => {
                flat.extend(below.entries.iter().map(|(key, value)| (format!("{name}[{key}]"), printed(value))));
            }
        }
    }
    flat
}

/// The value as JavaScript's `String` prints it.
fn printed(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Array(elements) => elements.iter().flatten().map(printed).collect::<Vec<_>>().join(","),
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(query: &str) -> Vec<String> {
        let mut signed: Vec<_> =
            parameters(query).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        signed.sort();
        signed
    }

    #[test]
    fn plain_parameters_are_read_like_a_form() {
        assert_eq!(signed("b=2&a=1&a=0&c&d=%2B+"), ["a=0", "a=1", "b=2", "c=", "d=+ "]);
    }

    #[test]
    fn brackets_are_folded_and_flattened_as_in_the_clients() {
        for (query, expected) in [
            ("a[]=1&a[]=2", vec!["a=1", "a=2"]),
            ("a[b]=1&a%5Bc%5D=2", vec!["a[b]=1", "a[c]=2"]),
            ("a[b][c]=1", vec!["a[b]=[object Object]"]),
            ("a[b][]=1&a[b][]=2", vec!["a[b]=1,2"]),
            ("a[1]=x&a[0]=y", vec!["a=x", "a=y"]),
            ("&a=2&", vec!["a=2"]),
            // An index comes before a name, so the array begins with it.
            ("0[a]&0[a][30]=1&0=", vec!["0[0]=", "0[1]=[object Object]", "0[a]=[object Object]"]),
        ] {
            assert_eq!(signed(query), expected, "{query}");
        }
    }

    #[test]
    fn a_query_that_the_clients_would_not_sign_completely_is_not_read() {
        assert!(parameters(&vec!["a=1"; PARAMETER_LIMIT].join("&")).is_some());
        assert!(parameters(&vec!["a=1"; PARAMETER_LIMIT + 1].join("&")).is_none());
        for query in ["toString=1&a=2", "__proto__=1", "a[constructor]=1", "constructor=x&hasOwnProperty=1", "=1"] {
            assert!(parameters(query).is_none(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(any in any::<String>(), near in "([ab01é]{0,2}(\\[[ab]?[0-9]{0,2}\\]?){0,3}=?[a%+]{0,2}&?){0,8}") {
            let _ = (parameters(&any), parameters(&near));
        }
    }
}
