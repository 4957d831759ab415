//! Tips for people who type what other tools call a thing.

use clap::{
    CommandFactory as _, Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Cli;

/// Commands of other tools, and ours.
const COMMANDS: [(&str, &str); 35] = [
    ("invoke", "tasklane execute"),
    ("call", "tasklane execute"),
    ("exec", "tasklane execute"),
    ("local", "tasklane dev"),
    ("start", "tasklane dev"),
    ("serve", "tasklane dev"),
    ("offline", "tasklane dev"),
    ("up", "tasklane dev"),
    ("watch", "tasklane dev"),
    ("push", "tasklane sync"),
    ("publish", "tasklane sync"),
    ("plan", "tasklane sync --plan"),
    ("revert", "tasklane rollback"),
    ("undo", "tasklane rollback"),
    ("history", "tasklane versions"),
    ("new", "tasklane init"),
    ("create", "tasklane init"),
    ("generate", "tasklane init"),
    ("log", "tasklane logs"),
    ("tail", "tasklane logs --follow"),
    ("remove", "tasklane delete"),
    ("rm", "tasklane delete"),
    ("ls", "tasklane list"),
    ("show", "tasklane get"),
    ("describe", "tasklane get"),
    ("info", "tasklane get"),
    ("functions", "tasklane list"),
    ("function", "tasklane get"),
    ("login", "tasklane credentials create"),
    ("auth", "tasklane credentials create"),
    ("tokens", "tasklane credentials list"),
    ("cron", "tasklane schedules create"),
    ("queue", "tasklane tasks create"),
    ("enqueue", "tasklane tasks create"),
    ("check", "tasklane doctor"),
];

/// Subcommands of `tasks` that the exh CLI has for Functions, and those that other tools have for Tasks.
const TASK_COMMANDS: [(&str, &str); 12] = [
    ("sync", "tasklane sync"),
    ("delete", "tasklane delete"),
    ("init", "tasklane init"),
    ("execute", "tasklane execute"),
    ("enable", "tasklane enable"),
    ("disable", "tasklane disable"),
    ("functions", "tasklane list"),
    ("run", "tasklane tasks create"),
    ("add", "tasklane tasks create"),
    ("show", "tasklane tasks get"),
    ("ls", "tasklane tasks list"),
    ("rm", "tasklane tasks cancel"),
];

/// What others put before the commands for Functions, which have no such word here.
const NOUNS: [&str; 2] = ["functions", "function"];

/// Commands of the exh CLI for services of the platform that this is none of.
const OTHER_SERVICES: [&str; 6] = ["data", "dispatchers", "idp", "localizations", "templates", "users"];

/// Options of other tools, and ours.
const OPTIONS: [(&str, &str); 12] = [
    ("--payload", "--data"),
    ("--body", "--data"),
    ("--input", "--data"),
    ("-d", "--data"),
    ("--async", "`tasklane tasks create`, which queues it"),
    ("--wait", "`tasklane tasks wait`"),
    ("--cron", "`tasklane schedules create`"),
    ("--name", "the name without an option"),
    ("--stage", "--url, or --host"),
    ("--profile", "--credentials"),
    ("--output", "--json"),
    ("--tail", "--follow"),
];

/// The error, with a tip about what was probably meant by these words.
pub(super) fn with_tip(mut error: Error, words: &[String]) -> Error {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = word(ContextKind::InvalidSubcommand).unwrap_or_default();
            let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
            let here = |ours: &str| format!("that is `{ours}` here");
            if usage.contains("tasklane tasks") {
                find(&TASK_COMMANDS, &typed).map(here)
            } else if OTHER_SERVICES.contains(&typed.as_str()) {
                Some(format!("this is the Task Service only: for another service of the platform, use `exh {typed}`"))
            } else {
                let after = words.iter().skip_while(|word| **word != typed).nth(1).map_or("", String::as_str);
                let verb = NOUNS.contains(&typed.as_str()).then(|| of_functions(after)).flatten();
                verb.or_else(|| find(&COMMANDS, &typed).map(str::to_owned)).map(|ours| here(&ours))
            }
        }
        ErrorKind::UnknownArgument => {
            let typed = word(ContextKind::InvalidArg).unwrap_or_default();
            find(&OPTIONS, &typed).map(|ours| format!("use {ours}"))
        }
        _ => return error,
    };
    // An option that does not exist is hardly meant as a value.
    let is_about_values = |tip: &StyledStr| tip.to_string().contains("as a value");
    let tips = match error.get(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips.iter().filter(|tip| !is_about_values(tip)).cloned().collect(),
        _ => Vec::new(),
    };
    let Some(tip) = tip else {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        return error;
    };
    // A part cannot be removed from an error, so it is made again, without names that only look alike.
    let mut better = Error::new(error.kind()).with_cmd(&Cli::command());
    let looks_alike = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::Suggested];
    for (kind, value) in error.context().filter(|(kind, _)| !looks_alike.contains(kind)) {
        better.insert(kind, value.clone());
    }
    better.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    better
}

/// The command for Functions that others call so.
fn of_functions(verb: &str) -> Option<String> {
    let is_ours = Cli::command().find_subcommand(verb).is_some_and(|command| !command.has_subcommands());
    let theirs = || find(&COMMANDS, verb).map(str::to_owned);
    if is_ours { Some(format!("tasklane {verb}")) } else { theirs() }
}

fn find(known: &[(&str, &'static str)], typed: &str) -> Option<&'static str> {
    known.iter().find(|(theirs, _)| *theirs == typed).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        with_tip(Cli::try_parse_from(&words).unwrap_err(), &words).to_string()
    }

    #[test]
    fn what_other_tools_call_a_thing_gets_a_tip() {
        for (line, tip) in [
            ("tasklane invoke hello", "that is `tasklane execute` here"),
            ("tasklane push", "that is `tasklane sync` here"),
            ("tasklane functions", "that is `tasklane list` here"),
            ("tasklane functions list", "that is `tasklane list` here"),
            ("tasklane functions get x", "that is `tasklane get` here"),
            ("tasklane functions delete --name x", "that is `tasklane delete` here"),
            ("tasklane functions invoke x", "that is `tasklane execute` here"),
            ("tasklane function sync --path x", "that is `tasklane sync` here"),
            ("tasklane tasks execute x", "that is `tasklane execute` here"),
            ("tasklane templates list", "use `exh templates`"),
            ("tasklane tasks sync --path x", "that is `tasklane sync` here"),
            ("tasklane execute hello --payload {}", "use --data"),
            ("tasklane execute hello -d {}", "use --data"),
            ("tasklane delete --name x", "use the name without an option"),
        ] {
            let told = told(line);
            assert!(told.contains(tip) && told.matches("tip:").count() == 1, "{line}: {told}");
        }
        // clap's own tip helps with a typing error.
        assert!(told("tasklane lst").contains("list"), "{}", told("tasklane lst"));
        assert!(told("tasklane dev --prot 1").contains("--port"));
        assert!(!told("tasklane dev --cheese").contains("as a value"));
    }

    #[test]
    fn no_habit_is_a_command_of_ours() {
        let of_tasks = TASK_COMMANDS.map(|(theirs, ours)| (format!("tasklane tasks {theirs}"), ours));
        let of_other_services = OTHER_SERVICES.map(|theirs| (format!("tasklane {theirs}"), "tasklane"));
        let others = COMMANDS.map(|(theirs, ours)| (format!("tasklane {theirs}"), ours));
        for (theirs, ours) in others.into_iter().chain(of_tasks).chain(of_other_services) {
            let error = Cli::try_parse_from(theirs.split(' ')).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::InvalidSubcommand), "{theirs}");
            let command = ours.split(' ').chain(["--help"]);
            assert_eq!(Cli::try_parse_from(command).unwrap_err().kind(), ErrorKind::DisplayHelp, "{ours}");
        }
    }
}
