//! A range of time in a request's query: `from`, `to` and `step`.

use std::time::Duration;

use tasklane_model::{Error, ErrorKind, Result, StatsRange, Timestamp};
use utoipa::{
    PartialSchema,
    openapi::{
        RefOr, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    head::Head,
    params::{Params, parameter},
};

/// A range of time, in steps (15).
#[derive(Debug)]
pub struct Range {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    step: Duration,
    per_function: bool,
}

const MINUTE: u64 = 60;
const HOUR: Duration = Duration::from_secs(60 * MINUTE);
const LONGEST_STEP: u64 = 7 * 24 * 60 * MINUTE;

impl Range {
    /// The range for a caller who asks now: the last hour by default. The first step begins at a whole number of steps.
    pub fn until(&self, now: Timestamp) -> StatsRange {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or_else(|| to.saturating_sub(HOUR));
        let step = i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX).max(1);
        let from = Timestamp::saturating_from_millis(from.as_millis() / step * step);
        StatsRange { from, to, step: self.step, per_function: self.per_function }
    }
}

impl Params for Range {
    fn read(head: &Head) -> Result<Self> {
        let moment = |name: &str| match parameter(head, name) {
            None => Ok(None),
            Some(value) => {
                // A colon may arrive encoded.
                let value = value.replace("%3A", ":").replace("%3a", ":");
                let wrong = || format!("The parameter '{name}' must be a time such as 2026-01-31T08:15:30.123Z.");
                value.parse().map(Some).map_err(|_| Error::new(ErrorKind::FieldFormat, wrong()))
            }
        };
        let step = match parameter(head, "step") {
            None => Some(MINUTE),
            Some(value) => {
                value.parse().ok().filter(|step| (MINUTE..=LONGEST_STEP).contains(step) && step % MINUTE == 0)
            }
        };
        let step = step.ok_or_else(|| {
            let message = format!(
                "The parameter 'step' must be a number of seconds from {MINUTE} to {LONGEST_STEP}: whole minutes, such as 3600."
            );
            Error::new(ErrorKind::FieldFormat, message)
        })?;
        let per_function = match parameter(head, "perFunction") {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                let message = "The parameter 'perFunction' must be true or false.";
                return Err(Error::new(ErrorKind::FieldFormat, message));
            }
        };
        Ok(Self { from: moment("from")?, to: moment("to")?, step: Duration::from_secs(step), per_function })
    }

    fn parameters(_: &str) -> Vec<Parameter> {
        let step = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(MINUTE))
            .maximum(Some(LONGEST_STEP))
            .multiple_of(Some(MINUTE));
        vec![
            query("from", "Where the first step begins. Default: an hour before `to`.", Timestamp::schema()),
            query("to", "Where the range ends. Default: now.", Timestamp::schema()),
            query("step", "How long a step is, in seconds: whole minutes. Default: 60.", step),
            query(
                "perFunction",
                "Whether each Function is counted on its own. Default: true.",
                ObjectBuilder::new().schema_type(Type::Boolean),
            ),
        ]
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::FieldFormat]
    }
}

fn query(name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}
