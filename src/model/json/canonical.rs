//! A hash of JSON that is the same for every way of writing the same value.

use std::{borrow::Cow, collections::BTreeMap};

use sha2::{Digest as _, Sha256};

use super::{
    Node,
    number::canonical,
    scan::{fields, unescape},
};

/// Hashes an object, which must be valid JSON, without its field `leave_out`.
///
/// White space, the order of the fields and the notation of numbers and strings make no difference; of several fields
/// with one name, the last one counts. A field that is `null` differs from one that is absent.
pub fn digest_of_object(object: &str, leave_out: &str) -> [u8; 32] {
    let named: BTreeMap<Cow<'_, str>, &str> =
        fields(object).map(|(name, value)| (unescape(name), value)).filter(|(name, _)| name != leave_out).collect();
    let mut hash = Sha256::new();
    for (name, value) in named {
        put_text(&mut hash, &name);
        put(&mut hash, &Node::of(value));
    }
    hash.finalize().into()
}

/// Each value begins with a byte that says what it is, and each text and list with its length, so that no two values
/// are hashed alike.
fn put(hash: &mut Sha256, value: &Node<'_>) {
    match value {
        Node::Null => hash.update(b"0"),
        Node::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Node::Number(number) => {
            hash.update(b"n");
            put_text(hash, &canonical(number));
        }
        Node::String(text) => {
            hash.update(b"s");
            put_text(hash, text);
        }
        Node::Array(elements) => {
            hash.update(b"a");
            put_length(hash, elements.len());
            elements.iter().for_each(|element| put(hash, element));
        }
        Node::Object(fields) => {
            hash.update(b"o");
            let fields: Vec<_> = fields.distinct().collect();
            put_length(hash, fields.len());
            for (name, value) in fields {
                put_text(hash, name);
                put(hash, value);
            }
        }
    }
}

fn put_text(hash: &mut Sha256, text: &str) {
    put_length(hash, text.len());
    hash.update(text);
}

fn put_length(hash: &mut Sha256, length: usize) {
    hash.update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(object: &str) -> [u8; 32] {
        digest_of_object(object, "key")
    }

    #[test]
    fn the_same_value_has_the_same_digest_however_it_is_written() {
        let same = [
            r#"{"a":1,"b":{"x":[1.5,null],"y":"é"},"n":-0}"#,
            r#" { "b" : {"y":"\u00e9", "x":[ 15e-1 ,null]}, "n": 0.0, "a": 1.0, "key":"K" } "#,
            r#"{"a":2,"a":10e-1,"b":{"y":"a","x":[1.50,null],"y":"é"},"n":0,"key":[{}]}"#,
        ];
        for other in &same[1..] {
            assert_eq!(digest(same[0]), digest(other), "{other}");
        }
    }

    #[test]
    fn different_values_have_different_digests() {
        let all = [
            r"{}",
            r#"{"a":null}"#,
            r#"{"a":false}"#,
            r#"{"a":true}"#,
            r#"{"a":0}"#,
            r#"{"a":1}"#,
            r#"{"a":-1}"#,
            r#"{"a":10}"#,
            r#"{"a":0.1}"#,
            r#"{"a":1e400}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":"1"}"#,
            r#"{"a":""}"#,
            r#"{"a":[]}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":[[1],2]}"#,
            r#"{"a":{}}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{"b":null}}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"A":1}"#,
            r#"{"b":1}"#,
            r#"{"ab":"c"}"#,
            r#"{"a":"bc"}"#,
        ];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(digest(one), digest(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn only_the_fields_of_the_outermost_object_are_left_out() {
        assert_ne!(digest(r#"{"a":{"key":1}}"#), digest(r#"{"a":{"key":2}}"#));
        assert_eq!(digest(r#"{"key":1}"#), digest(r#"{"k\u0065y":2}"#));
    }
}
