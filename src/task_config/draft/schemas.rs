//! The properties `dataSchema` and `resultSchema`.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tasklane_model::{Json, JsonSchema};

use super::{Check, Draft};
use crate::ConfigError;

/// The properties, of which each is a schema or the file that has it.
pub(in super::super) const PROPERTIES: [&str; 2] = ["dataSchema", "resultSchema"];

/// The largest file that is read: a schema may be shorter without its white space, but not that much.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The schemas in a file, as they are written: as values, their numbers would lose digits.
#[derive(Debug, Default)]
pub(super) struct WrittenSchemas(BTreeMap<String, Json>);

impl WrittenSchemas {
    /// Those in the file's text.
    pub(super) fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            data_schema: Option<Box<RawValue>>,
            result_schema: Option<Box<RawValue>>,
        }
        let Ok(written) = serde_json::from_str::<Written>(text) else { return Self::default() };
        let named = PROPERTIES.into_iter().zip([written.data_schema, written.result_schema]);
        Self(named.filter_map(|(name, raw)| Some((name.to_owned(), Json::from(&*raw?)))).collect())
    }
}

/// The schemas of one Function, as its file gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Schemas {
    /// What its data looks like, if the file says so.
    pub data: Option<JsonSchema>,
    /// What its results look like, if the file says so.
    pub result: Option<JsonSchema>,
}

impl Draft {
    /// The name and the schemas alone, without a look at the rest: the code need not be built, nor its variables be set.
    ///
    /// # Errors
    /// All problems with these.
    pub fn schemas(self) -> Result<(tasklane_model::FunctionName, Schemas), ConfigError> {
        let mut check = Check { from_variables: self.from_variables, problems: Vec::new() };
        let name = check.required(&self.properties, "name", |check, value| {
            check.parsed("name", value, |text| tasklane_model::FunctionName::parse(text))
        });
        let places = (self.base.as_path(), self.confines.as_deref());
        let [data, result] = PROPERTIES.map(|name| {
            check.optional(&self.properties, name, |check, value| check.schema(name, value, &self.schemas, places))
        });
        match name {
            Some(name) if check.problems.is_empty() => {
                Ok((name, Schemas { data: data.flatten(), result: result.flatten() }))
            }
            _ => Err(ConfigError { place: self.place, problems: check.problems }),
        }
    }
}

impl Check {
    /// `Some(None)` if it is to be removed. A string is the path of a file, relative to the folder of the configuration and, if
    /// code from elsewhere is not to be read, within the second one of `places`.
    pub(super) fn schema(
        &mut self,
        property: &str,
        value: &Value,
        written: &WrittenSchemas,
        places: (&Path, Option<&Path>),
    ) -> Option<Option<JsonSchema>> {
        let parsed = match value {
            Value::Null => return Some(None),
            Value::String(path) => self.schema_file(property, path, places)?,
            // A property that was set by other means is not in the file.
            value => written.0.get(property).cloned().unwrap_or_else(|| Json::from(value.clone())),
        };
        let of_file = value.as_str().map(|path| format!("leads to {path}, which ")).unwrap_or_default();
        match JsonSchema::parse(&parsed) {
            Ok(schema) => Some(Some(schema)),
            Err(rule) => self.refuse(property, format!("{of_file}{rule}")),
        }
    }

    fn schema_file(&mut self, property: &str, path: &str, (base, confines): (&Path, Option<&Path>)) -> Option<Json> {
        let file = base.join(path);
        if file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
            return self.refuse(property, format!("leads to {path}: it must be a schema, or the path of a .json file"));
        }
        let refuse =
            |check: &mut Self, fault: String| check.refuse(property, format!("leads to {path}, which {fault}"));
        let text = match read(&file) {
            Ok(Some(text)) => text,
            Ok(None) => return refuse(self, "is larger than a schema may be".to_owned()),
            Err(error) => return refuse(self, format!("cannot be read: {error}")),
        };
        if let Some(confines) = confines {
            match (file.canonicalize(), confines.canonicalize()) {
                (Ok(real), Ok(confines)) if real.starts_with(&confines) => {}
                _ => return refuse(self, "is outside of the folder; use --allow-outside to allow that".to_owned()),
            }
        }
        // Editors on Windows write a byte order mark, which is not JSON.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Json::parse(text.trim().to_owned()).map_or_else(|error| refuse(self, format!("is not JSON: {error}")), Some)
    }
}

/// The text of a file; `None` if it is too large.
fn read(file: &Path) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    Ok((read as u64 <= LARGEST_FILE).then_some(text))
}
