//! The endpoints of the contract (§3), one file for each resource.

mod api_functions;
mod api_requests;
mod bulks;
mod callers;
mod credentials;
mod execution_credentials;
mod failures;
mod flow;
mod functions;
mod overview;
mod own_schedules;
mod rehearsal;
mod roles;
mod schedules;
mod task_batches;
mod task_results;
mod task_streams;
mod tasks;
mod tasks_explained;
mod uploads;
mod user_tokens;
mod users;
mod versions;

use super::endpoint::Endpoint;

/// The endpoints of one resource. They are made with the first request for one of them, because a starting handler has
/// only one request to answer.
pub struct Group {
    /// The prefix of their paths, in whole segments.
    pub below: &'static str,
    pub endpoints: fn() -> Vec<Endpoint>,
}

/// The groups of all resources. The group with the longest matching prefix gets a request.
pub static GROUPS: [Group; 20] = [
    Group { below: "/tasks/v1", endpoints: tasks::endpoints },
    Group { below: "/tasks/v1/functions", endpoints: functions::endpoints },
    Group { below: "/tasks/v1/api", endpoints: api_functions::endpoints },
    Group { below: "/tasks/v1/apiRequests", endpoints: api_requests::endpoints },
    Group { below: "/tasks/v1/schedules", endpoints: schedules::endpoints },
    Group {
        below: "/tasklane/v1/tasks",
        endpoints: || [tasks_explained::endpoints(), task_results::endpoints(), task_streams::of_one()].concat(),
    },
    Group { below: "/tasklane/v1/tasks/batch", endpoints: task_batches::endpoints },
    Group { below: "/tasklane/v1/events", endpoints: task_streams::of_all },
    Group { below: "/tasklane/v1/bulk", endpoints: bulks::endpoints },
    Group { below: "/tasklane/v1/failures", endpoints: failures::endpoints },
    Group {
        below: "/tasklane/v1/functions",
        endpoints: || [flow::endpoints(), versions::endpoints(), execution_credentials::endpoints()].concat(),
    },
    Group { below: "/tasklane/v1/overview", endpoints: overview::now },
    Group { below: "/tasklane/v1/stats", endpoints: overview::over_time },
    Group { below: "/tasklane/v1/schedules", endpoints: own_schedules::endpoints },
    Group { below: "/tasklane/v1/test", endpoints: rehearsal::endpoints },
    Group { below: "/tasklane/v1/credentials", endpoints: credentials::endpoints },
    Group { below: "/tasklane/v1/uploads", endpoints: uploads::endpoints },
    Group { below: "/users/v1", endpoints: || [callers::endpoints(), users::endpoints()].concat() },
    Group { below: "/users/v1/roles", endpoints: roles::endpoints },
    Group { below: "/auth/v2", endpoints: user_tokens::endpoints },
];

impl Group {
    /// Whether the path has the group's prefix.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
