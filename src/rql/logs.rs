//! The subset of RQL that the log endpoints accept (contract §3).

use std::ops::Bound;

use tasklane_model::{Error, ErrorKind, Result, Timestamp};

use super::{Comparison, Filter, Query, Schema, Window};

/// Which log lines of one run to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLogBounds {
    /// The time of the oldest line.
    pub from: Option<Timestamp>,
    /// The part of the lines that the page holds.
    pub window: Window,
}

/// Which log lines of a Function to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionLogBounds {
    /// The time of the oldest line.
    pub from: Timestamp,
    /// The time of the newest line.
    pub to: Timestamp,
    /// The part of the lines that the page holds.
    pub window: Window,
}

/// The longest time span of a Function's log lines, in milliseconds: 24 hours.
const LONGEST_SPAN_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Reads the RQL of a run's logs: at most `ge(timestamp,…)` and a `limit` (19 otherwise).
pub fn run_log_bounds(raw: &str) -> Result<RunLogBounds> {
    let query = Query::parse(raw, &Schema::RUN_LOGS)?;
    let rule = "The logs of a run accept only ge(timestamp,…) and limit(…).";
    only_a_filter(&query, rule)?;
    let bounds = bounds_on(query.filter.as_ref(), "timestamp", &[Comparison::Ge], rule)?;
    let from = match bounds.0 {
        Bound::Included(from) | Bound::Excluded(from) => Some(from),
        Bound::Unbounded => None,
    };
    Ok(RunLogBounds { from, window: query.window })
}

/// Reads the RQL of a Function's logs: `eventTimestamp` bounded on both sides, at most 24 hours apart, and a `limit`.
///
/// Fails with 20 if there is no RQL, and with 19 if it is anything else.
pub fn function_log_bounds(raw: &str) -> Result<FunctionLogBounds> {
    let rule = "The logs of a Function need eventTimestamp bounded on both sides, at most 24 hours apart: \
                ge(eventTimestamp,…)&le(eventTimestamp,…), optionally with a limit(…).";
    if raw.trim_start_matches('?').is_empty() {
        return Err(Error::new(ErrorKind::EmptyRql, rule));
    }
    let query = Query::parse(raw, &Schema::FUNCTION_LOGS)?;
    only_a_filter(&query, rule)?;
    let both = [Comparison::Ge, Comparison::Gt, Comparison::Le, Comparison::Lt];
    // Log lines carry milliseconds, so a later line is at least one millisecond later.
    let (from, to) = match bounds_on(query.filter.as_ref(), "eventTimestamp", &both, rule)? {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => return Err(Error::invalid_rql(rule)),
        (Bound::Included(from), Bound::Included(to)) => (from, to),
        (Bound::Included(from), Bound::Excluded(to)) => (from, shifted(to, -1)),
        (Bound::Excluded(from), Bound::Included(to)) => (shifted(from, 1), to),
        (Bound::Excluded(from), Bound::Excluded(to)) => (shifted(from, 1), shifted(to, -1)),
    };
    if to.as_millis() - from.as_millis() > LONGEST_SPAN_MILLIS {
        return Err(Error::invalid_rql(rule));
    }
    Ok(FunctionLogBounds { from, to, window: query.window })
}

fn shifted(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::saturating_from_millis(at.as_millis() + millis)
}

fn only_a_filter(query: &Query, rule: &str) -> Result<()> {
    let plain = query.sort.is_empty() && query.select.is_none() && !query.skip_count;
    if plain { Ok(()) } else { Err(Error::invalid_rql(rule)) }
}

/// The bounds that these comparisons of this field set; anything else in the filter is an error.
fn bounds_on(
    filter: Option<&Filter>,
    name: &str,
    allowed: &[Comparison],
    rule: &str,
) -> Result<(Bound<Timestamp>, Bound<Timestamp>)> {
    fn plain(filter: &Filter, name: &str, allowed: &[Comparison]) -> bool {
        match filter {
            Filter::And(all) => all.iter().all(|filter| plain(filter, name, allowed)),
            Filter::Compare { field, op, .. } => field.is(name) && allowed.contains(op),
            Filter::Or(_) | Filter::In { .. } | Filter::Like { .. } | Filter::Contains { .. } => false,
        }
    }
    match filter {
        None => Ok((Bound::Unbounded, Bound::Unbounded)),
        Some(filter) if plain(filter, name, allowed) => Ok(filter.required_range(name)),
        Some(_) => Err(Error::invalid_rql(rule)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_logs_of_a_run_may_be_bounded_from_below() {
        let from = Some(at("2026-01-31T08:15:30.123Z"));
        assert_eq!(run_log_bounds("").unwrap(), RunLogBounds { from: None, window: Window::default() });
        assert_eq!(
            run_log_bounds("?ge(timestamp,2026-01-31T08:15:30.123Z)&limit(5,10)").unwrap(),
            RunLogBounds { from, window: Window { limit: 5, offset: 10 } }
        );
        assert_eq!(run_log_bounds("timestamp>=2026%252D01%252D31T08:15:30.123Z").unwrap().from, from);
    }

    #[test]
    fn the_logs_of_a_run_accept_nothing_else() {
        for text in [
            "gt(timestamp,2026-01-31)",
            "le(timestamp,2026-01-31)",
            "eq(message,x)",
            "sort(-timestamp)",
            "skipCount()",
            "or(timestamp>=2026-01-31,timestamp>=2026-01-30)",
            "ge(timestamp,soon)",
        ] {
            assert_eq!(run_log_bounds(text).expect_err(text).kind(), ErrorKind::InvalidRql, "{text}");
        }
    }

    #[test]
    fn the_logs_of_a_function_are_bounded_on_both_sides() {
        assert_eq!(
            function_log_bounds("ge(eventTimestamp,2026-01-31)&le(eventTimestamp,2026-02-01)&limit(5)").unwrap(),
            FunctionLogBounds { from: at("2026-01-31"), to: at("2026-02-01"), window: Window { limit: 5, offset: 0 } }
        );
        let open = function_log_bounds("eventTimestamp>2026-01-31&eventTimestamp<2026-02-01").unwrap();
        assert_eq!((open.from, open.to), (at("2026-01-31T00:00:00.001Z"), at("2026-01-31T23:59:59.999Z")));
    }

    #[test]
    fn the_logs_of_a_function_are_refused_without_bounds_or_over_more_than_a_day() {
        for text in ["", "?"] {
            assert_eq!(function_log_bounds(text).unwrap_err().kind(), ErrorKind::EmptyRql);
        }
        for text in [
            "ge(eventTimestamp,2026-01-31)",
            "le(eventTimestamp,2026-01-31)",
            "limit(5)",
            "ge(eventTimestamp,2026-01-31)&le(eventTimestamp,2026-02-01T00:00:00.001Z)",
            "ge(eventTimestamp,2026-01-31)&le(eventTimestamp,2026-02-01)&like(message,x)",
            "or(ge(eventTimestamp,2026-01-31),le(eventTimestamp,2026-02-01))",
        ] {
            assert_eq!(function_log_bounds(text).expect_err(text).kind(), ErrorKind::InvalidRql, "{text}");
        }
    }
}
