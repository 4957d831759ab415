//! `/tasklane/v1/bulk`: one action on many Tasks (contract §17).

use http::Method;
use tasklane_model::{
    AffectedRecords, Bulk, BulkAction, BulkCreated, BulkOrder, BulkSelection, Error, ErrorKind, Json as AnyJson,
    NewBulk, ObjectId, Page, PerSecond, Priority, Result, Timestamp, bulk::MAX_IDS,
};
use tasklane_rql::Schema;
use tasklane_service::Service;
use utoipa::ToSchema;

use crate::{
    access::{Allowed, permission::ViewTasks},
    answer::Json,
    body::{Fields, Reason},
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::{Id, Listed, Rql},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::POST, "/tasklane/v1/bulk", "createBulk", create)
            .summary("Act on many Tasks")
            .about(
                "Cancels, replays, reschedules, starts now or prioritises all Tasks that match, once each. The service does the \
                 work; read its progress under the id in the answer. Replaying takes CREATE_TASKS too, everything else \
                 CANCEL_TASKS. With `dryRun` the Tasks are only counted.",
            )
            .fails(&[ErrorKind::NoPermission, ErrorKind::InvalidRql, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::GET, "/tasklane/v1/bulk", "listBulks", list)
            .summary("List bulk operations")
            .about("They are kept for 7 days after their end.")
            .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::GET, "/tasklane/v1/bulk/{bulkId}", "getBulk", get)
            .summary("Read the progress of a bulk operation")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::DELETE, "/tasklane/v1/bulk/{bulkId}", "stopBulk", stop)
            .summary("Stop a bulk operation")
            .about(
                "What was done stays, and what is being done now (up to 100 Tasks) is finished. It takes the same permission as \
                 its creation. No record is affected if the operation has ended.",
            )
            .fails(&[ErrorKind::NoPermission, ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Bulk operations")).collect()
}

#[derive(Debug)]
pub enum Bulks {}

impl Listed for Bulks {
    const SCHEMA: Schema = Schema::BULKS;
    const CONDITION: &'static str = "eq(status,running)";
}

async fn create(
    service: Service,
    access: Allowed<ViewTasks>,
    JsonBody(body): JsonBody<BulkCreation>,
) -> Result<Json<BulkCreated>> {
    service.create_bulk(access.caller(), body.new).await.map(Json::of)
}

async fn list(
    service: Service,
    access: Allowed<ViewTasks>,
    rql: Rql<Bulks>,
) -> Result<Json<Page<AnyJson>, Page<Bulk>>> {
    service.list_bulks(access.caller(), &rql.query).await.map(Json::of)
}

async fn get(service: Service, _: Allowed<ViewTasks>, Id(id): Id) -> Result<Json<Bulk>> {
    service.bulk(id).await.map(Json::of)
}

async fn stop(service: Service, access: Allowed<ViewTasks>, Id(id): Id) -> Result<Json<AffectedRecords>> {
    service.stop_bulk(access.caller(), id).await.map(Json::of)
}

/// A bulk operation to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // describes the body
struct BulkFields {
    /// What to do with each Task. `backfill` has an endpoint of its own.
    action: BulkAction,
    /// The Tasks: conditions as for the list of Tasks, at least one. Instead of `ids`.
    rql: Option<String>,
    /// The Tasks: 1 to 1000 ids. Instead of `rql`.
    ids: Option<Vec<ObjectId>>,
    /// When the Tasks are due: required by `reschedule`; `replay` starts at once without it.
    start_timestamp: Option<Timestamp>,
    /// The priority of the Tasks: required by `setPriority`; `replay` keeps theirs without it.
    priority: Option<Priority>,
    /// The `data` of the Tasks that `replay` creates. Default: that of the replayed Task.
    data: Option<AnyJson>,
    /// Whether the Tasks are only counted. Default: false.
    dry_run: Option<bool>,
    /// How many Tasks to handle in a second, at most. Default: as many as possible.
    per_second: Option<PerSecond>,
    /// Why, for those who read it later: at most 256 characters.
    reason: Option<String>,
}

/// A bulk operation to create.
#[derive(Debug)]
pub struct BulkCreation {
    new: NewBulk,
}

impl utoipa::PartialSchema for BulkCreation {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        BulkFields::schema()
    }
}

impl ToSchema for BulkCreation {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        BulkFields::schemas(schemas);
    }
}

impl FromFields for BulkCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let action: BulkAction = fields.required("action")?;
        let order = order(action, fields)?;
        // Each field by itself before what they mean together.
        let per_second = fields.optional("perSecond")?;
        let reason = fields.optional::<Reason>("reason")?.map(|reason| reason.0);
        let dry_run = fields.optional("dryRun")?.unwrap_or(false);
        Ok(Self { new: NewBulk { order, selection: selection(fields)?, per_second, reason, dry_run } })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::IllegalArgument]
    }
}

fn order(action: BulkAction, fields: &Fields<'_>) -> Result<BulkOrder> {
    let start = fields.optional("startTimestamp")?;
    let priority = fields.optional("priority")?;
    let data = fields.json("data")?;
    let allowed: &[&str] = match action {
        BulkAction::Cancel | BulkAction::RetryNow | BulkAction::Backfill => &[],
        BulkAction::Replay => &["startTimestamp", "priority", "data"],
        BulkAction::Reschedule => &["startTimestamp"],
        BulkAction::SetPriority => &["priority"],
    };
    let given = [("startTimestamp", start.is_some()), ("priority", priority.is_some()), ("data", data.is_some())];
    if let Some((name, _)) = given.iter().find(|(name, is_given)| *is_given && !allowed.contains(name)) {
        return Err(contradiction(&format!("The action '{action}' has no '{name}': leave it out.")));
    }
    Ok(match action {
        BulkAction::Cancel => BulkOrder::Cancel,
        BulkAction::RetryNow => BulkOrder::RetryNow,
        BulkAction::Replay => BulkOrder::Replay { data, start, priority },
        BulkAction::Reschedule => {
            BulkOrder::Reschedule { start: start.ok_or_else(|| Error::missing_fields(&["startTimestamp"]))? }
        }
        BulkAction::SetPriority => {
            BulkOrder::SetPriority { priority: priority.ok_or_else(|| Error::missing_fields(&["priority"]))? }
        }
        // Cannot happen: it is not among the actions that are read here.
        BulkAction::Backfill => {
            let message = "A backfill belongs to a Schedule: see POST /tasklane/v1/schedules/{scheduleId}/backfill.";
            return Err(contradiction(message));
        }
    })
}

fn selection(fields: &Fields<'_>) -> Result<BulkSelection> {
    let ids: Option<Vec<String>> = fields.optional("ids")?;
    match (fields.optional("rql")?, ids) {
        (Some(_), Some(_)) => Err(contradiction("Give either 'rql' or 'ids', not both.")),
        (None, None) => Err(contradiction(
            "Say which Tasks: give 'rql' with at least one condition, or 'ids'. There is no operation on all Tasks.",
        )),
        (Some(rql), None) => Ok(BulkSelection::Rql(rql)),
        (None, Some(ids)) if !(1..=MAX_IDS).contains(&ids.len()) => {
            Err(Error::field_format("ids", format!("must be a list of 1 to {MAX_IDS} ids")))
        }
        (None, Some(ids)) => {
            let ids = ids.iter().map(|id| id.parse());
            let rule = "must be a list of ids, of 24 hexadecimal digits each";
            let ids = ids.collect::<std::result::Result<_, _>>().map_err(|_| Error::field_format("ids", rule))?;
            Ok(BulkSelection::Ids(ids))
        }
    }
}

fn contradiction(message: &str) -> Error {
    Error::new(ErrorKind::IllegalArgument, message)
}
