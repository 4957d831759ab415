//! `/tasklane/v1/tasks/{taskId}` and `…/result`: what became of a Task (contract §12).

use std::time::Duration;

use http::Method;
use tasklane_model::{ErrorKind, Result, Task};
use tasklane_service::{Service, TaskResult};

use crate::{
    access::{Allowed, permission::ViewTasks},
    answer::Json,
    endpoint::Endpoint,
    params::{Id, Wait},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasklane/v1/tasks/{taskId}", "getTask", get)
            .summary("Read a Task, or wait for its end")
            .about(
                "With `wait`, the answer comes as soon as the Task is final, or else after so many seconds, or earlier: ask \
                 again until the Task is final. A retried Task is final; `retriedByTaskId` is the next one.",
            )
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::GET, "/tasklane/v1/tasks/{taskId}/result", "getTaskResult", result)
            .summary("Read the result of a Task")
            .about(
                "The JSON that its run returned, if the Task or its Function has `storeResult`. A large one may be answered with \
                 status 303 and a `Location` that needs no credential and is valid for some minutes.",
            )
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Tasks")).collect()
}

async fn get(service: Service, _: Allowed<ViewTasks>, (Id(task), Wait(seconds)): (Id, Wait)) -> Result<Json<Task>> {
    service.get_task(task, Duration::from_secs(seconds.into())).await.map(Json::of)
}

async fn result(service: Service, _: Allowed<ViewTasks>, Id(task): Id) -> Result<TaskResult> {
    service.task_result(task).await
}
