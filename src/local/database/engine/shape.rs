//! The shapes of tables, which dynoxide keeps in the table `_tables`.

use aws_sdk_dynamodb::types::AttributeValue;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Deserialize;

use super::{Fault, item::Attributes};

/// A table whose rows this engine can read and write: with strings as its keys, and without streams, local indexes or vectors.
pub(super) struct Table {
    pub(super) key: KeyNames,
    pub(super) indexes: Vec<Index>,
    pub(super) sql: TableSql,
}

/// The names of the attributes of a key.
#[derive(Clone, PartialEq)]
pub(super) struct KeyNames {
    pub(super) partition: String,
    pub(super) sort: Option<String>,
}

/// A global secondary index.
pub(super) struct Index {
    pub(super) name: String,
    pub(super) key: KeyNames,
    projected: Projected,
    pub(super) sql: IndexSql,
}

enum Projected {
    All,
    /// The keys and these.
    Only(Vec<String>),
}

/// The key of an item, as dynoxide writes it into rows: with its type in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) partition: String,
    /// Empty if the table has no sort key.
    pub(super) sort: String,
}

/// The statements of a table.
pub(super) struct TableSql {
    pub(super) get: String,
    pub(super) insert: String,
    pub(super) update: String,
    pub(super) delete: String,
    /// What a query selects, up to its conditions.
    pub(super) select: String,
}

/// The statements of an index.
pub(super) struct IndexSql {
    pub(super) insert: String,
    pub(super) update: String,
    pub(super) delete: String,
    pub(super) select: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyPart {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeType {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexShape {
    index_name: String,
    key_schema: Vec<KeyPart>,
    projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projection {
    projection_type: Option<String>,
    #[serde(default)]
    non_key_attributes: Option<Vec<String>>,
}

impl Table {
    /// Reads the shape of this table. `None` if there is none, or if it has something that this engine does not know.
    pub(super) fn read(connection: &Connection, name: &str) -> Result<Option<Self>, Fault> {
        const SQL: &str = "SELECT key_schema, attribute_definitions, gsi_definitions FROM _tables \
             WHERE table_name = ?1 AND table_status = 'ACTIVE' AND coalesce(stream_enabled, 0) = 0 \
             AND coalesce(lsi_definitions, '[]') = '[]' AND coalesce(vector_index_definitions, '[]') = '[]'";
        let found = connection
            .query_row(SQL, [name], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
            })
            .optional()?;
        let Some((key, attributes, indexes)) = found else { return Ok(None) };
        Ok(Self::of(name, &key, &attributes, indexes.as_deref().unwrap_or("[]")))
    }

    fn of(name: &str, key: &str, attributes: &str, indexes: &str) -> Option<Self> {
        let key = KeyNames::of(&serde_json::from_str::<Vec<KeyPart>>(key).ok()?)?;
        let attributes: Vec<AttributeType> = serde_json::from_str(attributes).ok()?;
        let indexes: Vec<IndexShape> = serde_json::from_str(indexes).ok()?;
        let indexes = indexes.into_iter().map(|index| Index::of(name, index)).collect::<Option<Vec<_>>>()?;
        let are_strings = |key: &KeyNames| {
            key.names()
                .all(|name| attributes.iter().any(|other| other.attribute_name == *name && other.attribute_type == "S"))
        };
        if !are_strings(&key) || !indexes.iter().all(|index| are_strings(&index.key)) {
            return None;
        }
        Some(Self { key, indexes, sql: TableSql::of(name) })
    }

    pub(super) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

impl KeyNames {
    fn of(parts: &[KeyPart]) -> Option<Self> {
        match parts {
            [partition] if partition.key_type == "HASH" => {
                Some(Self { partition: partition.attribute_name.clone(), sort: None })
            }
            [partition, sort] if partition.key_type == "HASH" && sort.key_type == "RANGE" => {
                Some(Self { partition: partition.attribute_name.clone(), sort: Some(sort.attribute_name.clone()) })
            }
            _ => None,
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        [&self.partition].into_iter().chain(&self.sort)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|other| other == name)
    }

    /// The key of this item. `None` if an attribute of it is missing, empty or no string.
    pub(super) fn in_item(&self, item: &Attributes) -> Option<Key> {
        let part = |name: &str| match item.get(name) {
            Some(AttributeValue::S(text)) if !text.is_empty() => Some(stored(text)),
            _ => None,
        };
        let sort = match &self.sort {
            Some(sort) => part(sort)?,
            None => String::new(),
        };
        Some(Key { partition: part(&self.partition)?, sort })
    }

    /// The key of a request, which holds nothing else.
    pub(super) fn alone(&self, key: &Attributes) -> Option<Key> {
        if key.len() == self.names().count() { self.in_item(key) } else { None }
    }
}

/// A string as dynoxide writes it into the columns of keys.
pub(super) fn stored(text: &str) -> String {
    format!("S:{text}")
}

impl Index {
    fn of(table: &str, shape: IndexShape) -> Option<Self> {
        let projected = match (shape.projection.projection_type.as_deref(), shape.projection.non_key_attributes) {
            (Some("ALL"), None) => Projected::All,
            (Some("KEYS_ONLY"), None) => Projected::Only(Vec::new()),
            (Some("INCLUDE"), Some(attributes)) => Projected::Only(attributes),
            _ => return None,
        };
        let sql = IndexSql::of(table, &shape.index_name);
        Some(Self { key: KeyNames::of(&shape.key_schema)?, name: shape.index_name, projected, sql })
    }

    /// Whether the index can hold this item, or does not have to: an attribute of its key that is there must be a string,
    /// and not an empty one.
    pub(super) fn accepts(&self, item: &Attributes) -> bool {
        self.key.names().all(|name| match item.get(name) {
            None => true,
            Some(AttributeValue::S(text)) => !text.is_empty(),
            Some(_) => false,
        })
    }

    /// Whether the index has this attribute of the table's items.
    fn projects(&self, table: &KeyNames, name: &str) -> bool {
        match &self.projected {
            Projected::All => true,
            Projected::Only(names) => {
                table.has(name) || self.key.has(name) || names.iter().any(|projected| projected == name)
            }
        }
    }

    /// What the index has of an item.
    pub(super) fn entry<'a>(
        &self,
        table: &KeyNames,
        item: &'a Attributes,
    ) -> impl Iterator<Item = (&'a String, &'a AttributeValue)> {
        item.iter().filter(|(name, _)| self.projects(table, name))
    }

    /// Whether the index has the same of both items.
    pub(super) fn has_the_same_of(&self, table: &KeyNames, one: &Attributes, other: &Attributes) -> bool {
        self.entry(table, one).count() == self.entry(table, other).count()
            && self.entry(table, one).all(|(name, value)| other.get(name) == Some(value))
    }
}

impl TableSql {
    fn of(table: &str) -> Self {
        let table = quoted(table);
        Self {
            get: format!("SELECT item_json FROM {table} WHERE pk = ?1 AND sk = ?2"),
            insert: format!(
                "INSERT INTO {table} (pk, sk, item_json, item_size, hash_prefix) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            update: format!("UPDATE {table} SET item_json = ?3, item_size = ?4 WHERE pk = ?1 AND sk = ?2"),
            delete: format!("DELETE FROM {table} WHERE pk = ?1 AND sk = ?2"),
            select: format!("SELECT sk, item_json FROM {table} WHERE pk = ?1"),
        }
    }
}

impl IndexSql {
    fn of(table: &str, index: &str) -> Self {
        let table = quoted(&format!("{table}::gsi::{index}"));
        let entry = "gsi_pk = ?1 AND gsi_sk = ?2 AND table_pk = ?3 AND table_sk = ?4";
        Self {
            insert: format!(
                "INSERT INTO {table} (gsi_pk, gsi_sk, table_pk, table_sk, item_json) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            update: format!("UPDATE {table} SET item_json = ?5 WHERE {entry}"),
            delete: format!("DELETE FROM {table} WHERE {entry}"),
            select: format!("SELECT gsi_sk, item_json FROM {table} WHERE gsi_pk = ?1"),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
