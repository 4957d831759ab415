//! `/tasklane/v1/overview` and `/tasklane/v1/stats`: the whole service at a glance (contract §23). These endpoints have no
//! counterpart upstream.

use http::Method;
use tasklane_model::{ErrorKind, Overview, Page, Result, RunStats};
use tasklane_service::Service;

use crate::{
    access::{Allowed, permission::ViewTasks},
    answer::Json,
    endpoint::Endpoint,
    params::UnreadQuery,
    range::Range,
};

/// What happens now.
pub fn now() -> Vec<Endpoint> {
    let endpoint = Endpoint::new(Method::GET, "/tasklane/v1/overview", "getOverview", overview)
        .summary("See what the service is doing now")
        .about("Counts go up to 1,000; past that they are lower bounds, and `…IsExact` is false.");
    vec![endpoint.tag("Overview")]
}

/// What happened.
pub fn over_time() -> Vec<Endpoint> {
    let endpoint = Endpoint::new(Method::GET, "/tasklane/v1/stats", "getStats", stats)
        .summary("See how runs ended over time")
        .about(
            "By step and Function, the earliest first; a step in which nothing ran is left out. At most 1,500 steps and 10,000 \
             records. Runs are remembered for seven days, and count once they have ended. Only a service on one machine \
             remembers them; on AWS, CloudWatch has the same metrics.",
        )
        .fails(&[ErrorKind::IllegalArgument, ErrorKind::Endpoint]);
    vec![endpoint.tag("Overview")]
}

async fn overview(service: Service, _: Allowed<ViewTasks>) -> Result<Json<Overview>> {
    service.overview().await.map(Json::of)
}

async fn stats(
    service: Service,
    _: Allowed<ViewTasks>,
    (range, UnreadQuery(query)): (Range, UnreadQuery),
) -> Result<Json<Page<RunStats>>> {
    service.stats(range.until(service.now()), &query).await.map(Json::of)
}
