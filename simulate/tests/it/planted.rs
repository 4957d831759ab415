//! Tests that the simulation can fail: it catches every planted bug.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use simulate::{Bug, run};

/// The number of seeds within which a bug must be caught.
const SEEDS: u64 = 1500;

/// The seed that caught each bug when this was last written down. It is tried first, so that what is caught late costs no minutes
/// each time; if it catches nothing any more, because the engine has changed, all are tried.
fn known() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/caught.tsv")
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; .ci/run runs it with")]
fn every_planted_bug_is_caught() {
    assert!(Bug::ALL.len() >= 12);
    let text = fs::read_to_string(known()).unwrap_or_default();
    let seeds: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(bug, seed)| (bug, seed.parse().expect("a seed")))
        .collect();
    let next = AtomicUsize::new(0);
    let caught = Mutex::new(BTreeMap::new());
    let hunt = || {
        while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let known = seeds.get(bug.to_string().as_str()).copied();
            let reports = known.into_iter().chain(0..SEEDS).map(|seed| run(seed, Some(*bug)));
            if let Some(report) = reports.into_iter().find(|report| !report.violations.is_empty()) {
                println!("{bug}: seed {}: {}", report.seed, report.violations[0]);
                caught.lock().expect("the map").insert(bug.to_string(), report.seed);
            }
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(hunt))));
    let caught = caught.into_inner().expect("the map");
    let escaped: Vec<_> = Bug::ALL.iter().filter(|bug| !caught.contains_key(&bug.to_string())).collect();
    assert!(escaped.is_empty(), "not caught within {SEEDS} seeds: {escaped:?}");
    if std::env::var_os("UPDATE_CAUGHT").is_some() {
        let lines: String = caught.iter().map(|(bug, seed)| format!("{bug}\t{seed}\n")).collect();
        fs::write(known(), lines).expect("the file can be written");
    }
}
