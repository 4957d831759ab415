//! `simulate --seeds N [--start S]`: runs seeds, and explains each broken promise.

mod scale_command;

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use simulate::{Bug, Plan, Report, run};

const USAGE: &str = "usage: simulate [--seeds N] [--start S] [--jobs J] [--bug NAME] [--plan] [--trace] [--twice]
       simulate scale [options]   how much a deployment can do; see simulate scale --help

  --seeds N    the number of seeds; default 100
  --start S    the first seed; default 0
  --jobs J     how many to run at once; default: the number of processors
  --bug NAME   plant a bug, to see it caught
  --plan       print the plan of each seed
  --trace      print everything that happened
  --twice      run each seed twice and compare";

#[derive(Clone)]
struct Args {
    seeds: u64,
    start: u64,
    jobs: usize,
    bug: Option<Bug>,
    plan: bool,
    trace: bool,
    twice: bool,
}

#[allow(clippy::print_stdout, clippy::print_stderr)] // this is a command
fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "scale") {
        return scale_command::main(args.split_off(1));
    }
    let args = match parse(args.into_iter()) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.plan {
        for seed in args.start..args.start + args.seeds {
            println!("{:#?}", Plan::of(seed));
        }
    }
    let started = Instant::now();
    let (next, failed) = (AtomicU64::new(args.start), Mutex::new(Vec::new()));
    let (tasks, runs) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.start + args.seeds {
                        return;
                    }
                    let mut report = run(seed, args.bug);
                    if args.twice && run(seed, args.bug).hash != report.hash {
                        report
                            .violations
                            .push("two runs of this seed differ: the simulation is not deterministic".to_owned());
                    }
                    tasks.fetch_add(report.tasks as u64, Ordering::Relaxed);
                    runs.fetch_add(report.runs as u64, Ordering::Relaxed);
                    if args.trace {
                        println!("{}", report.whole.join("\n"));
                    }
                    if !report.violations.is_empty() {
                        println!("{}", describe(&report, args.bug));
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_unstable();
    let took = started.elapsed();
    let each = took.as_secs_f64() * 1000.0 / args.seeds.max(1) as f64;
    println!(
        "{} seeds from {}: {} tasks, {} runs, {:.1} s ({each:.1} ms a seed); {} broke a promise",
        args.seeds,
        args.start,
        tasks.into_inner(),
        runs.into_inner(),
        took.as_secs_f64(),
        failed.len(),
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn describe(report: &Report, bug: Option<Bug>) -> String {
    let mut text = format!("seed {}: {} broken promises\n", report.seed, report.violations.len());
    for violation in report.violations.iter().take(5) {
        text += &format!("  {violation}\n");
    }
    text += "  the first one (virtual time, process, [task]):\n";
    for line in &report.trace {
        text += &format!("    {line}\n");
    }
    let bug = bug.map(|bug| format!(" --bug {bug}")).unwrap_or_default();
    text + &format!("  replay: cargo run --profile checks -p simulate -- --seeds 1 --start {}{bug}\n", report.seed)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Args { seeds: 100, start: 0, jobs, bug: None, plan: false, trace: false, twice: false };
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--seeds" => parsed.seeds = number(&value()?)?,
            "--start" => parsed.start = number(&value()?)?,
            "--jobs" => parsed.jobs = usize::try_from(number(&value()?)?.max(1)).unwrap_or(1),
            "--bug" => parsed.bug = Some(value()?.parse()?),
            "--plan" => parsed.plan = true,
            "--trace" => parsed.trace = true,
            "--twice" => parsed.twice = true,
            other => return Err(format!("there is no option '{other}'")),
        }
    }
    Ok(parsed)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}
