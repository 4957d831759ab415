//! Parts that the whole document and the description of one endpoint share.

use std::collections::BTreeMap;

use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, schema::Schema},
};

/// The schemas that descriptions refer to, by name.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The name of OAuth 1.0a among the document's security schemes.
pub const OAUTH1: &str = "oauth1";
/// The name of bearer tokens among the document's security schemes.
pub const BEARER: &str = "bearer";

/// Adds the schema of `T` to `schemas`, and refers to it.
pub fn reference<T: ToSchema>(schemas: &mut Schemas) -> Ref {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    schemas.extend(found);
    Ref::from_schema_name(T::name())
}
