use super::*;
pub(super) fn read(_raw: &str, _schema: &Schema) -> model::Result<Query> {
    Err(model::Error::invalid_rql(""))
}
