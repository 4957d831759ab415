//! Values that handlers read from a request's path and query.

use std::marker::PhantomData;

use tasklane_model::{
    Error, ErrorKind, FunctionName, ObjectId, Result, UploadId, VersionNumber, limits::InvalidVersionNumber, shorten,
};
use tasklane_rql::{FunctionLogBounds, Query, RunLogBounds};
use utoipa::{
    PartialSchema,
    openapi::{
        RefOr, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::head::Head;

/// A value that is read from a request's head.
pub trait Params: Sized + Send + 'static {
    fn read(head: &Head) -> Result<Self>;

    /// The Function to run, if the request names one, so that access to it can be checked before the body is read.
    fn function(&self) -> Option<&str> {
        None
    }

    /// Its description in the API document. `path_name` is the name of the `{…}` in the endpoint's path.
    fn parameters(path_name: &str) -> Vec<Parameter>;

    /// The errors of reading it.
    fn errors() -> Vec<ErrorKind>;
}

/// The id in the path (12).
#[derive(Debug)]
pub struct Id(pub ObjectId);

/// The Function's name in the path. The service finds out whether the Function exists.
#[derive(Debug)]
pub struct Name(pub String);

/// The Function's name and the number of one of its versions in the path (15). The service finds out whether they exist.
#[derive(Debug)]
pub struct NamedVersion(pub String, pub VersionNumber);

/// The id of an upload in the path (1503 for one that cannot exist).
#[derive(Debug)]
pub struct UploadInPath(pub UploadId);

/// The scheme and host by which the client reached the service.
#[derive(Debug)]
pub struct ServiceUrl(pub String);

/// Whether a change of a credential also applies to its descendants (26).
#[derive(Debug)]
pub struct WithDescendants(pub bool);

/// A list of records that can be queried with RQL.
pub trait Listed: Send + 'static {
    /// The fields of a record.
    const SCHEMA: tasklane_rql::Schema;
    /// A condition, for the API document.
    const CONDITION: &'static str = "eq(status,failed)";
    /// A usual order, for the API document; `None` if the list has an order of its own, and only whole records.
    const ORDER: Option<&'static str> = Some("-creationTimestamp");
}

/// The RQL of a list (19).
#[derive(Debug)]
pub struct Rql<L> {
    pub query: Query,
    list: PhantomData<fn() -> L>,
}

/// The conditions of a list's RQL, and nothing else of it (19).
#[derive(Debug)]
pub struct Conditions<L> {
    pub query: Query,
    list: PhantomData<fn() -> L>,
}

/// The RQL of a run's logs (19).
#[derive(Debug)]
pub struct RunLogRql(pub RunLogBounds);

/// How many seconds the caller wants to wait: `wait` (15).
#[derive(Debug)]
pub struct Wait(pub u8);

/// How many occurrences of a Schedule the caller wants: `count` (15).
#[derive(Debug)]
pub struct Count(pub u8);

/// The RQL of a Function's logs (19, 20).
#[derive(Debug)]
pub struct FunctionLogRql(pub FunctionLogBounds);

/// A query that is only repeated in the response.
#[derive(Debug)]
pub struct UnreadQuery(pub String);

impl Params for () {
    fn read(_: &Head) -> Result<Self> {
        Ok(())
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        vec![]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

impl<A: Params, B: Params> Params for (A, B) {
    fn read(head: &Head) -> Result<Self> {
        Ok((A::read(head)?, B::read(head)?))
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        [A::parameters(path_name), B::parameters(path_name)].concat()
    }

    fn errors() -> Vec<ErrorKind> {
        [A::errors(), B::errors()].concat()
    }
}

impl Params for Id {
    fn read(head: &Head) -> Result<Self> {
        let text = head.path_value();
        text.parse().map(Self).map_err(|_| Error::id_format(&text))
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        vec![in_path(path_name, "Its id.", ObjectId::schema())]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::IdFormat]
    }
}

impl Params for UploadInPath {
    fn read(head: &Head) -> Result<Self> {
        UploadId::parse(head.path_value()).map(Self).map_err(|_| {
            let message = format!("There is no upload '{}'.", shorten(&head.path_value()));
            Error::new(ErrorKind::UploadUnknown, message)
        })
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        vec![in_path(path_name, "The upload's id.", UploadId::schema())]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::UploadUnknown]
    }
}

impl Params for ServiceUrl {
    fn read(head: &Head) -> Result<Self> {
        Ok(Self(head.service_url()))
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        vec![]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

impl Params for Name {
    fn read(head: &Head) -> Result<Self> {
        Ok(Self(head.path_value().into_owned()))
    }

    fn function(&self) -> Option<&str> {
        Some(&self.0)
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        vec![in_path(path_name, "The Function's name.", FunctionName::schema())]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

impl Params for NamedVersion {
    fn read(head: &Head) -> Result<Self> {
        let number = head.second_path_value().parse().ok().and_then(|number| VersionNumber::new(number).ok());
        let invalid = || Error::field_format("version", InvalidVersionNumber);
        Ok(Self(head.path_value().into_owned(), number.ok_or_else(invalid)?))
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        let version = in_path("version", "The number of the version.", VersionNumber::schema());
        [Name::parameters(path_name), vec![version]].concat()
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::FieldFormat]
    }
}

impl Params for WithDescendants {
    fn read(head: &Head) -> Result<Self> {
        let value = head.query().split('&').find_map(|pair| match pair.split_once('=').unwrap_or((pair, "")) {
            ("descendants", value) => Some(value),
            _ => None,
        });
        match value {
            None | Some("false") => Ok(Self(false)),
            Some("true") => Ok(Self(true)),
            Some(_) => {
                Err(Error::new(ErrorKind::IllegalArgument, "The parameter 'descendants' must be true or false."))
            }
        }
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let about = "Whether to revoke its descendants as well: the credentials that were created with it, and the \
                     credentials that were created with those. Default: false.";
        let parameter = ParameterBuilder::new()
            .name("descendants")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(about))
            .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean)));
        vec![parameter.build()]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::IllegalArgument]
    }
}

impl Params for Wait {
    fn read(head: &Head) -> Result<Self> {
        let seconds = match parameter(head, "wait") {
            None => Some(0),
            Some(value) => value.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT),
        };
        seconds.map(Self).ok_or_else(|| {
            let message = format!("The parameter 'wait' must be a whole number of seconds from 0 to {LONGEST_WAIT}.");
            Error::new(ErrorKind::FieldFormat, message)
        })
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(LONGEST_WAIT));
        let parameter = ParameterBuilder::new()
            .name("wait")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(
                "How many seconds to wait for the end of the Task. The service may wait less. Default: 0.",
            ))
            .schema(Some(schema));
        vec![parameter.build()]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::FieldFormat]
    }
}

/// The most seconds that a caller may ask to wait.
const LONGEST_WAIT: u8 = 25;

/// How many occurrences are listed if the caller does not say, and at most.
const COUNT: (u8, u8) = (10, 100);

impl Params for Count {
    fn read(head: &Head) -> Result<Self> {
        let (default, most) = COUNT;
        let count = match parameter(head, "count") {
            None => Some(default),
            Some(value) => value.parse().ok().filter(|count| (1..=most).contains(count)),
        };
        count.map(Self).ok_or_else(|| {
            let message = format!("The parameter 'count' must be a whole number from 1 to {most}.");
            Error::new(ErrorKind::FieldFormat, message)
        })
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let (default, most) = COUNT;
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most));
        let parameter = ParameterBuilder::new()
            .name("count")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(format!("How many, at most. Default: {default}.")))
            .schema(Some(schema));
        vec![parameter.build()]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::FieldFormat]
    }
}

/// The value of a parameter of the query string.
pub(super) fn parameter<'a>(head: &'a Head, wanted: &str) -> Option<&'a str> {
    let pairs = head.query().split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

impl<L: Listed> Params for Rql<L> {
    fn read(head: &Head) -> Result<Self> {
        Query::parse(head.query(), &L::SCHEMA).map(|query| Self { query, list: PhantomData })
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let condition = L::CONDITION;
        let order = L::ORDER.map(|order| format!("`sort({order})`, `select(id)`, ")).unwrap_or_default();
        let about = format!(
            "RQL, the whole query string: conditions such as `{condition}`, {order}`limit(20,40)`, `skipCount()`, joined by \
             `&`. A page holds at most 50 records. Default: the first 20.",
        );
        let order = L::ORDER.map(|order| format!("&sort({order})")).unwrap_or_default();
        vec![query_string(&about, false, &format!("{condition}{order}&limit(10)"))]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::InvalidRql]
    }
}

impl<L: Listed> Params for Conditions<L> {
    fn read(head: &Head) -> Result<Self> {
        let query = Query::parse(head.query(), &L::SCHEMA)?;
        if !query.is_filter_only() {
            let message = "Only conditions are possible here, without sort(), limit(), select() and skipCount().";
            return Err(Error::invalid_rql(message));
        }
        Ok(Self { query, list: PhantomData })
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let condition = L::CONDITION;
        let about = format!("RQL, the whole query string: conditions such as `{condition}`, joined by `&`.");
        vec![query_string(&about, false, condition)]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::InvalidRql]
    }
}

impl Params for RunLogRql {
    fn read(head: &Head) -> Result<Self> {
        tasklane_rql::run_log_bounds(head.query()).map(Self)
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let about = "RQL, the whole query string: optionally `ge(timestamp,…)` and `limit(…)`.";
        vec![query_string(about, false, "ge(timestamp,2026-01-31T08:15:30.123Z)&limit(50)")]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::InvalidRql]
    }
}

impl Params for FunctionLogRql {
    fn read(head: &Head) -> Result<Self> {
        tasklane_rql::function_log_bounds(head.query()).map(Self)
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let about = "RQL, the whole query string: a lower and an upper bound of `eventTimestamp`, at most 24 hours apart, \
                     and optionally `limit(…)`.";
        let example = "ge(eventTimestamp,2026-01-31T08:00:00.000Z)&le(eventTimestamp,2026-01-31T09:00:00.000Z)";
        vec![query_string(about, true, example)]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::InvalidRql, ErrorKind::EmptyRql]
    }
}

impl Params for UnreadQuery {
    fn read(head: &Head) -> Result<Self> {
        Ok(Self(head.query().to_owned()))
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        vec![]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

fn in_path(name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// RQL is the query string itself, not the value of a parameter in it. OpenAPI 3.1 can only describe the latter.
fn query_string(about: &str, required: bool, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name("rql")
        .parameter_in(ParameterIn::Query)
        .required(if required { Required::True } else { Required::False })
        .description(Some(format!("{about} Write it right after the `?`, without `rql=`.")))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(example.into()))
        .build()
}
