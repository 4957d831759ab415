//! `/tasklane/v1/tasks/{taskId}/…`: the history of a Task, and why it is in its status (contract §13, §16). These endpoints have
//! no counterpart upstream.

use http::Method;
use tasklane_model::{Attempt, ErrorKind, Page, Result, Why};
use tasklane_service::Service;

use crate::{
    access::{Allowed, permission::ViewTasks},
    answer::Json,
    endpoint::Endpoint,
    params::{Id, UnreadQuery},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasklane/v1/tasks/{taskId}/attempts", "listTaskAttempts", attempts)
            .summary("List a Task and its retries")
            .about("The whole chain in one page, oldest first, from the id of any of its Tasks. RQL is ignored.")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::GET, "/tasklane/v1/tasks/{taskId}/why", "explainTask", why)
            .summary("Find out why a Task waits, or what became of it")
            .about("`reason` is for programs, and `message` says the same in a sentence.")
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Tasks")).collect()
}

async fn attempts(
    service: Service,
    _: Allowed<ViewTasks>,
    (Id(task), UnreadQuery(query)): (Id, UnreadQuery),
) -> Result<Json<Page<Attempt>>> {
    service.task_attempts(task, &query).await.map(Json::of)
}

async fn why(service: Service, _: Allowed<ViewTasks>, Id(task): Id) -> Result<Json<Why>> {
    service.why(task).await.map(Json::of)
}
