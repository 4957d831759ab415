//! Writes `docs/benchmarks.md` and its plots from the results of the rows.

use std::{fmt::Write as _, fs, process::Command};

use crate::{
    context::Context,
    packages::version,
    plot,
    row::{Line, Taken, Target},
    rows,
};

/// Writes the page from the last result of every row. A quick run only shows whether everything works: its page goes to
/// `target/bench`.
pub fn write(context: &Context) -> anyhow::Result<()> {
    let folder = context.pages();
    let plots = folder.join("benchmarks");
    fs::create_dir_all(&plots)?;
    let mut taken = Vec::new();
    for row in rows::ALL {
        taken.extend(context.kept(row.id)?);
    }
    let mut page = String::from(HEAD);
    writeln!(page, "## Summary\n\n| what | tasklane | compared with | ratio | target | |\n|---|---|---|---|---|---|")?;
    for line in taken.iter().flat_map(|taken| &taken.lines) {
        writeln!(page, "{}", row_of(line))?;
    }
    writeln!(page, "\n{UNDER_THE_TABLE}")?;
    for taken in &taken {
        section(&mut page, taken)?;
        for drawn in &taken.plots {
            fs::write(plots.join(format!("{}.svg", drawn.name)), plot::svg(drawn))?;
        }
    }
    writeln!(page, "## The machine and the versions\n")?;
    for (name, what) in versions() {
        writeln!(page, "- {name}: {what}")?;
    }
    let more = context.repository.join("docs/benchmarks/notes.md");
    if let Ok(notes) = fs::read_to_string(more) {
        writeln!(page, "\n{}", notes.trim_end())?;
    }
    let path = folder.join("benchmarks.md");
    fs::write(&path, page)?;
    context.say(&format!("wrote {}", path.display()));
    Ok(())
}

const HEAD: &str = "# Benchmarks

Written by `cargo bench --bench peers`, which installs the peers itself (`infra/bench`), starts everything as processes
on one machine, and alternates: A, B, A, B, … Each figure is the median of its rounds, with the lowest and the highest
in brackets; a ratio is the median of the ratios of the rounds. `-- --only api,warm` measures only these rows again. Speed depends
on the machine, so the ratios matter most. [performance.md](performance.md) says what we changed because of the figures.

";

const UNDER_THE_TABLE: &str = "✓ reached, ✗ not reached; blank without a target.\n";

fn row_of(line: &Line) -> String {
    let (against, ratio) = match (&line.against, line.ratio()) {
        (Some((name, figure)), Some(ratio)) => (format!("{name}: {}", figure.shown()), ratio.shown()),
        _ => (String::new(), String::new()),
    };
    let mark = match line.reached() {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    };
    let target: Target = line.target;
    let (what, ours, wanted) = (&line.what, line.ours.shown(), target.shown(&line.ours.unit));
    format!("| {what} | {ours} | {against} | {ratio} | {wanted} | {mark} |")
}

fn section(page: &mut String, taken: &Taken) -> std::fmt::Result {
    let what = rows::ALL.iter().find(|row| row.id == taken.id).map_or("", |row| row.what);
    writeln!(page, "## {}: {what}\n", taken.id)?;
    let quick = if taken.quick { "; a quick run: the figures are rough" } else { "" };
    writeln!(
        page,
        "`cargo bench --bench peers -- --only {}`, {} at commit {}: {} rounds, load average {} before{quick}.\n",
        taken.id, taken.at, taken.commit, taken.rounds, taken.load_before
    )?;
    for note in &taken.notes {
        writeln!(page, "{note}\n")?;
    }
    for plot in &taken.plots {
        writeln!(page, "![{}](benchmarks/{}.svg)\n", plot.title, plot.name)?;
    }
    Ok(())
}

fn versions() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let processors = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or("0");
    let gigabytes = memory.parse::<u64>().unwrap_or(0) / (1 << 20);
    vec![
        ("processor", format!("{} × {}", processors, model.trim_start_matches([' ', '\t', ':']))),
        ("memory", format!("{gigabytes} GB")),
        ("kernel", version(Command::new("uname").args(["-sr"]))),
        ("Rust", version(Command::new("rustc").arg("--version"))),
        ("Node.js", version(Command::new("node").arg("--version"))),
        ("Python", version(Command::new("python3").arg("--version"))),
        (
            "peers",
            "serverless 3.40.0, serverless-offline 13.9.0, aws-lambda-ric 3.3.0 (npm); awslambdaric 4.2.2, \
                   aws-lambda-rie of aws-sam-cli 1.170.0 (PyPI): `infra/bench`"
                .to_owned(),
        ),
    ]
}
