//! Queries that a client encoded one more time, as a whole or condition by condition.
//!
//! Upstream decodes every query once before it reads it, because some HTTP clients encode whatever they are given. Here
//! encoded characters are data, so that `eq(name,a%2Cb)` differs from `eq(name,a,b)`. Only a query that cannot be read that
//! way is decoded first.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tasklane_model::Result;

use super::{Query, Schema, resolve};

/// Reads a query as it was sent, or else decoded. If both fail, the error is the one for the query as it was sent.
pub(super) fn read(raw: &str, schema: &Schema) -> Result<Query> {
    let error = match resolve::read(raw, schema) {
        Ok(query) => return Ok(query),
        Err(error) => error,
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
    let by_condition = || {
        let mut conditions = Vec::new();
        for condition in raw.split('&') {
            conditions.push(match resolve::read(condition, schema) {
                Ok(_) => condition.to_owned(),
                Err(_) => decoded(condition)?,
            });
        }
        Some(conditions.join("&"))
    };
    let as_a_whole = || decoded(raw);
    let readings: [&dyn Fn() -> Option<String>; 2] = [&by_condition, &as_a_whole];
    let readings = readings.into_iter().filter(|_| raw.contains('%')).filter_map(|reading| reading());
    for text in readings {
        if let Ok(query) = resolve::read(&text, schema) {
            return Ok(Query { text: raw.trim_start_matches('?').to_owned(), ..query });
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Query {
        Query::parse(raw, &Schema::TASKS).unwrap_or_else(|error| panic!("{raw}: {error}"))
    }

    fn same(encoded: &str, plain: &str) {
        let (encoded_query, plain) = (parse(encoded), parse(plain));
        assert_eq!(encoded_query.text, encoded);
        assert_eq!(Query { text: String::new(), ..encoded_query }, Query { text: String::new(), ..plain }, "{encoded}");
    }

    #[test]
    fn a_query_that_was_encoded_once_more_means_the_same() {
        for (encoded, plain) in [
            ("eq%28functionName%2Cecho%29", "eq(functionName,echo)"),
            ("eq%28functionName%2Cecho%29%26limit%281%29", "eq(functionName,echo)&limit(1)"),
            ("functionName%3Decho", "functionName=echo"),
            ("functionName%3D%3Decho", "functionName==echo"),
            ("functionName%21%3Decho", "functionName!=echo"),
            ("priority%3E%3D0&eq(functionName,echo)", "priority>=0&eq(functionName,echo)"),
            ("data.s%3E%3Dx", "data.s>=x"),
            ("data.s%3c%3dx", "data.s<=x"),
            ("limit%281%29&functionName=a%2Cb", "limit(1)&functionName=a%2Cb"),
            ("sort%28-priority%29&like%28data.s%2Cx%29", "sort(-priority)&like(data.s,x)"),
            // The SDK encodes twice; this is encoded a third time.
            ("eq%28data.s%2Ca%25252Cb%29", "eq(data.s,a%252Cb)"),
            ("or%28eq%28status%2Cnew%29%2Ceq%28status%2Cfailed%29%29", "or(eq(status,new),eq(status,failed))"),
        ] {
            same(encoded, plain);
        }
    }

    #[test]
    fn a_query_that_can_be_read_as_it_was_sent_is_not_decoded() {
        for raw in ["eq(data.s,a%2Cb)", "eq(data.s,%28x%29)", "data.s=a%26b", "eq(data.s,%22x%22)"] {
            assert_eq!(parse(raw), resolve::read(raw, &Schema::TASKS).unwrap());
        }
    }

    #[test]
    fn the_error_is_about_the_query_as_it_was_sent() {
        for raw in ["eq%28functionName", "nonsense(%41)", "%ff%28"] {
            let told = Query::parse(raw, &Schema::TASKS).unwrap_err();
            assert_eq!(told.message(), resolve::read(raw, &Schema::TASKS).unwrap_err().message());
        }
    }
}
