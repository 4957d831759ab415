//! The arguments that describe a Schedule, for its creation and for changes.

use tasklane_client::ScheduleBody;
use tasklane_model::{CatchUp, Cron, Interval, Overlap, Priority, ScheduleName, TimeZone};
use tasklane_ports::{Clock as _, SystemClock};

use super::{
    follow::FollowArgs,
    input::{JsonSource, When, duration},
    tasks,
};

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Debug, clap::Args)]
pub(super) struct Fields {
    /// The time between two Tasks: seconds, or 90s, 5m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with_all = ["cron", "timezone"])]
    interval: Option<Interval>,

    /// When a Task is due, such as '30 8 * * MON-FRI': minute, hour, day of month, month, day of week; with seconds first if there
    /// are six
    #[arg(long, value_name = "EXPRESSION", value_parser = by_its_rule::<Cron>)]
    cron: Option<Cron>,

    /// The time zone of --cron, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = by_its_rule::<TimeZone>)]
    timezone: Option<TimeZone>,

    /// What it is called
    #[arg(long, value_name = "NAME", value_parser = |text: &str| ScheduleName::parse(text))]
    name: Option<ScheduleName>,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// No Task before: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d; with --interval, the first Task [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: Option<When>,

    /// No Task after: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    end: Option<When>,

    /// The priority of the Tasks [default: the Function's]
    #[arg(long, value_name = "N", value_parser = tasks::priority, allow_negative_numbers = true)]
    priority: Option<Priority>,

    /// What to do when a Task is due and the one before has not ended: allow, skip or queue it [default: allow]
    #[arg(long, value_name = "RULE", value_parser = named(Overlap::NAMES))]
    overlap: Option<Overlap>,

    /// How many Tasks make up for what was missed while nothing ran: none, latest (one) or all [default: latest]
    #[arg(long, value_name = "RULE", value_parser = named(CatchUp::NAMES))]
    catch_up: Option<CatchUp>,

    #[command(flatten)]
    follow: FollowArgs,
}

/// An option that can be removed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Optional {
    Name,
    Priority,
    End,
    Overlap,
    CatchUp,
    OnComplete,
}

impl Optional {
    pub(super) fn unset_in(self, body: &mut ScheduleBody) {
        match self {
            Self::Name => body.name = Some(None),
            Self::Priority => body.priority = Some(None),
            Self::End => body.end_timestamp = Some(None),
            Self::Overlap => body.overlap = Some(None),
            Self::CatchUp => body.catch_up = Some(None),
            Self::OnComplete => body.on_complete = Some(None),
        }
    }
}

impl Fields {
    /// The fields as the service expects them.
    pub(super) fn body(self) -> anyhow::Result<ScheduleBody> {
        let now = SystemClock.now();
        Ok(ScheduleBody {
            name: self.name.map(Some),
            interval: self.interval,
            cron: self.cron,
            timezone: self.timezone,
            data: self.data.map(|source| source.read()).transpose()?,
            priority: self.priority.map(Some),
            start_timestamp: self.start.map(|when| when.resolve(now)),
            end_timestamp: self.end.map(|when| Some(when.resolve(now))),
            overlap: self.overlap.map(Some),
            catch_up: self.catch_up.map(Some),
            on_complete: self.follow.read()?.map(Some),
            ..ScheduleBody::default()
        })
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => duration(text).map_err(|e| e.to_string())?.as_secs(),
    };
    Interval::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(|e| e.to_string())
}

fn by_its_rule<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|rule: T::Err| rule.to_string())
}

/// A parser of one of these names.
fn named<T: Copy + Send + Sync + 'static>(
    names: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        let all = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("expected one of {}", all()))
    }
}
