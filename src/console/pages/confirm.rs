//! The pages that say what an act will do, and ask once.

use maud::{Markup, html};
use tasklane_client::BackfillBody;
use tasklane_model::FunctionName;

use crate::{
    parts::{confirm, count, name, time},
    problem::Problem,
    request::id,
    view::View,
};

use super::{Cx, versions};

/// The page that asks before this act.
pub(super) async fn view(cx: &Cx<'_>, kind: &str, of: &str, act: &str) -> Result<View, Problem> {
    let path = format!("{kind}/{of}/{act}");
    let ask = |title: &str, what: Markup, label: &str, back: String| {
        Ok(View::new(title).still(confirm(&path, &[], html! { p.sentence { (what) } }, label, &back)))
    };
    match (kind, act) {
        ("tasks", "cancel") => {
            let task = id(of)?;
            let what = html! {
                "This cancels Task " span.id { (task) } ". It never runs. What it would have done is not done."
            };
            ask("Cancel the Task", what, "Cancel it", format!("tasks/{task}"))
        }
        ("functions", "enable" | "disable") => {
            let function = FunctionName::parse(of).map_err(|_| Problem::NoPage)?;
            let back = format!("functions/{function}");
            let shown = name(function.as_str());
            if act == "enable" {
                let what = html! { "This enables " (shown) ". Its Tasks that are due start at once." };
                return ask("Enable the Function", what, "Enable it", back);
            }
            let what = html! {
                "This disables " (shown)
                ". Nothing of it starts any more: its Tasks wait, and calls of it are refused. Runs in progress go on."
            };
            ask("Disable the Function", what, "Disable it", back)
        }
        ("functions", "rollback") => versions::roll_back(cx, of, &path).await,
        ("functions", "try") => versions::try_one(cx, of, &path).await,
        ("functions", "stop-canary") => {
            let function = FunctionName::parse(of).map_err(|_| Problem::NoPage)?;
            let what = html! {
                "This stops trying another version of " (name(function.as_str()))
                ". Every run that starts gets the current one. Runs in progress go on."
            };
            ask("Stop the canary", what, "Stop it", format!("functions/{function}"))
        }
        ("schedules", "pause" | "resume" | "run" | "delete") => {
            let schedule = cx.app.client.schedule(id(of)?).await?.value;
            let back = format!("schedules/{}", schedule.id);
            let function = name(schedule.function_name.as_str());
            let (title, what, label) = match act {
                "pause" => (
                    "Pause the Schedule",
                    html! {
                        "This pauses it. It creates no Tasks of " (function)
                        " until it is resumed, and those of the time in between are not made up for."
                    },
                    "Pause it",
                ),
                "resume" => (
                    "Resume the Schedule",
                    html! { "This resumes it. It creates Tasks of " (function) " again, from its next time on." },
                    "Resume it",
                ),
                "run" => (
                    "Run it now",
                    html! { "This creates a Task of " (function) " now, besides those of its times." },
                    "Create the Task",
                ),
                _ => (
                    "Delete the Schedule",
                    html! {
                        "This deletes it. It creates no more Tasks of " (function)
                        ". Those that exist stay. It cannot be undone."
                    },
                    "Delete it",
                ),
            };
            ask(title, what, label, back)
        }
        ("schedules", "backfill") => backfill(cx, of, &path).await,
        ("bulk", "stop") => {
            let bulk = id(of)?;
            let what = html! { "This stops the bulk operation. What it has done stays done." };
            ask("Stop the bulk operation", what, "Stop it", format!("bulk/{bulk}"))
        }
        ("credentials", "revoke") => {
            let credential = id(of)?;
            let what = html! {
                "This revokes credential " span.id { (credential) }
                ". Its callers are locked out at once. This cannot be undone."
            };
            let form = html! { p.sentence { (what) } };
            Ok(View::new("Revoke the credential").still(confirm(&path, &[], form, "Revoke it", "credentials")))
        }
        _ => Err(Problem::NoPage),
    }
}

async fn backfill(cx: &Cx<'_>, of: &str, path: &str) -> Result<View, Problem> {
    let schedule = id(of)?;
    let (Some(from), Some(to)) = (cx.query.moment("from")?, cx.query.moment("to")?) else {
        return Err(Problem::Invalid("Say from when and to when.".to_owned()));
    };
    let body = BackfillBody { from, to, dry_run: true, per_second: None, reason: None };
    let tried = cx.app.client.backfill_schedule(schedule, &body).await?.value;
    let (from_text, to_text) = (from.to_string(), to.to_string());
    let fields = [("from", from_text.as_str()), ("to", to_text.as_str())];
    let what = html! {
        p.sentence {
            "This creates " strong { (count(tried.matches, tried.matches_is_exact)) }
            " Tasks, one for each of its times from " (time(from)) " to " (time(to)) "."
        }
        p.note { "Each of them starts now." }
    };
    Ok(View::new("Backfill").still(confirm(path, &fields, what, "Create them", &format!("schedules/{schedule}"))))
}
