//! What forms do. Each checks nothing that the service checks: what is wrong, the service says.

use std::fmt::Display;

use tasklane_client::{BackfillBody, CanaryBody, NewBulkBody, NewCredential, NewTaskBody, ScheduleBody};
use tasklane_model::{
    BulkAction, FailWhen, FunctionName, Permission, Permissions, ScheduleName, Tags, TaskStatus, UserId,
};

use crate::{
    access::Access,
    app::App,
    pages,
    problem::Problem,
    request::{Fields, id},
    view::View,
};

/// What became of an act.
pub(crate) enum Done {
    /// It is done: go there, where the page says this first.
    Go { to: String, notice: String },
    /// It is done, and this is shown once.
    Show(Box<View>),
}

fn go(to: impl Into<String>, notice: impl Into<String>) -> Done {
    Done::Go { to: to.into(), notice: notice.into() }
}

/// Does what the form at this path is for.
pub(crate) async fn act(app: &App, access: &Access, path: &str, form: &Fields) -> Result<Done, Problem> {
    let client = &app.client;
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    Ok(match *segments {
        ["tasks", task, "cancel"] => {
            let task = id(task)?;
            client.cancel_task(task).await?;
            go(format!("tasks/{task}"), "The Task is canceled.")
        }
        ["tasks", task, "again"] => again(app, task, form).await?,
        ["bulk", "new"] => {
            let created = client.create_bulk(&bulk_of(form, false)?).await?.value;
            let to = created.id.map_or_else(|| "bulk".to_owned(), |id| format!("bulk/{id}"));
            go(to, "The bulk operation has begun.")
        }
        ["bulk", bulk, "stop"] => {
            let bulk = id(bulk)?;
            client.stop_bulk(bulk).await?;
            go(format!("bulk/{bulk}"), "The bulk operation is stopped.")
        }
        ["functions", name, act @ ("enable" | "disable")] => {
            let function = function(name)?;
            client.set_function_enabled(&function, act == "enable").await?;
            go(format!("functions/{function}"), format!("The Function is {act}d."))
        }
        ["functions", name, "rollback"] => {
            let function = function(name)?;
            let to = pages::version_of(form)?;
            let version = client.roll_back(&function, to).await?.value.number;
            go(format!("functions/{function}"), format!("The Function is version {version}, equal to {to}."))
        }
        ["functions", name, "stop-canary"] => {
            let function = function(name)?;
            client.stop_canary(&function).await?;
            go(format!("functions/{function}"), "Every run gets the current version.")
        }
        ["functions", name, "try"] => {
            let function = function(name)?;
            let body = canary_of(form)?;
            client.start_canary(&function, &body).await?;
            let notice = format!("Version {} gets {} % of the runs that start.", body.version, body.percent);
            go(format!("functions/{function}"), notice)
        }
        ["functions", name, "execute"] => execute(app, &function(name)?, form).await?,
        ["schedules", "new"] => {
            let schedule = client.create_schedule(&schedule_of(form)?).await?.value;
            go(format!("schedules/{}", schedule.id), "The Schedule is made.")
        }
        ["schedules", schedule, "backfill"] => {
            let schedule = id(schedule)?;
            let (Some(from), Some(to)) = (form.moment("from")?, form.moment("to")?) else {
                return Err(Problem::Invalid("Say from when and to when.".to_owned()));
            };
            let body = BackfillBody { from, to, dry_run: false, per_second: None, reason: None };
            let created = client.backfill_schedule(schedule, &body).await?.value;
            let to = created.id.map_or_else(|| format!("schedules/{schedule}"), |id| format!("bulk/{id}"));
            go(to, "The backfill is at work.")
        }
        ["schedules", schedule, act] => {
            let schedule = id(schedule)?;
            let back = format!("schedules/{schedule}");
            match act {
                "pause" => drop(client.enable_schedule(schedule, false).await?),
                "resume" => drop(client.enable_schedule(schedule, true).await?),
                "run" => {
                    let task = client.run_schedule(schedule).await?.value;
                    return Ok(go(format!("tasks/{}", task.id), "The Schedule has created this Task."));
                }
                "delete" => {
                    client.delete_schedule(schedule).await?;
                    return Ok(go("schedules", "The Schedule is deleted."));
                }
                _ => return Err(Problem::NoPage),
            }
            go(back, format!("The Schedule is {act}d."))
        }
        ["credentials", "new"] => credential(app, access, form).await?,
        ["credentials", credential, "revoke"] => {
            let credential = id(credential)?;
            client.revoke_credential(credential, false).await?;
            go("credentials", format!("Credential {credential} is revoked."))
        }
        _ => return Err(Problem::NoPage),
    })
}

fn function(name: &str) -> Result<FunctionName, Problem> {
    FunctionName::parse(name).map_err(|_| Problem::NoPage)
}

/// The Schedule that a form describes. The service says if it lacks something.
fn schedule_of(form: &Fields) -> Result<ScheduleBody, Problem> {
    let wrong = |what: &str, rule: &dyn Display| Problem::Invalid(format!("The {what} is wrong: {rule}."));
    let function = form.get("function").map(FunctionName::parse).transpose();
    let name = form.get("name").map(ScheduleName::parse).transpose();
    Ok(ScheduleBody {
        name: name.map_err(|rule| wrong("name", &rule))?.map(Some),
        function_name: function.map_err(|rule| wrong("Function's name", &rule))?,
        interval: form.number("interval")?,
        cron: form.by_its_rule("cron")?,
        timezone: form.by_its_rule("timezone")?,
        data: form.json("data")?,
        start_timestamp: form.moment("start")?,
        end_timestamp: form.moment("end")?.map(Some),
        ..ScheduleBody::default()
    })
}

/// The canary that a form describes.
fn canary_of(form: &Fields) -> Result<CanaryBody, Problem> {
    let Some(percent) = form.number("percent")? else {
        return Err(Problem::Invalid("Say how many percent of the runs it gets.".to_owned()));
    };
    let fail_when = match (form.number("failures")?, form.number("of")?) {
        (Some(failures), Some(of)) => Some(FailWhen { failures, of }),
        (None, None) => None,
        _ => return Err(Problem::Invalid("Say how many failures end it, and of how many runs.".to_owned())),
    };
    Ok(CanaryBody { version: pages::version_of(form)?, percent, fail_when })
}

async fn again(app: &App, task: &str, form: &Fields) -> Result<Done, Problem> {
    let old = id(task)?;
    let task = app.client.find_task(old).await?.ok_or(Problem::NoPage)?.value;
    let tags: Vec<String> = form
        .get("tags")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect();
    let tags = Tags::try_from(tags).map_err(|error| Problem::Invalid(format!("The tags are wrong: {error}.")))?;
    let body = NewTaskBody {
        data: form.json("data")?,
        start_timestamp: form.moment("start")?,
        priority: form.number("priority")?,
        tags,
        flow_key: task.options.flow_key,
        ..NewTaskBody::of(task.function_name)
    };
    let created = app.client.create_task(&body).await?.value;
    Ok(go(format!("tasks/{}", created.id), format!("This is a new Task, made from {old}.")))
}

async fn execute(app: &App, function: &FunctionName, form: &Fields) -> Result<Done, Problem> {
    let data = form.json("data")?;
    if form.get("how") == Some("queue") {
        let task = app.client.create_task(&NewTaskBody { data, ..NewTaskBody::of(function.clone()) }).await?.value;
        return Ok(go(format!("tasks/{}", task.id), "The Task is in the queue."));
    }
    match app.client.execute(function, data.as_ref(), None).await {
        Ok(executed) => {
            let executed = executed.value;
            let state = if executed.task.status == TaskStatus::Complete { "complete" } else { "not complete" };
            let result = crate::parts::cut(executed.result.as_str(), 2000);
            Ok(go(format!("tasks/{}", executed.task.id), format!("The run is {state}. It returned: {result}")))
        }
        // The code failed: the Task says how.
        Err(tasklane_client::ClientError::Service(error)) if error.details.get("taskId").is_some() => {
            let task = error.details.get("taskId").and_then(|id| id.as_str()).unwrap_or_default();
            Ok(go(format!("tasks/{}", id(task)?), format!("The run failed: {}", error.message)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The bulk operation that a form describes.
pub(crate) fn bulk_of(form: &Fields, dry_run: bool) -> Result<NewBulkBody, Problem> {
    let action = match form.get("action") {
        Some("cancel") => BulkAction::Cancel,
        Some("replay") => BulkAction::Replay,
        Some("retryNow") => BulkAction::RetryNow,
        Some("reschedule") => BulkAction::Reschedule,
        Some("setPriority") => BulkAction::SetPriority,
        _ => return Err(Problem::Invalid("There is no such operation.".to_owned())),
    };
    let (rql, ids) = match form.get("which") {
        Some("all") => (form.get("rql").map(str::to_owned), None),
        _ => (None, Some(pages::ids(form.all("id"))?)),
    };
    if rql.is_none() && ids.as_ref().is_none_or(Vec::is_empty) {
        return Err(Problem::Invalid("Select Tasks first, or filter them and choose all that match.".to_owned()));
    }
    Ok(NewBulkBody {
        action,
        rql,
        ids,
        start_timestamp: form.moment("start")?,
        priority: form.number("priority")?,
        data: None,
        dry_run,
        per_second: None,
        reason: form.get("reason").map(str::to_owned),
    })
}

async fn credential(app: &App, access: &Access, form: &Fields) -> Result<Done, Problem> {
    let user = form.get("user").unwrap_or(&access.user);
    let user_id = UserId::parse(user).map_err(|error| Problem::Invalid(format!("The user is wrong: {error}.")))?;
    let only = pages::only(form.get("only"))?.map(|function| format!("{}:{function}", Permission::ExecuteTaskFunction));
    let names = form.all("permission").map(str::to_owned).chain(only);
    let permissions =
        Permissions::parse(names).map_err(|error| Problem::Invalid(format!("The permissions are wrong: {error}.")))?;
    let new = NewCredential { user_id, application_id: None, permissions, expires_timestamp: form.moment("expires")? };
    let made = app.client.create_credential(&new).await?.value;
    Ok(Done::Show(Box::new(pages::created(&made))))
}
