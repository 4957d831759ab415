//! Reads and writes the attributes of rows, with errors that name the row.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use tasklane_model::Timestamp;

use super::StoreError;

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The latest supported version of the row format, which is in the attribute `v`. Rows with a later one are refused.
pub(super) const FORMAT: u32 = 2;

/// The version of rows that need nothing later, so that older processes can read them, too.
const FIRST_FORMAT: u32 = 1;

/// The TTL attribute, in seconds since the epoch.
pub(super) const EXPIRES: &str = "expires";

/// A row from the database.
#[derive(Clone)]
pub(super) struct Row {
    table: Arc<str>,
    attributes: Attributes,
}

impl Row {
    /// Checks a row of this table. Fails if a later version wrote it.
    pub(super) fn read(table: &Arc<str>, attributes: Attributes) -> Result<Self, StoreError> {
        let row = Self { table: Arc::clone(table), attributes };
        let format: u32 = row.number("v")?;
        if format > FORMAT {
            return Err(row.corrupt(format!("it was written by a later version (format {format}); update this one")));
        }
        Ok(row)
    }

    /// A row from an index, which has keys and a few attributes but no format.
    pub(super) fn projected(table: &Arc<str>, attributes: Attributes) -> Self {
        Self { table: Arc::clone(table), attributes }
    }

    /// Whether the row has expired. TTL removes it some time later.
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.optional_number::<i64>(EXPIRES), Ok(Some(expires)) if expires <= now.as_secs())
    }

    /// The approximate number of bytes of its strings.
    pub(super) fn size(&self) -> u64 {
        let sizes = self.attributes.values().map(|value| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
            _ => 0,
        });
        sizes.sum::<usize>() as u64
    }

    /// Adds an attribute that is stored in another row.
    pub(super) fn set_read(&mut self, name: &str, value: AttributeValue) {
        self.attributes.insert(name.to_owned(), value);
    }

    /// The error of a row that breaks the store's rules.
    pub(super) fn corrupt(&self, why: impl fmt::Display) -> StoreError {
        let key = ["pk", "sk"].iter().filter_map(|name| self.attributes.get(*name)?.as_s().ok()).cloned();
        StoreError::Corrupt {
            table: self.table.to_string(),
            key: key.collect::<Vec<_>>().join("/"),
            why: why.to_string(),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, StoreError> {
        self.optional_text(name)?.ok_or_else(|| self.corrupt(format!("'{name}' is missing")))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, StoreError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.corrupt(format!("'{name}' is not a string"))),
        }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.optional_number(name)?.ok_or_else(|| self.corrupt(format!("'{name}' is missing")))
    }

    pub(super) fn optional_number<T: FromStr>(&self, name: &str) -> Result<Option<T>, StoreError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(text)) => {
                text.parse().map(Some).map_err(|_| self.corrupt(format!("'{name}' is out of its range")))
            }
            Some(_) => Err(self.corrupt(format!("'{name}' is not a number"))),
        }
    }

    pub(super) fn bytes(&self, name: &str) -> Result<&[u8], StoreError> {
        self.optional_bytes(name)?.ok_or_else(|| self.corrupt(format!("'{name}' is missing")))
    }

    pub(super) fn optional_bytes(&self, name: &str) -> Result<Option<&[u8]>, StoreError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(AttributeValue::B(bytes)) => Ok(Some(bytes.as_ref())),
            Some(_) => Err(self.corrupt(format!("'{name}' is not binary"))),
        }
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(name)?.ok_or_else(|| self.corrupt(format!("'{name}' is missing")))
    }

    pub(super) fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let millis: Option<i64> = self.optional_number(name)?;
        millis.map(|millis| Timestamp::from_millis(millis).map_err(|error| self.corrupt(error))).transpose()
    }

    /// Parses a string attribute.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|error| self.corrupt(format!("'{name}' is {error}")))
    }

    /// Parses a JSON attribute.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        self.optional_json(name)?.ok_or_else(|| self.corrupt(format!("'{name}' is missing")))
    }

    /// Parses a JSON attribute that contains secrets. The error does not quote it.
    pub(super) fn secret_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.corrupt(format!("'{name}' is not the expected JSON, at line {line} column {column}"))
        })
    }

    pub(super) fn optional_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.optional_text(name)?
            .map(|text| serde_json::from_str(text).map_err(|error| self.corrupt(format!("'{name}' is {error}"))))
            .transpose()
    }
}

/// A row to write.
pub(super) struct NewRow(Attributes);

impl NewRow {
    pub(super) fn new(pk: impl Into<String>, sk: impl fmt::Display) -> Self {
        let mut row = Self(Attributes::new());
        row.set("pk", text(pk));
        row.set("sk", text(sk.to_string()));
        row.set("v", number(FIRST_FORMAT));
        row
    }

    /// Marks the row with a later format, so that older processes refuse it.
    pub(super) fn in_format(mut self, format: u32) -> Self {
        debug_assert!(format <= FORMAT, "no process could read the row");
        self.set("v", number(format));
        self
    }

    pub(super) fn set(&mut self, name: &str, value: AttributeValue) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn set_some(&mut self, name: &str, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(super) fn into_attributes(self) -> Attributes {
        self.0
    }
}

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn time(time: Timestamp) -> AttributeValue {
    number(time.as_millis())
}

pub(super) fn bytes(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// A value as JSON, which all types of the model support.
pub(super) fn json<T: serde::Serialize>(value: &T) -> AttributeValue {
    text(serde_json::to_string(value).unwrap_or_default())
}
