//! JSON Schemas: what a Function's data and results look like (contract §24).
//!
//! The validator is our own because the work of a check must be bounded. A caller may send data that nests into a schema in
//! a way that makes a validator try every combination, and the known crates then take for ever. Here a check remembers what
//! it found out about a value, has a budget, and reads numbers digit by digit.

mod apply;
mod children;
mod compile;
mod evaluate;
mod keyword;
mod misfit;
mod pattern;
mod reading;
mod reference;
mod subschema;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use compile::CompiledSchema;
pub use misfit::Misfit;

use super::{ByteSize, Json, json::scan};

/// A JSON Schema: an object or a boolean, without white space between its parts. Its numbers, the order of its fields and its
/// escapes are as they were written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    description = "A JSON Schema: an object or a boolean, of the drafts 2020-12, 2019-09 or 7. At most 16 KB.",
    value_type = serde_json::Value
)]
pub struct JsonSchema(Json);

/// Why something is no [`JsonSchema`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSchema {
    /// Where the fault is, as a JSON pointer; empty for the whole.
    place: String,
    /// The rule, phrased to follow the place.
    rule: String,
}

impl InvalidSchema {
    fn new(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { place: place.into(), rule: rule.into() }
    }
}

impl fmt::Display for InvalidSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a JSON Schema: ")?;
        match self.place.as_str() {
            "" => write!(f, "it {}", self.rule),
            place => write!(f, "'{}' {}", super::shorten::cut_short(place, 200), self.rule),
        }
    }
}

impl JsonSchema {
    /// The largest schema, in bytes of JSON.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// How deep a schema may nest.
    pub const MAX_DEPTH: usize = 64;

    /// Checks a schema by the rules of the draft that its `$schema` names.
    ///
    /// # Errors
    /// With the place of the first fault.
    pub fn parse(json: &Json) -> Result<Self, InvalidSchema> {
        let text = scan::compact(json.as_str());
        if text.len() > Self::MAX_BYTES {
            let (size, most) = (ByteSize(text.len() as u64), ByteSize(Self::MAX_BYTES as u64));
            return Err(InvalidSchema::new("", format!("takes {size}; at most {most} are allowed")));
        }
        let compact = Json::parse(text).map_err(|_| InvalidSchema::new("", "must be JSON"))?;
        let schema = Self(compact);
        schema.compile()?;
        Ok(schema)
    }

    /// The schema in the form that data is checked with.
    ///
    /// # Errors
    /// Never for a schema that was parsed by this version.
    pub fn compile(&self) -> Result<CompiledSchema, InvalidSchema> {
        CompiledSchema::of(self)
    }

    /// The JSON.
    pub fn as_json(&self) -> &Json {
        &self.0
    }
}
