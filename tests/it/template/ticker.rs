//! The settings in `template.yaml` of the function that ticks.

use std::time::Duration;

use tasklane::dispatch::TICK_BUDGET;

use super::template;

#[test]
fn a_tick_that_uses_up_its_budget_ends_before_its_process_and_before_the_next_tick() {
    let template = template();
    let ticker = &template["Resources"]["TickerFunction"]["Properties"];
    assert_eq!(ticker["Events"]["EachMinute"]["Properties"]["ScheduleExpression"], "rate(1 minute)");
    let limit = Duration::from_secs(ticker["Timeout"].as_u64().unwrap());
    assert!(limit < Duration::from_secs(60), "{limit:?}");
    // For the start, the calls in progress at the end of the budget, and the metrics.
    assert!(TICK_BUDGET + Duration::from_secs(15) <= limit, "{TICK_BUDGET:?} of {limit:?}");
}
