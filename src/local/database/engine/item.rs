//! Items: their JSON in the database's rows, and their size.

use std::{borrow::Cow, collections::HashMap, fmt};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use aws_smithy_types::base64;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The most bytes of an item. <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub(super) const MOST_BYTES: usize = 400 * 1024;

/// How many attributes an item usually has room for.
const USUAL: usize = 32;

/// An item as DynamoDB's JSON has it: `{"pk": {"S": "…"}, "n": {"N": "1"}}`. Only strings, binary values and whole numbers in
/// their shortest form can be read; the store writes no others.
pub(super) struct Item(pub(super) Attributes);

/// A value of an item.
struct Value(AttributeValue);

/// What an item counts towards DynamoDB's limits, read without keeping its values.
pub(super) struct Size(pub(super) usize);

#[derive(Deserialize)]
enum Kind {
    S,
    N,
    B,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let mut item = Attributes::with_capacity(USUAL);
                while let Some((name, Value(value))) = map.next_entry()? {
                    item.insert(name, value);
                }
                Ok(Item(item))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a binary value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let value = match map.next_key()?.ok_or_else(|| A::Error::custom("no type"))? {
                    Kind::S => AttributeValue::S(map.next_value()?),
                    Kind::N => AttributeValue::N(map.next_value()?),
                    Kind::B => {
                        let Text(text) = map.next_value()?;
                        AttributeValue::B(Blob::new(base64::decode(&*text).map_err(A::Error::custom)?))
                    }
                };
                match map.next_key::<Kind>()? {
                    None => Ok(Value(value)),
                    Some(_) => Err(A::Error::custom("two types")),
                }
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        struct Bytes(usize);

        impl<'de> Visitor<'de> for Reader {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Size, A::Error> {
                let mut size = 0;
                while let Some((Text(name), Bytes(bytes))) = map.next_entry()? {
                    size += name.len() + bytes;
                }
                Ok(Size(size))
            }
        }

        impl<'de> Deserialize<'de> for Bytes {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;

                impl<'de> Visitor<'de> for Reader {
                    type Value = Bytes;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string, a number or a binary value")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
                        let kind = map.next_key()?.ok_or_else(|| A::Error::custom("no type"))?;
                        let Text(text) = map.next_value()?;
                        let bytes = match kind {
                            Kind::S => text.len(),
                            Kind::N => number_size(&text),
                            Kind::B => base64::decode(&*text).map_err(A::Error::custom)?.len(),
                        };
                        match map.next_key::<Kind>()? {
                            None => Ok(Bytes(bytes)),
                            Some(_) => Err(A::Error::custom("two types")),
                        }
                    }
                }

                deserializer.deserialize_map(Reader)
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// Writes the JSON of an item. `None` if it has a value that this engine does not store.
pub(super) fn json<'a>(item: impl IntoIterator<Item = (&'a String, &'a AttributeValue)>) -> Option<String> {
    let mut json = Vec::with_capacity(1024);
    write(&mut json, item)?;
    // Only whole strings were written.
    String::from_utf8(json).ok()
}

/// The same, behind what is in `json` already.
pub(super) fn write<'a>(
    json: &mut Vec<u8>,
    item: impl IntoIterator<Item = (&'a String, &'a AttributeValue)>,
) -> Option<()> {
    json.push(b'{');
    for (index, (name, value)) in item.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        text(json, name)?;
        match value {
            AttributeValue::S(string) => {
                json.extend(b":{\"S\":");
                text(json, string)?;
            }
            AttributeValue::N(number) => {
                json.extend(b":{\"N\":");
                text(json, number)?;
            }
            AttributeValue::B(bytes) => {
                json.extend(b":{\"B\":");
                text(json, &base64::encode(bytes))?;
            }
            _ => return None,
        }
        json.push(b'}');
    }
    json.push(b'}');
    Some(())
}

fn text(json: &mut Vec<u8>, text: &str) -> Option<()> {
    serde_json::to_writer(json, text).ok()
}

/// Whether this engine stores such a value: the store writes no others, and DynamoDB has more rules for those.
pub(super) fn is_plain(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::S(_) | AttributeValue::B(_) => true,
        AttributeValue::N(number) => is_whole(number),
        _ => false,
    }
}

/// A whole number in its shortest form, which DynamoDB returns as it is. Its 38 digits fit an `i128`.
fn is_whole(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    match digits.as_bytes() {
        [b'0'] => digits.len() == number.len(),
        [b'1'..=b'9', rest @ ..] => rest.len() < 38 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The number of bytes that DynamoDB counts: names and values.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub(super) fn size(item: &Attributes) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        // Not stored.
        _ => 0,
    }
}

/// A byte for two digits without the zeros at the end, one for the exponent, one for a minus.
fn number_size(number: &str) -> usize {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let minus = number.len() - digits.len();
    digits.trim_end_matches('0').len().div_ceil(2) + 1 + minus
}
