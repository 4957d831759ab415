//! `/tasklane/v1/tasks/{taskId}/events` and `/tasklane/v1/events`: Tasks followed live (contract §12).

use http::Method;
use tasklane_model::{ErrorKind, Result};
use tasklane_service::Service;

use crate::{
    access::{Allowed, permission::ViewTasks},
    endpoint::Endpoint,
    event_stream::EventStream,
    params::{Conditions, Id},
};

use super::tasks::Tasks;

/// The stream of one Task.
pub fn of_one() -> Vec<Endpoint> {
    let endpoint = Endpoint::new(Method::GET, "/tasklane/v1/tasks/{taskId}/events", "streamTask", one)
        .summary("Follow a Task live")
        .about(
            "Server-sent events. `task` is the Task as it is now, and again whenever it changes. `log` is a line of its run, \
             `{taskId, timestamp, message}`, from the first one on; it needs the permission `VIEW_TASK_LOGS` too, and is left out \
             without it. `end` is the last event, once the Task is final: `{taskId, status, retriedByTaskId?}`. The server \
             closes a stream after ten minutes: open it again. Only a service on one machine has streams; where there is none, \
             wait for the Task.",
        )
        .fails(&[ErrorKind::ResourceUnknown, ErrorKind::TooManyRequests, ErrorKind::Endpoint]);
    vec![endpoint.tag("Tasks")]
}

/// The stream of all Tasks.
pub fn of_all() -> Vec<Endpoint> {
    let endpoint = Endpoint::new(Method::GET, "/tasklane/v1/events", "streamTasks", all)
        .summary("Follow all Tasks live")
        .about(
            "Server-sent events from now on: `task` is a Task that was created or has changed, and `log` is a line of a run, with \
             the permission `VIEW_TASK_LOGS`. `gap` means that this reader was too slow, and missed something: list the Tasks \
             again. The stream begins before the response does, so a list that is requested after that misses nothing. The \
             server closes a stream after ten minutes: open it again. Only a service on one machine has streams; where there \
             is none, list the Tasks from time to time.",
        )
        .fails(&[ErrorKind::TooManyRequests, ErrorKind::Endpoint]);
    vec![endpoint.tag("Tasks")]
}

async fn one(service: Service, access: Allowed<ViewTasks>, Id(task): Id) -> Result<EventStream> {
    service.stream_task(access.caller(), task).await.map(EventStream)
}

async fn all(service: Service, access: Allowed<ViewTasks>, rql: Conditions<Tasks>) -> Result<EventStream> {
    service.stream_tasks(access.caller(), rql.query).map(EventStream)
}
