//! Compiled schemas, which many Tasks are checked with.

use std::{collections::HashMap, sync::Arc};

use tasklane_model::{CompiledSchema, Error, Function, Json, JsonSchema, Result};
use tasklane_runtime::lock::Lock;

/// The most that are kept. A compiled schema of 16 KB takes a megabyte or so at most.
const MOST_KEPT: usize = 32;

/// The compiled schemas that were used last, by their text.
#[derive(Default)]
pub struct CompiledSchemas {
    kept: Lock<Kept>,
}

#[derive(Default)]
struct Kept {
    schemas: HashMap<String, (Arc<CompiledSchema>, u64)>,
    /// How often one was asked for.
    uses: u64,
}

impl CompiledSchemas {
    /// Checks data for a Function by its schema, if it has one; absent data counts as `null`. 15, with the places that do not
    /// fit and without any value of the data.
    pub fn check(&self, function: &Function, data: Option<&Json>) -> Result<()> {
        let Some(schema) = &function.data_schema else { return Ok(()) };
        self.compiled(schema)?.check(data).map_err(|misfit| {
            let absent = if data.is_none() { "is absent, and " } else { "" };
            let name = &function.name;
            Error::field_format("data", format!("{absent}does not fit the schema of the function '{name}': {misfit}"))
        })
    }

    fn compiled(&self, schema: &JsonSchema) -> Result<Arc<CompiledSchema>> {
        let text = schema.as_json().as_str();
        if let Some(kept) = self.kept.lock().used(text) {
            return Ok(kept);
        }
        // Without the lock, because it takes a while. Others may do it, too.
        let compiled = Arc::new(schema.compile().map_err(Error::internal)?);
        self.kept.lock().keep(text, &compiled);
        Ok(compiled)
    }
}

impl Kept {
    fn used(&mut self, text: &str) -> Option<Arc<CompiledSchema>> {
        self.uses += 1;
        let (schema, last) = self.schemas.get_mut(text)?;
        *last = self.uses;
        Some(Arc::clone(schema))
    }

    fn keep(&mut self, text: &str, schema: &Arc<CompiledSchema>) {
        if self.schemas.len() >= MOST_KEPT {
            let oldest = self.schemas.iter().min_by_key(|(_, (_, last))| *last).map(|(text, _)| text.clone());
            if let Some(oldest) = oldest {
                self.schemas.remove(&oldest);
            }
        }
        self.schemas.insert(text.to_owned(), (Arc::clone(schema), self.uses));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(number: usize) -> JsonSchema {
        JsonSchema::parse(&Json::parse(format!(r#"{{"const":{number}}}"#)).unwrap()).unwrap()
    }

    #[test]
    fn a_schema_is_compiled_once_and_the_last_used_ones_are_kept() {
        let schemas = CompiledSchemas::default();
        let first = schemas.compiled(&schema(0)).unwrap();
        for number in 1..MOST_KEPT * 3 {
            schemas.compiled(&schema(number)).unwrap();
            assert!(Arc::ptr_eq(&first, &schemas.compiled(&schema(0)).unwrap()), "{number}");
        }
        let kept = schemas.kept.lock();
        assert_eq!(kept.schemas.len(), MOST_KEPT);
        assert!(!kept.schemas.contains_key(schema(1).as_json().as_str()));
    }
}
