//! A response of the service, parsed and as it was sent.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tasklane_model::Json;

/// A record of the service: parsed for people, and as JSON for programs, which may know fields that we do not.
#[derive(Clone, Debug)]
pub struct Record<T> {
    /// The parsed record.
    pub value: T,
    /// The JSON as it was sent.
    pub json: Json,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Record<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let value = serde_json::from_str(json.as_str()).map_err(serde::de::Error::custom)?;
        Ok(Self { value, json })
    }
}
