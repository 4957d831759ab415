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

/// Subcommands of `tasks` that the exh CLI has for Functions.
const FUNCTION_COMMANDS: [(&str, &str); 3] =
    [("sync", "tasklane sync"), ("delete", "tasklane delete"), ("init", "tasklane init")];

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

/// The error, with a tip about what was probably meant.
pub(super) fn with_tip(mut error: Error) -> Error {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = word(ContextKind::InvalidSubcommand).unwrap_or_default();
            let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
            let known: &[_] = if usage.contains("tasklane tasks") { &FUNCTION_COMMANDS } else { &COMMANDS };
            find(known, &typed).map(|ours| format!("that is `{ours}` here"))
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

fn find(known: &[(&str, &'static str)], typed: &str) -> Option<&'static str> {
    known.iter().find(|(theirs, _)| *theirs == typed).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> String {
        with_tip(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string()
    }

    #[test]
    fn what_other_tools_call_a_thing_gets_a_tip() {
        for (line, tip) in [
            ("tasklane invoke hello", "that is `tasklane execute` here"),
            ("tasklane push", "that is `tasklane sync` here"),
            ("tasklane functions list", "that is `tasklane list` here"),
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
        for (theirs, ours) in COMMANDS {
            let error = Cli::try_parse_from(["tasklane", theirs]).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::InvalidSubcommand), "{theirs}");
            let command = ours.split(' ').chain(["--help"]);
            assert_eq!(Cli::try_parse_from(command).unwrap_err().kind(), ErrorKind::DisplayHelp, "{ours}");
        }
    }
}
