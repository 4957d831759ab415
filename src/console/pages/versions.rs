//! The versions of a Function, and the way back to one.

use maud::{Markup, html};
use tasklane_client::{FunctionDetails, Record, Version};
use tasklane_model::{CanaryEnd, FunctionName, Permission, VersionNumber};

use crate::{
    door::ROOT,
    parts::{brief, clean, confirm, cut, field, link_button, name, time},
    problem::Problem,
    request::Fields,
    view::View,
};

use super::Cx;

/// How many versions of a Function are shown.
const MOST_VERSIONS: usize = 10;

/// The version that a form or an address names.
pub(crate) fn version_of(fields: &Fields) -> Result<VersionNumber, Problem> {
    let number = fields.parsed::<i64>("to", "the number of a version")?;
    number
        .and_then(|number| VersionNumber::new(number).ok())
        .ok_or_else(|| Problem::Invalid("Say to which version.".to_owned()))
}

/// Its versions, newest first, and what is being tried.
pub(super) fn table(cx: &Cx<'_>, details: &FunctionDetails, versions: &[Record<Version>]) -> Markup {
    let function = &details.name;
    if versions.is_empty() {
        return html! {};
    }
    let may = cx.access.may(Permission::UpdateTaskFunction);
    html! {
        h2 { "Versions" }
        @if let Some(canary) = &details.canary {
            p {
                strong { "Version " (canary.version) " is being tried" } ": it gets " (canary.percent) " % of the runs"
                @if let Some(limit) = canary.fail_when {
                    ", until " (limit.failures) " of its last " (limit.of) " have failed"
                }
                ", since " (brief(canary.started_timestamp)) ". "
                @if may { (link_button(&format!("functions/{function}/stop-canary"), "Stop it…")) }
            }
        } @else if let Some(ended) = &details.last_canary {
            p {
                "The last one that was tried, version " (ended.version) ", ended " (brief(ended.ended_timestamp)) ": "
                @if ended.reason == CanaryEnd::Failed { strong.bad { (ended.reason.in_words()) } }
                @else { (ended.reason.in_words()) }
                "."
            }
        }
        table {
            thead { tr { th { "Version" } th { "Made" } th { "Called" } th { "Changed" } th { "By" } th { "State" } } }
            tbody {
                @for Record { value: version, .. } in versions.iter().take(MOST_VERSIONS) {
                    tr {
                        td data-l="Version" { (version.number) }
                        td data-l="Made" { (brief(version.created_timestamp)) }
                        td.says data-l="Called" { @if let Some(label) = &version.label { bdi { (cut(&clean(label), 40)) } } @else { "–" } }
                        td.says data-l="Changed" { (cut(&clean(&version.changed.join(", ")), 60)) }
                        td.says data-l="By" { @if let Some(user) = &version.created_by_user_id { bdi { (cut(&clean(user), 40)) } } @else { "–" } }
                        td data-l="State" {
                            @if version.current { "current" }
                            @else if !version.runnable { "can no longer run" }
                            @else if may {
                                (link_button(&format!("functions/{function}/rollback?to={}", version.number), "Roll back…"))
                                @if details.canary.is_none() {
                                    " " (link_button(&format!("functions/{function}/try?to={}", version.number), "Try it…"))
                                }
                            }
                            @else { "can run" }
                        }
                    }
                }
            }
        }
        @if versions.len() > MOST_VERSIONS { p.note { "The newest " (MOST_VERSIONS) " are shown: " code { "tasklane versions " (function) } " lists all." } }
    }
}

/// Asks how much a version gets to do, before it is tried.
pub(super) async fn try_one(cx: &Cx<'_>, of: &str, path: &str) -> Result<View, Problem> {
    let function = FunctionName::parse(of).map_err(|_| Problem::NoPage)?;
    let number = version_of(cx.query)?;
    let version = cx.app.client.version(&function, number).await?.value;
    Ok(View::new("Try a version").still(html! {
        section.card.confirm {
            p.sentence {
                "This gives a part of the runs of " (name(function.as_str())) " to version " (number) ", made "
                (time(version.created_timestamp)) ", and the others to the current one."
                @if let Some(label) = &version.label { " It is called " (name(label)) "." }
            }
            form method="post" action={ (ROOT) (path) } {
                input type="hidden" name="to" value=(number);
                (field("Percent of the runs", "percent", Some("10"), "1 to 99"))
                (field("End it after so many failures", "failures", None, "never by itself"))
                (field("among its last runs", "of", None, "20"))
                p.note { "A Task and its retries get the same version. The trial goes on until you stop it, roll back or change the Function." }
                p.buttons {
                    button.go type="submit" { "Try it" }
                    a.button href={ (ROOT) "functions/" (function) } { "No, go back" }
                }
            }
        }
    }))
}

/// Says what changes, before a Function is rolled back.
pub(super) async fn roll_back(cx: &Cx<'_>, of: &str, path: &str) -> Result<View, Problem> {
    let function = FunctionName::parse(of).map_err(|_| Problem::NoPage)?;
    let to = version_of(cx.query)?;
    let version = cx.app.client.version(&function, to).await?.value;
    let what = html! {
        p.sentence {
            "This makes a new version of " (name(function.as_str())) " that is equal to version " (to) ", made "
            (time(version.created_timestamp)) "."
            @if let Some(label) = &version.label { " It is called " (name(label)) "." }
        }
        p { "Its code, its configuration and its retry policy are those of that version at once, for every run that starts. Runs in progress go on." }
    };
    let number = to.to_string();
    let fields = [("to", number.as_str())];
    Ok(View::new("Roll the Function back").still(confirm(
        path,
        &fields,
        what,
        "Roll it back",
        &format!("functions/{function}"),
    )))
}
