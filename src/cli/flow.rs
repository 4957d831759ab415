//! `tasklane flow`: list, set, remove.

use clap::Subcommand;
use tasklane_client::{Query, Record};
use tasklane_model::{
    Flow, FlowConcurrency, FlowKeyState, FlowPath, FlowRate, FunctionName, RateCount, RateSeconds, flow::MOST_WAITING,
};

use super::{
    Outcome, Verdict,
    functions::{self, HowManyArgs},
    input::seconds,
    session::{Remote, Session},
    table::{Layout, cell, optional},
};

/// See which keys of a Function run and wait, and change their limits.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(Remote<ListArgs>),
    Set(Remote<SetArgs>),
    Remove(Remote<RemoveArgs>),
}

/// List the keys of a Function of which something runs or waits, the busiest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane flow list hello-js")]
pub(super) struct ListArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// Only keys that match this RQL, e.g. 'gt(waiting,10)'
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,

    #[command(flatten)]
    how_many: HowManyArgs,
}

/// Let the Tasks of a Function with the same key take turns and share limits. It takes effect at once, without a new version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  One run of each tenant at once, and at most 60 a minute:
    tasklane flow set hello-js --key data.tenantId --concurrent 1 --rate 60/1m")]
pub(super) struct SetArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// Where the key of a Task is in its data
    #[arg(long, value_name = "PATH", value_parser = path)]
    key: FlowPath,

    /// How many runs with one key may be in progress at once [default: no limit]
    #[arg(long, value_name = "N", value_parser = concurrent)]
    concurrent: Option<FlowConcurrency>,

    /// How many runs with one key may start in a while: 10/1s, 60/1m [default: no limit]
    #[arg(long, value_name = "N/TIME", value_parser = rate)]
    rate: Option<FlowRate>,
}

/// Remove the flow of a Function. Its Tasks that wait for their key may run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane flow remove hello-js")]
pub(super) struct RemoveArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List(remote) => remote.run(list).await,
            Self::Set(remote) => remote.run(set).await,
            Self::Remove(remote) => remote.run(remove).await,
        }
    }
}

async fn list(session: Session, args: ListArgs) -> Outcome {
    let query = Query::new().and(args.rql.as_deref().unwrap_or_default());
    let keys = session.client.flow_keys(&args.function, query, args.how_many.into()).await?;
    session.show_listing(&keys, "keys", |keys| table(session.layout, keys))?;
    Ok(Verdict::Yes)
}

async fn set(session: Session, args: SetArgs) -> Outcome {
    let flow = Flow { key: args.key, concurrent: args.concurrent, rate: args.rate };
    let answer = session.client.set_flow(&args.function, &flow).await?;
    session.done(&answer, &format!("{}: {}", args.function, in_words(&flow)))?;
    Ok(Verdict::Yes)
}

async fn remove(session: Session, args: RemoveArgs) -> Outcome {
    let answer = session.client.remove_flow(&args.function).await?;
    session.done(&answer, &format!("{}: flow removed", args.function))?;
    Ok(Verdict::Yes)
}

/// A flow in a line.
pub(super) fn in_words(flow: &Flow) -> String {
    let mut text = format!("turns by {}", flow.key);
    if let Some(most) = flow.concurrent {
        text = format!("{text}, {most} at once");
    }
    if let Some(FlowRate { count, seconds }) = flow.rate {
        text = format!("{text}, {count} starts in {seconds} s");
    }
    text
}

fn table(layout: Layout, keys: &[Record<FlowKeyState>]) -> String {
    layout.list(
        &["KEY", "RUNNING", "WAITING", "NEXT START"],
        keys.iter().map(|Record { value, .. }| {
            let waiting = value.waiting.to_string();
            vec![
                cell(&value.key),
                cell(value.running),
                cell(if value.waiting < MOST_WAITING { waiting } else { format!("{waiting}+") }),
                optional(value.next_timestamp),
            ]
        }),
    )
}

fn path(text: &str) -> Result<FlowPath, String> {
    FlowPath::parse(text).map_err(|e| e.to_string())
}

fn concurrent(text: &str) -> Result<FlowConcurrency, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    FlowConcurrency::new(number).map_err(|e| e.to_string())
}

fn rate(text: &str) -> Result<FlowRate, String> {
    let Some((count, time)) = text.split_once('/') else {
        return Err("must be a number of runs and a time, such as 60/1m".to_owned());
    };
    let count = count.parse().map_err(|_| "must begin with a whole number".to_owned())?;
    Ok(FlowRate {
        count: RateCount::new(count).map_err(|e| format!("its number {e}"))?,
        seconds: seconds(time, RateSeconds::new)?,
    })
}
