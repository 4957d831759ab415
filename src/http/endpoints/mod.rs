//! The endpoints of the contract (§3), one file a resource.

mod about;
mod api_functions;
mod api_requests;
mod callers;
mod credentials;
mod functions;
mod schedules;
mod tasks;

use super::endpoint::Endpoint;

/// The endpoints of one resource, made when a request for one of them comes: a handler that starts has one request to answer.
pub struct Group {
    /// What their paths begin with; whole segments.
    pub below: &'static str,
    /// Makes them.
    pub endpoints: fn() -> Vec<Endpoint>,
}

/// Every endpoint there is. A request finds its own in the group with the longest beginning of its path.
pub const GROUPS: [Group; 9] = [
    Group { below: "/tasks/v1", endpoints: tasks::endpoints },
    Group { below: "/tasks/v1/functions", endpoints: functions::endpoints },
    Group { below: "/tasks/v1/api", endpoints: api_functions::endpoints },
    Group { below: "/tasks/v1/apiRequests", endpoints: api_requests::endpoints },
    Group { below: "/tasks/v1/schedules", endpoints: schedules::endpoints },
    Group { below: "/tasklane/v1/credentials", endpoints: credentials::endpoints },
    Group { below: "/users/v1", endpoints: callers::endpoints },
    Group { below: "/tasks/v1/openapi.json", endpoints: about::document_endpoints },
    Group { below: "", endpoints: about::endpoints },
];

impl Group {
    /// Whether a request for this path may be for the group.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// All endpoints of all groups: what the API document describes.
pub fn all() -> Vec<Endpoint> {
    GROUPS.iter().flat_map(|group| (group.endpoints)()).collect()
}
