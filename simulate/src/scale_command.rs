//! `simulate scale`: runs a scenario of scale and prints what came of it.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{process::ExitCode, time::Duration};

use simulate::scale::{Outcome, Scenario, run};

const HELP: &str = "\
usage: simulate scale [options]

Simulates a large deployment on AWS: the real engine, with the limits of DynamoDB and Lambda.

Options, with their defaults:
  --rate 1000          Tasks created in a second
  --seconds 60         for how long
  --schedules 0        instead of Tasks: Schedules that are due within one minute
  --functions 10       Functions, among which Tasks are divided
  --unequal            half of all Tasks are of the first Function, a quarter of the second, ...
  --own-lanes          each Function has a limit, and so a lane, of its own
  --shards 8           the parameter Shards
  --slots 300          the parameter TaskConcurrency
  --dispatchers 10     the parameter Dispatchers
  --holds 64           runs that one dispatcher holds at most
  --apis 20            processes that serve callers
  --takes 100          milliseconds that a run takes
  --concurrency 10000  the account's limit of concurrent Lambda executions
  --lag 10-100         milliseconds by which an index lags
  --patience 120       seconds that the work may go on after the last creation
  --seed 1";

/// Runs the command with these arguments.
pub fn main(args: Vec<String>) -> ExitCode {
    if args.iter().any(|arg| arg == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match parse(args.into_iter()) {
        Ok(scenario) => {
            print(&scenario, &run(&scenario));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Scenario, String> {
    let mut scenario = Scenario {
        seed: 1,
        rate: 1000,
        seconds: 60,
        schedules: 0,
        functions: 10,
        unequal: false,
        own_lanes: false,
        shards: 8,
        slots: 300,
        dispatchers: 10,
        runs_per_dispatcher: 64,
        apis: 20,
        takes: Duration::from_millis(100),
        concurrency: 10_000,
        index_lag: (10, 100),
        patience: 120,
    };
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--seed" => scenario.seed = number(&value()?)?,
            "--rate" => scenario.rate = number(&value()?)?,
            "--seconds" => scenario.seconds = number(&value()?)?,
            "--schedules" => scenario.schedules = number(&value()?)?,
            "--functions" => scenario.functions = number(&value()?)?,
            "--unequal" => scenario.unequal = true,
            "--own-lanes" => scenario.own_lanes = true,
            "--shards" => scenario.shards = number(&value()?)?,
            "--slots" => scenario.slots = number(&value()?)?,
            "--dispatchers" => scenario.dispatchers = number(&value()?)?,
            "--holds" => scenario.runs_per_dispatcher = number(&value()?)?,
            "--apis" => scenario.apis = number(&value()?)?,
            "--takes" => scenario.takes = Duration::from_millis(number(&value()?)?),
            "--concurrency" => scenario.concurrency = number(&value()?)?,
            "--patience" => scenario.patience = number(&value()?)?,
            "--lag" => {
                let range = value()?;
                let (from, to) = range.split_once('-').ok_or("--lag needs a range, such as 10-100")?;
                scenario.index_lag = (number(from)?, number(to)?);
            }
            other => return Err(format!("there is no option '{other}'")),
        }
    }
    if scenario.functions == 0 || scenario.apis == 0 || scenario.rate == 0 {
        return Err("--functions, --apis and --rate must be at least 1".to_owned());
    }
    if scenario.index_lag.0 > scenario.index_lag.1 {
        return Err("--lag must begin with the smaller number".to_owned());
    }
    Ok(scenario)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number that is allowed here"))
}

fn print(scenario: &Scenario, outcome: &Outcome) {
    let load = match scenario.schedules {
        0 => format!("{} Tasks a second for {} s", scenario.rate, scenario.seconds),
        schedules => format!("{schedules} Schedules due in one minute"),
    };
    println!(
        "{load}; {} Functions, {} shards, {} slots, {} dispatchers",
        scenario.functions, scenario.shards, scenario.slots, scenario.dispatchers,
    );
    let Outcome { created, completed, failed, refused, .. } = outcome;
    println!("  created {created} (refused {refused}), completed {completed}, failed {failed}");
    println!(
        "  {} completed in the median second; all done {:.1} s after the load",
        outcome.per_second,
        outcome.drained_in.as_secs_f64(),
    );
    let [median, most, latest] = outcome.waits;
    println!("  claimed after {median:.1?} in the median, {most:.1?} for 99 of 100, {latest:.1?} at the latest");
    println!(
        "  {} claims, {} lost; {} looks at lanes, {} heads; most at once: {} runs, {} connections of one process",
        outcome.claims,
        outcome.lost_claims,
        outcome.looks,
        outcome.heads,
        outcome.most_running,
        outcome.most_connections,
    );
    println!("  {:.2} write units and {:.2} read units for each Task", outcome.units.0, outcome.units.1);
    println!(
        "  {:<28}{:>11}{:>12}{:>12}{:>20}{:>11}",
        "kind", "partitions", "written", "read", "busiest, a second", "throttled"
    );
    for kind in &outcome.partitions {
        println!(
            "  {:<28}{:>11}{:>12.0}{:>12.0}{:>20.0}{:>11}",
            kind.kind, kind.partitions, kind.written, kind.read, kind.busiest, kind.throttled,
        );
    }
}
