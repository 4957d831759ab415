//! Cron expressions in time zones, compared with an independent library.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use tasklane::model::{Recurrence, Timestamp};

use crate::support::{project::repository, python};

/// Zones of both hemispheres, with changes of an hour, of half an hour and of two, at midnight, with none, and far from UTC.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Nuuk",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
];

const EXPRESSIONS: &[&str] = &[
    "0 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "15 1 * * *",
    "45 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "45 2,14 * * *",
    "0,30 1-3 * * *",
    "30 23 * * SUN",
    "0 9 * * MON-FRI",
    "0 9 * * MON#1",
    "0 9 * * 5L",
    "30 2 L * *",
    "0 0 29 2 *",
    "0 12 1,15 * FRI",
    "0 6 1 JAN,JUL *",
    "*/30 * 20-31 3,10 *",
    "*/20 1-3 * * *",
    "5 * * * SUN",
    "0 */6 * * *",
];

/// Differences that are meant: where, and why.
const KNOWN: &[(&str, &str, &str)] = &[(
    "Australia/Lord_Howe",
    "0 */6 * * *",
    "on the days on which the clock changes by half an hour, the library goes on in whole hours and misses 6:00",
)];

#[test]
fn expressions_are_due_when_an_independent_library_says() {
    let pairs: Vec<_> =
        ZONES.iter().flat_map(|zone| EXPRESSIONS.iter().map(move |expression| (*zone, *expression))).collect();
    let theirs = theirs(&pairs);
    assert_eq!(theirs.len(), pairs.len());
    let mut differences = Vec::new();
    let mut compared = 0;
    for ((zone, expression), theirs) in pairs.into_iter().zip(theirs) {
        let ours = ours(zone, expression);
        compared += ours.len();
        let is_known = KNOWN.iter().any(|(known_zone, known, _)| (*known_zone, *known) == (zone, expression));
        if is_known == (ours == theirs) {
            let lacking: Vec<_> = theirs.iter().filter(|at| !ours.contains(at)).take(5).map(readable).collect();
            let more: Vec<_> = ours.iter().filter(|at| !theirs.contains(at)).take(5).map(readable).collect();
            differences.push(format!("{zone} {expression}: lacks {lacking:?}, has {more:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 100_000, "{compared}");
}

fn readable(second: &i64) -> String {
    Timestamp::from_millis(second * 1000).unwrap().to_string()
}

fn ours(zone: &str, expression: &str) -> Vec<i64> {
    let recurrence = Recurrence::Cron(expression.parse().unwrap(), zone.parse().unwrap());
    let begin: Timestamp = "2026-01-01".parse().unwrap();
    let end: Timestamp = "2031-01-01".parse().unwrap();
    let mut at = begin;
    let mut all = Vec::new();
    while let Some(next) = recurrence.after(at, begin).filter(|next| *next < end) {
        // The library begins behind its start.
        if next > begin {
            all.push(next.as_secs());
        }
        at = next;
    }
    all
}

fn theirs(pairs: &[(&str, &str)]) -> Vec<Vec<i64>> {
    let programs = python::install("cronsim");
    let mut child = Command::new(programs.join("python"))
        .arg(repository().join("infra/python/occurrences.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: String = pairs.iter().map(|(zone, expression)| format!("{zone}\t{expression}\n")).collect();
    // Both pipes may fill up.
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("the writer ends").expect("python reads its input");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().map(|line| line.split(' ').filter_map(|at| at.parse().ok()).collect()).collect()
}
