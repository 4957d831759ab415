//! The argument that names a Task.

use std::str::FromStr;

use anyhow::bail;
use tasklane_client::{Client, HowMany, Query};
use tasklane_model::ObjectId;

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TaskArg {
    /// The Task's id, or its first digits, at least 6
    #[arg(value_name = "ID", required_unless_present = "last")]
    id: Option<IdPrefix>,

    /// The Task that was created last
    #[arg(long, conflicts_with = "id")]
    last: bool,
}

/// The first digits of an id, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdPrefix(String);

/// The length of an id.
const WHOLE: usize = 24;

impl FromStr for IdPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (6..=WHOLE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("must be an id of 24 hexadecimal digits, or its first 6 or more")
        }
    }
}

impl TaskArg {
    /// The id of the Task. A whole id is not looked up.
    ///
    /// # Errors
    /// When no Task has these digits, or more than one.
    pub(super) async fn resolve(&self, client: &Client) -> anyhow::Result<ObjectId> {
        match self.id.as_ref().filter(|_| !self.last) {
            Some(prefix) => prefix.resolve(client).await,
            None => newest(client).await,
        }
    }
}

/// The id of the Task that was created last.
///
/// # Errors
/// When there is none.
pub(super) async fn newest(client: &Client) -> anyhow::Result<ObjectId> {
    let newest = client.tasks(Query::new().sort_by_default("-creationTimestamp"), HowMany::First(1)).await?;
    match newest.parse()?.first() {
        Some(task) => Ok(task.value.id),
        None => bail!("there is no Task yet"),
    }
}

impl IdPrefix {
    /// The records whose id begins so.
    pub(super) fn query(&self) -> Query {
        let Self(digits) = self;
        Query::new().ge("id", format!("{digits:0<WHOLE$}")).le("id", format!("{digits:f<WHOLE$}"))
    }

    /// The id of the Task. A whole id is not looked up.
    ///
    /// # Errors
    /// When no Task has these digits, or more than one.
    pub(super) async fn resolve(&self, client: &Client) -> anyhow::Result<ObjectId> {
        let Self(digits) = self;
        if digits.len() == WHOLE {
            return Ok(digits.parse()?);
        }
        let found = client.tasks(self.query(), HowMany::First(2)).await?.parse()?;
        match found.as_slice() {
            [task] => Ok(task.value.id),
            [] => bail!("there is no Task whose id begins with {digits}"),
            [one, two, ..] => {
                bail!("more than one Task has an id that begins with {digits}: {}, {}, …", one.value.id, two.value.id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;
    use tasklane_client::testing::{Seen, Server};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        task: TaskArg,
    }

    fn typed(line: &str) -> Result<TaskArg, clap::Error> {
        Command::try_parse_from(line.split(' ')).map(|command| command.task)
    }

    /// What `ID` means if the service finds these Tasks.
    async fn resolved(line: &str, ids: &'static [&str]) -> (Result<String, String>, Vec<String>) {
        let server = Server::start(move |_: &Seen| {
            let task = |id: &&str| {
                let at = "2026-01-31T08:15:30.123Z";
                json!({ "id": id, "functionName": "hello", "status": "new", "statusChangedTimestamp": at, "tags": [],
                    "startTimestamp": at, "priority": 0, "creationTimestamp": at, "updateTimestamp": at })
            };
            let tasks: Vec<_> = ids.iter().map(task).collect();
            (200, json!({ "query": "", "page": { "total": tasks.len(), "offset": 0, "limit": 20 }, "data": tasks }))
        })
        .await;
        let found = typed(line).unwrap().resolve(&server.client()).await;
        (found.map(|id| id.to_string()).map_err(|e| e.to_string()), server.lines())
    }

    const ONE: &str = "6b0b29555d12780bbec79662";
    const TWO: &str = "6b0b29555d12780bbec79663";

    #[tokio::test]
    async fn a_task_is_named_by_its_first_digits() {
        let (found, asked) = resolved("get 6B0B29", &[ONE]).await;
        assert_eq!(found.unwrap(), ONE);
        assert!(asked[0].contains("ge(id,6b0b29000000000000000000)&le(id,6b0b29ffffffffffffffffff)"), "{asked:?}");
        let (found, asked) = resolved(&format!("get {ONE}"), &[]).await;
        assert_eq!((found.unwrap().as_str(), asked.len()), (ONE, 0), "a whole id is not looked up");
        assert_eq!(resolved("get --last", &[TWO]).await.0.unwrap(), TWO);
        assert_eq!(resolved("get abcdef", &[]).await.0.unwrap_err(), "there is no Task whose id begins with abcdef");
        assert!(resolved("get 6b0b29", &[ONE, TWO]).await.0.unwrap_err().contains("more than one Task"));
        for line in ["get", "get 12345", "get nothexa", &format!("get {ONE}0"), &format!("get {ONE} --last")] {
            assert!(typed(line).is_err(), "{line}");
        }
    }
}
