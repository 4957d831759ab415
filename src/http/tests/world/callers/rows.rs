//! A request to each operation, and its result for a caller who may call it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::json;
use tasklane_model::{
    AccountText, ApiRequest, Bulk, BulkCreated, BulkOrder, BulkSelection, BulkStatus, FunctionName, Method, NewBulk,
    ObjectId, PermissionMode, RoleName, TaskOrigin,
};
use tasklane_service::{FunctionOptions, NewRole};
use tasklane_store::BulkSpec;
use tasklane_testing::TestLambda;
use tokio::sync::OnceCell;

use crate::kit::Kit;

/// The kind of Function, where it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its permission mode is `permissionRequired`.
    Required,
    /// Its permission mode is `allUsers`.
    AllUsers,
    /// Its permission mode is `public`.
    Public,
    /// There is no such Function.
    Missing,
}

/// A request.
pub struct Asked {
    /// Its path and query.
    pub path: String,
    /// Its body.
    pub body: String,
    /// The error code for a caller who may call it; 0 when it succeeds.
    pub ends_with: u64,
}

/// A service with records of every kind.
pub struct Fixture {
    /// The service.
    pub kit: Kit,
    number: AtomicU64,
    user_with_role: OnceCell<(ObjectId, ObjectId)>,
}

impl Fixture {
    pub async fn new() -> Self {
        let kit = Kit::new().await;
        // Streams end at once, so that each request has an end.
        kit.world.feed.close();
        let this = Self { kit, number: AtomicU64::new(0), user_with_role: OnceCell::new() };
        for (target, mode) in [
            (Target::Required, PermissionMode::PermissionRequired),
            (Target::AllUsers, PermissionMode::AllUsers),
            (Target::Public, PermissionMode::Public),
        ] {
            let options = FunctionOptions { permission_mode: Some(mode), ..FunctionOptions::default() };
            this.kit.world.function(this.name_of(target), options).await;
            let answer = r#"{"statusCode":200,"body":"hello"}"#;
            this.kit
                .world
                .lambda
                .behave(this.name_of(target), move |_| async move { Ok(TestLambda::returned(answer)) });
        }
        this
    }

    /// The name of the Function.
    pub fn name_of(&self, target: Target) -> &'static str {
        match target {
            Target::Required => "required",
            Target::AllUsers => "all-users",
            Target::Public => "public",
            Target::Missing => "missing",
        }
    }

    /// A request to this operation. Each one uses records of its own, so that one caller's success does not make
    /// another caller fail. `None` when there is no row for the operation.
    pub async fn ask_for(&self, operation: &str, target: Target) -> Option<Asked> {
        let name = self.name_of(target);
        let one = |body: &str, path: String| Asked { path, body: body.to_owned(), ends_with: 0 };
        let get = |path: &str| one("", path.to_owned());
        let world = &self.kit.world;
        Some(match operation {
            "listTasks" => get("/tasks/v1?eq(status,new)&limit(1)"),
            "createTask" => one(r#"{"functionName":"required"}"#, "/tasks/v1".into()),
            "getTask" => get(&format!("/tasklane/v1/tasks/{}?wait=0", world.task("required").await.id)),
            "streamTask" => get(&format!("/tasklane/v1/tasks/{}/events", world.task("required").await.id)),
            "streamTasks" => get("/tasklane/v1/events?functionName=required"),
            // It has not run yet.
            "getTaskResult" => Asked {
                ends_with: 16,
                ..get(&format!("/tasklane/v1/tasks/{}/result", world.task("required").await.id))
            },
            "createTasks" => one(r#"{"tasks":[{"functionName":"required"}]}"#, "/tasklane/v1/tasks/batch".into()),
            "cancelTask" => one("{}", format!("/tasks/v1/{}/cancel", world.task("required").await.id)),
            // It has not run yet.
            "getTaskLogs" => Asked {
                ends_with: 27,
                ..get(&format!("/tasks/v1/{}/logs?ge(timestamp,2026-01-31T00:00:00Z)", world.task("required").await.id))
            },
            "listTaskAttempts" => get(&format!("/tasklane/v1/tasks/{}/attempts", world.task("required").await.id)),
            "getOverview" => get("/tasklane/v1/overview"),
            "getStats" => get("/tasklane/v1/stats?step=3600"),
            "advanceClock" => one(r#"{"advance":0}"#, "/tasklane/v1/test/clock".into()),
            "failRuns" => one(r#"{"functionName":"required","times":0}"#, "/tasklane/v1/test/fail".into()),
            "listFailures" => get("/tasklane/v1/failures?functionName=required&limit(1)"),
            // What it takes besides depends on the action.
            "createBulk" => Asked {
                ends_with: 10,
                ..one(r#"{"action":"cancel","rql":"functionName=required"}"#, "/tasklane/v1/bulk".into())
            },
            "listBulks" => get("/tasklane/v1/bulk"),
            "getBulk" => get(&format!("/tasklane/v1/bulk/{}", self.bulk().await)),
            "stopBulk" => Asked { ends_with: 10, ..get(&format!("/tasklane/v1/bulk/{}", self.bulk().await)) },
            "explainTask" => get(&format!("/tasklane/v1/tasks/{}/why", world.task("required").await.id)),
            "listFlowKeys" => get("/tasklane/v1/functions/required/flow?limit(1)"),
            "setFlow" => {
                one(r#"{"key":"data.tenantId"}"#, format!("/tasklane/v1/functions/{}/flow", self.function().await))
            }
            "removeFlow" => get(&format!("/tasklane/v1/functions/{}/flow", self.function().await)),
            "listFunctionVersions" => get("/tasklane/v1/functions/required/versions"),
            "getFunctionVersion" => get("/tasklane/v1/functions/required/versions/1"),
            "getFunctionVersionCode" => get("/tasklane/v1/functions/required/versions/1/code"),
            "rollBackFunction" => {
                one(r#"{"to":1}"#, format!("/tasklane/v1/functions/{}/rollback", self.function().await))
            }
            // There is one version only.
            "startCanary" => Asked {
                ends_with: 1504,
                ..one(
                    r#"{"version":2,"percent":10}"#,
                    format!("/tasklane/v1/functions/{}/canary", self.function().await),
                )
            },
            "stopCanary" => get(&format!("/tasklane/v1/functions/{}/canary", self.function().await)),
            "announceUpload" => one(
                r#"{"functionName":"required","sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":1}"#,
                "/tasklane/v1/uploads".into(),
            ),
            // Nobody announced it.
            "sendUpload" => Asked {
                ends_with: 1503,
                ..one("zip", format!("/tasklane/v1/uploads/{}", "0123456789abcdef".repeat(2)))
            },
            "listFunctions" => get("/tasks/v1/functions/"),
            "createFunction" => one(&self.new_function(), "/tasks/v1/functions/".into()),
            "getFunction" => get("/tasks/v1/functions/required"),
            "updateFunction" => one(r#"{"timeLimit":20}"#, format!("/tasks/v1/functions/{}", self.function().await)),
            "deleteFunction" => get(&format!("/tasks/v1/functions/{}", self.function().await)),
            "enableFunction" => one("{}", format!("/tasks/v1/functions/{}/enable", self.function().await)),
            "disableFunction" => one("{}", format!("/tasks/v1/functions/{}/disable", self.function().await)),
            "executeFunction" => one(r#"{"data":{"n":1}}"#, format!("/tasks/v1/functions/{name}/execute")),
            "getFunctionLogs" => get("/tasks/v1/functions/required/logs\
                 ?ge(eventTimestamp,2026-01-31T00:00:00Z)&le(eventTimestamp,2026-01-31T12:00:00Z)"),
            "callApiFunctionByGet" | "callApiFunctionByHead" | "callApiFunctionByOptions" => {
                get(&format!("/tasks/v1/api/{name}/a//b?c=d"))
            }
            "callApiFunctionByPost" | "callApiFunctionByPut" | "callApiFunctionByPatch" | "callApiFunctionByDelete" => {
                one("anything", format!("/tasks/v1/api/{name}/a//b?c=d"))
            }
            "listApiRequests" => get("/tasks/v1/apiRequests?limit(1)"),
            // Nothing was logged.
            "getApiRequestLogs" => {
                Asked { ends_with: 1413, ..get(&format!("/tasks/v1/apiRequests/{}/logs", self.api_request().await)) }
            }
            "listSchedules" => get("/tasks/v1/schedules"),
            "createSchedule" => one(r#"{"functionName":"required","interval":3600}"#, "/tasks/v1/schedules".into()),
            "deleteSchedule" => get(&format!("/tasks/v1/schedules/{}", self.schedule().await)),
            "listSchedulesOfAllKinds" => get("/tasklane/v1/schedules"),
            "createScheduleOfAnyKind" => {
                one(r#"{"functionName":"required","cron":"0 0 1 1 *"}"#, "/tasklane/v1/schedules".into())
            }
            "getSchedule" | "removeSchedule" => get(&format!("/tasklane/v1/schedules/{}", self.schedule().await)),
            "updateSchedule" => {
                one(r#"{"cron":"0 0 1 1 *"}"#, format!("/tasklane/v1/schedules/{}", self.schedule().await))
            }
            "pauseSchedule" => one("{}", format!("/tasklane/v1/schedules/{}/pause", self.schedule().await)),
            "resumeSchedule" => one("{}", format!("/tasklane/v1/schedules/{}/resume", self.schedule().await)),
            "runSchedule" => one("{}", format!("/tasklane/v1/schedules/{}/run", self.schedule().await)),
            "backfillSchedule" => one(
                r#"{"from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:00Z","dryRun":true}"#,
                format!("/tasklane/v1/schedules/{}/backfill", self.schedule().await),
            ),
            "listOccurrences" => get(&format!("/tasklane/v1/schedules/{}/next?count=2", self.schedule().await)),
            "listCredentials" => get("/tasklane/v1/credentials"),
            "createCredential" => one(r#"{"userId":"ada","permissions":[]}"#, "/tasklane/v1/credentials".into()),
            "revokeCredential" => get(&format!("/tasklane/v1/credentials/{}", self.kit.credential(&[], None).await.id)),
            "getMe" => get("/users/v1/me"),
            "listRoles" => get("/users/v1/roles?limit(1)"),
            "createRole" => one(&json!({ "name": self.fresh() }).to_string(), "/users/v1/roles".into()),
            "addRolePermissions" | "removeRolePermissions" => {
                let verb = if operation == "addRolePermissions" { "add" } else { "remove" };
                let path = format!("/users/v1/roles/{verb}_permissions?eq(id,{})", self.user_with_role().await.1);
                one(r#"{"permissions":["OF_ANOTHER_SERVICE"]}"#, path)
            }
            "listUsers" => get("/users/v1/?limit(1)"),
            "registerUser" => {
                self.kit.world.service.create_role(self.new_role()).await.unwrap();
                one(&self.registration().to_string(), "/users/v1/register".into())
            }
            "addUserRoles" | "removeUserRoles" => {
                let verb = if operation == "addUserRoles" { "add" } else { "remove" };
                let (user, role) = self.user_with_role().await;
                one(&json!({ "roles": [role] }).to_string(), format!("/users/v1/{verb}_roles?eq(id,{user})"))
            }
            // Nobody has this address.
            "createUserToken" => Asked {
                ends_with: 106,
                ..one(r#"{"email":"nobody@example.com","password":"x"}"#, "/auth/v2/oauth1/tokens".into())
            },
            // What it takes besides depends on what there is already.
            "setExecutionCredentials" => Asked {
                ends_with: 10,
                ..one(r#"{"permissions":[]}"#, "/tasklane/v1/functions/required/executionCredentials".into())
            },
            "getApiDocument" => get("/tasks/v1/openapi.json"),
            "getApiPage" => get("/docs"),
            "getHealth" => get("/healthz"),
            _ => return None,
        })
    }

    /// The ids of a user and of a role that grants nothing.
    async fn user_with_role(&self) -> (ObjectId, ObjectId) {
        let make = async || {
            let service = &self.kit.world.service;
            let role = service.create_role(self.new_role()).await.unwrap();
            let answered = self.kit.ask("POST /users/v1/register", "", self.registration().to_string()).await;
            (answered.json()["id"].as_str().unwrap().parse().unwrap(), role.id)
        };
        *self.user_with_role.get_or_init(make).await
    }

    fn new_role(&self) -> NewRole {
        NewRole { name: RoleName::parse(self.fresh()).unwrap(), description: AccountText::default() }
    }

    fn registration(&self) -> serde_json::Value {
        json!({
            "email": format!("{}@example.com", self.fresh()), "password": "Secret-word-1", "first_name": "Ada",
            "last_name": "Lovelace", "phone_number": "0", "language": "EN", "activation_mode": "manual",
        })
    }

    fn fresh(&self) -> String {
        format!("fresh-{}", self.number.fetch_add(1, Ordering::Relaxed))
    }

    fn new_function(&self) -> String {
        let function = json!({
            "name": self.fresh(), "code": "emlw", "entryPoint": "index.handler", "runtime": "nodejs22.x",
        });
        function.to_string()
    }

    async fn function(&self) -> String {
        let name = self.fresh();
        self.kit.world.function(&name, FunctionOptions::default()).await;
        name
    }

    async fn schedule(&self) -> ObjectId {
        let in_an_hour = self.kit.world.now().saturating_add(Duration::from_secs(3600));
        self.kit.world.schedule("required", 3600, Some(in_an_hour)).await.id
    }

    async fn bulk(&self) -> ObjectId {
        let selection = BulkSelection::Ids(vec![self.kit.world.task("required").await.id]);
        let new = NewBulk { order: BulkOrder::Cancel, selection, per_second: None, reason: None, dry_run: false };
        let now = self.kit.world.now();
        let id = ObjectId::new(now, self.number.fetch_add(1, Ordering::Relaxed));
        let created = BulkCreated { id: Some(id), matches: 1, matches_is_exact: true };
        let mut bulk = Bulk::new(id, &new, created, TaskOrigin::default(), now);
        // One that is over, because only few may run at once.
        bulk.end(BulkStatus::Complete, now);
        let spec = BulkSpec { order: new.order, selection: new.selection };
        assert!(self.kit.world.store.bulks.create(&bulk, &spec).await.unwrap());
        self.kit.world.store.bulks.take(id, "test").await.unwrap();
        id
    }

    async fn api_request(&self) -> ObjectId {
        let now = self.kit.world.now();
        let record = ApiRequest {
            id: ObjectId::new(now, self.number.fetch_add(1, Ordering::Relaxed)),
            function_name: FunctionName::parse("required").unwrap(),
            method: Method::Get,
            path: String::new(),
            user_id: None,
            application_id: None,
            status_code: 200,
            timestamp: now,
            duration: 0.1,
            error: None,
            request_id: None,
        };
        self.kit.world.store.api_requests.put(&record).await.unwrap();
        record.id
    }
}
