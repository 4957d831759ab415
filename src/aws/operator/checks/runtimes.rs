//! When AWS stops offering runtimes.

use std::time::Duration;

use tasklane_model::Timestamp;

use super::Finding;

/// How long before its end a runtime is noted.
const NOTED_BEFORE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A runtime: when AWS stops repairing it, when Lambda refuses to update Functions with it, and what to use instead.
type End = (&'static str, &'static str, &'static str, &'static str);

/// From Lambda's page, as cfn-lint 1.58 has it. A runtime that is not listed counts as fine: Lambda refuses what it no longer
/// accepts.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated>
const ENDS: &[End] = &[
    ("dotnet8", "2026-11-10", "2027-03-03", "dotnet10"),
    ("dotnet10", "2028-11-14", "2029-01-15", "a newer one"),
    ("java8.al2", "2027-06-30", "2027-08-31", "java25"),
    ("java11", "2027-06-30", "2027-08-31", "java25"),
    ("java17", "2027-06-30", "2027-08-31", "java25"),
    ("java21", "2029-06-30", "2029-08-31", "java25"),
    ("java25", "2029-06-30", "2029-08-31", "a newer one"),
    ("nodejs18.x", "2025-09-01", "2027-03-03", "nodejs24.x"),
    ("nodejs20.x", "2026-04-30", "2027-03-03", "nodejs24.x"),
    ("nodejs22.x", "2027-04-30", "2027-07-01", "nodejs24.x"),
    ("nodejs24.x", "2028-04-30", "2028-07-01", "a newer one"),
    ("provided.al2", "2026-07-31", "2027-03-03", "provided.al2023"),
    ("provided.al2023", "2029-06-30", "2029-08-31", "a newer one"),
    ("python3.9", "2025-12-15", "2027-03-03", "python3.14"),
    ("python3.10", "2026-10-31", "2027-03-03", "python3.14"),
    ("python3.11", "2027-06-30", "2027-08-31", "python3.14"),
    ("python3.12", "2028-10-31", "2029-01-10", "python3.14"),
    ("python3.13", "2029-06-30", "2029-08-31", "python3.14"),
    ("python3.14", "2029-06-30", "2029-08-31", "a newer one"),
    ("ruby3.2", "2026-03-31", "2027-03-03", "ruby3.4"),
    ("ruby3.3", "2027-03-31", "2027-05-31", "ruby3.4"),
    ("ruby3.4", "2028-03-31", "2028-05-31", "ruby4.0"),
    ("ruby4.0", "2029-03-31", "2029-05-31", "a newer one"),
];

/// What there is to say about a Function with this runtime. It runs for years after the end of its runtime, so that is never
/// wrong: a stack in which nothing has changed stays healthy.
pub(super) fn finding(what: String, runtime: &str, now: Timestamp) -> Finding {
    // Dates sort as text.
    let day = |time: Timestamp| time.to_string().chars().take(10).collect::<String>();
    let (today, soon) = (day(now), day(now.saturating_add(NOTED_BEFORE)));
    let end = ENDS.iter().find(|(ending, ..)| *ending == runtime);
    let note = match end {
        Some((_, ended, blocked, instead)) if today.as_str() >= *ended => Some(format!(
            "its runtime {runtime} has had no security updates since {ended}, and from {blocked} on Lambda refuses to update \
             it. Change `runtime` in its task-config.json to {instead}, and sync it"
        )),
        Some((_, ends, _, instead)) if soon.as_str() >= *ends => Some(format!(
            "its runtime {runtime} gets no security updates from {ends} on. Change `runtime` in its task-config.json to \
             {instead} before that"
        )),
        _ => None,
    };
    Finding::noted(what, note)
}

#[cfg(test)]
mod tests {
    use tasklane_model::Runtime;

    use super::{super::Health, *};

    fn on(day: &str, runtime: &str) -> Health {
        finding("f".to_owned(), runtime, format!("{day}T00:00:00Z").parse().unwrap()).state
    }

    #[test]
    fn a_runtime_is_noted_before_its_end_and_after_it() {
        assert_eq!(on("2026-01-01", "nodejs20.x"), Health::Fine);
        assert!(matches!(on("2026-03-01", "nodejs20.x"), Health::Noted(why) if why.contains("from 2026-04-30 on")));
        assert!(matches!(on("2026-04-30", "nodejs20.x"), Health::Noted(why) if why.contains("to nodejs24.x")));
        assert_eq!(on("2026-04-30", "cobol1"), Health::Fine);
    }

    #[test]
    fn every_date_is_one_and_every_successor_is_offered_and_lasts_longer() {
        for (runtime, ends, blocked, instead) in ENDS {
            for day in [ends, blocked] {
                assert!(format!("{day}T00:00:00Z").parse::<Timestamp>().is_ok(), "{runtime}: {day}");
            }
            assert!(ends < blocked, "{runtime}");
            if *instead != "a newer one" {
                assert!(Runtime::new(*instead).is_offered(), "{instead}");
                let later = ENDS.iter().find(|(other, ..)| other == instead);
                assert!(later.is_none_or(|(_, later, ..)| later >= ends), "{runtime}: {instead}");
            }
        }
    }
}
