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

/// Every endpoint there is: what the router routes and what the API document describes.
pub fn all() -> Vec<Endpoint> {
    [
        tasks::endpoints(),
        functions::endpoints(),
        api_functions::endpoints(),
        api_requests::endpoints(),
        schedules::endpoints(),
        credentials::endpoints(),
        callers::endpoints(),
        about::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
