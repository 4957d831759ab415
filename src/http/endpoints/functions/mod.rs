//! `/tasks/v1/functions`: Functions (contract §2).

mod bodies;
pub(super) mod details;

use http::Method;
use tasklane_model::{AffectedRecords, Error, ErrorKind, FunctionSummary, Page, Result};
use tasklane_service::{Executed, FunctionChange, NewFunction, Service};

use bodies::{ExecutionInput, FunctionCreation, FunctionUpdate};
use details::{FunctionDetails, FunctionLogLines};

use crate::{
    access::{
        Allowed, ByPermissionMode,
        permission::{
            CreateTaskFunction, DeleteTaskFunction, ExecuteTaskFunction, UpdateTaskFunction, ViewTaskFunctionDetails,
            ViewTaskFunctionLogs, ViewTaskFunctions,
        },
    },
    answer::Json,
    endpoint::Endpoint,
    input::{JsonBody, OptionalJsonBody},
    once::{OnceBody, Replayable},
    params::{FunctionLogRql, Name, UnreadQuery},
};

pub fn endpoints() -> Vec<Endpoint> {
    const ONE: &str = "/tasks/v1/functions/{functionName}";
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasks/v1/functions", "listFunctions", list)
            .summary("List Functions")
            .about("All of them in one page; RQL is ignored."),
        Endpoint::new(Method::POST, "/tasks/v1/functions", "createFunction", create)
            .summary("Create a Function")
            .fails(&[ErrorKind::ResourceAlreadyExists]),
        Endpoint::new(Method::GET, ONE, "getFunction", get)
            .summary("Read a Function")
            .about("Everything but its code.")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::PUT, ONE, "updateFunction", update)
            .summary("Change a Function")
            .about(
                "Absent fields keep their values. A concurrent call runs either the old code with the old configuration, or \
                 the new code with the new.",
            )
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument]),
        Endpoint::new(Method::DELETE, ONE, "deleteFunction", delete)
            .summary("Delete a Function")
            .about("Its Tasks, API Requests and logs can still be read.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasks/v1/functions/{functionName}/enable", "enableFunction", enable)
            .summary("Enable a Function")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasks/v1/functions/{functionName}/disable", "disableFunction", disable)
            .summary("Disable a Function")
            .about("Nothing runs until it is enabled again. Its Tasks keep waiting.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasks/v1/functions/{functionName}/execute", "executeFunction", execute)
            .summary("Run a Function now and wait for its result")
            .about(
                "Creates a Task and runs it immediately, bypassing the queue. The result is returned but not stored, except for a \
                 day if the call has an idempotency key: a repeated call waits for the first one and is answered as it was.",
            )
            .fails(&[
                ErrorKind::IllegalState,
                ErrorKind::ConcurrentExecutionLimit,
                ErrorKind::TimeLimitExceedsDirectExecutionMaximum,
                ErrorKind::LambdaInvocation,
                ErrorKind::LambdaRuntime,
            ]),
        Endpoint::new(Method::GET, "/tasks/v1/functions/{functionName}/logs", "getFunctionLogs", logs)
            .summary("Read the logs of a Function")
            .about(
                "The lines of all runs between two moments, which cannot be told apart. Upstream deprecated it in favor of the logs of \
                 one Task or of one API Request.",
            )
            .deprecated()
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Functions")).collect()
}

async fn list(
    service: Service,
    _: Allowed<ViewTaskFunctions>,
    UnreadQuery(query): UnreadQuery,
) -> Result<Json<Page<FunctionSummary>>> {
    service.list_functions(&query).await.map(Json::of)
}

async fn create(
    service: Service,
    access: Allowed<CreateTaskFunction>,
    JsonBody(body): JsonBody<FunctionCreation>,
) -> Result<Json<FunctionDetails>> {
    let by = access.caller().user_id().cloned();
    service.create_function(NewFunction { by, ..body.try_into()? }).await.map(|function| Json::of(function.into()))
}

async fn get(service: Service, _: Allowed<ViewTaskFunctionDetails>, Name(name): Name) -> Result<Json<FunctionDetails>> {
    service.get_function(&name).await.map(|function| Json::of(function.into()))
}

async fn update(
    service: Service,
    access: Allowed<UpdateTaskFunction>,
    Name(name): Name,
    JsonBody(body): JsonBody<FunctionUpdate>,
) -> Result<Json<AffectedRecords>> {
    if body.name.as_ref().is_some_and(|other| *other != name) {
        let message = "The field 'name' differs from the name in the path. A Function cannot be renamed.";
        return Err(Error::new(ErrorKind::IllegalArgument, message));
    }
    let by = access.caller().user_id().cloned();
    service.update_function(&name, FunctionChange { by, ..body.try_into()? }).await.map(Json::of)
}

async fn delete(service: Service, _: Allowed<DeleteTaskFunction>, Name(name): Name) -> Result<Json<AffectedRecords>> {
    service.delete_function(&name).await.map(Json::of)
}

async fn enable(service: Service, _: Allowed<UpdateTaskFunction>, Name(name): Name) -> Result<Json<AffectedRecords>> {
    service.set_function_enabled(&name, true).await.map(Json::of)
}

async fn disable(service: Service, _: Allowed<UpdateTaskFunction>, Name(name): Name) -> Result<Json<AffectedRecords>> {
    service.set_function_enabled(&name, false).await.map(Json::of)
}

async fn execute(
    service: Service,
    access: ByPermissionMode<ExecuteTaskFunction>,
    Name(name): Name,
    OnceBody { body: OptionalJsonBody(body), once }: OnceBody<OptionalJsonBody<ExecutionInput>>,
) -> Result<Replayable<Json<Executed>>> {
    let data = body.and_then(|body| body.data);
    service.execute_once(access.caller(), &name, data, once.as_ref()).await.map(Replayable::of)
}

async fn logs(
    service: Service,
    _: Allowed<ViewTaskFunctionLogs>,
    (Name(name), FunctionLogRql(bounds)): (Name, FunctionLogRql),
) -> Result<Json<FunctionLogLines>> {
    service.function_logs(&name, &bounds).await.map(|lines| Json::of(lines.into()))
}
