//! The argument that names a Schedule.

use std::convert::Infallible;

use anyhow::bail;
use tasklane_client::{Client, HowMany, Query};
use tasklane_model::ObjectId;

use super::task_arg::IdPrefix;

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ScheduleArg {
    /// The Schedule's name or id, or the first digits of its id, at least 6
    #[arg(value_name = "SCHEDULE", value_parser = wanted)]
    schedule: Wanted,
}

/// What was typed for a Schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Id(ObjectId),
    Named(String),
}

fn wanted(text: &str) -> Result<Wanted, Infallible> {
    Ok(text.parse().map_or_else(|_| Wanted::Named(text.to_owned()), Wanted::Id))
}

impl ScheduleArg {
    /// The id of the Schedule. A whole id is not looked up; a name goes before the first digits of an id.
    ///
    /// # Errors
    /// When there is no such Schedule, or more than one.
    pub(super) async fn resolve(&self, client: &Client) -> anyhow::Result<ObjectId> {
        let text = match &self.schedule {
            Wanted::Id(id) => return Ok(*id),
            Wanted::Named(text) => text,
        };
        let named = client.schedules(Query::new().eq("name", text), HowMany::First(2)).await?.parse()?;
        let (found, how) = match text.parse::<IdPrefix>() {
            Ok(prefix) if named.is_empty() => {
                let found = client.schedules(prefix.query(), HowMany::First(2)).await?.parse()?;
                (found, "an id that begins with")
            }
            _ => (named, "the name"),
        };
        match found.as_slice() {
            [schedule] => Ok(schedule.value.id),
            [] => bail!("there is no Schedule with the name '{text}'; `tasklane schedules list` shows all"),
            [one, two, ..] => bail!(
                "more than one Schedule has {how} '{text}': {} ({}), {} ({}), …; give the id of one",
                one.value.id,
                one.value.function_name,
                two.value.id,
                two.value.function_name
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_id_is_a_name() {
        let id = "0123456789abcdef01234567";
        assert_eq!(wanted(id), Ok(Wanted::Id(id.parse().unwrap())));
        for name in ["nightly", "0123456789abcdef0123456", "deadbeef"] {
            assert_eq!(wanted(name), Ok(Wanted::Named(name.to_owned())));
        }
    }
}
