//! The connection of a subcommand to a service, and the display of responses.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tasklane_client::{Client, ClientError, Listing, Record};
use tasklane_model::{Json, with_causes};

use super::{Outcome, connect::ConnectArgs, output, table::Layout};

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Debug, clap::Args)]
pub(super) struct Remote<T: clap::Args> {
    #[command(flatten)]
    args: T,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl<T: clap::Args> Remote<T> {
    /// Runs the command. With `--json`, stdout gets JSON in any case: if there is an error, and nothing was printed yet,
    /// `{"error": {"message": …}}`.
    pub(super) async fn run(self, command: impl AsyncFnOnce(Session, T) -> Outcome) -> Outcome {
        self.run_checked(|_| Ok(()), command).await
    }

    /// The same, with a check of the arguments before a service is looked for.
    pub(super) async fn run_checked(
        self,
        check: impl FnOnce(&T) -> anyhow::Result<()>,
        command: impl AsyncFnOnce(Session, T) -> Outcome,
    ) -> Outcome {
        let answered = Arc::new(AtomicBool::new(false));
        let outcome = match check(&self.args).and_then(|()| self.connect.client()) {
            Ok(client) => {
                let (json, layout) = (self.json, Layout::of_stdout());
                let again = client.clone();
                let outcome =
                    command(Session { client, json, layout, answered: Arc::clone(&answered) }, self.args).await;
                match outcome {
                    Err(error) => Err(with_similar_name(error, &again).await),
                    Ok(verdict) => Ok(verdict),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome
            && self.json
            && !answered.load(Ordering::Relaxed)
        {
            output::json(&indented(&json_of(error))?)?;
        }
        outcome
    }
}

/// The connection and the output settings of a subcommand.
pub(super) struct Session {
    pub(super) client: Client,
    /// Whether to print JSON, for programs.
    pub(super) json: bool,
    pub(super) layout: Layout,
    /// Whether JSON was printed.
    answered: Arc<AtomicBool>,
}

/// The error, with the name of a Function that was probably meant if there is none of the given name.
async fn with_similar_name(error: anyhow::Error, client: &Client) -> anyhow::Error {
    let Some(ClientError::Service(unknown)) = error.downcast_ref::<ClientError>() else { return error };
    let named = unknown.message.strip_prefix("There is no function '").and_then(|rest| rest.split('\'').next());
    let (Some(UNKNOWN), Some(named)) = (unknown.code, named) else { return error };
    let known = client.functions().await.unwrap_or_default();
    let names = known.iter().map(|function| function.value.name.as_str());
    match tasklane_task_config::nearest(named, names) {
        Some(name) => {
            let mut better = unknown.clone();
            better.message = format!("{} Did you mean '{name}'?", unknown.message);
            ClientError::Service(better).into()
        }
        None => error,
    }
}

/// The code of an unknown record.
const UNKNOWN: u16 = 16;

/// An error as JSON: its message, and what the service said about it.
pub(super) fn json_of(error: &anyhow::Error) -> Value {
    let mut fields = json!({ "message": with_causes(error.as_ref()) });
    if let Some(ClientError::Service(error)) = error.downcast_ref::<ClientError>() {
        fields["status"] = error.status.into();
        fields["name"] = error.name.clone().into();
        fields["message"] = error.message.clone().into();
        if let Some(code) = error.code {
            fields["code"] = code.into();
        }
        if !error.details.is_empty() {
            fields["details"] = Value::Object(error.details.clone());
        }
    }
    json!({ "error": fields })
}

impl Session {
    /// Shows one record: its JSON as the service sent it, or the text that `people` makes of it.
    pub(super) fn show<T>(&self, record: &Record<T>, people: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json { self.show_json(&record.json) } else { Ok(output::data(&people(&record.value))?) }
    }

    /// Shows any JSON, indented.
    pub(super) fn show_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.answered.store(true, Ordering::Relaxed);
        Ok(output::json(&indented(value)?)?)
    }

    /// Shows records: as a JSON array, or as a table.
    pub(super) fn show_records<T>(
        &self,
        records: &[Record<T>],
        what: &str,
        people: impl FnOnce(&[Record<T>]) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return self.show_json(&records.iter().map(|record| &record.json).collect::<Vec<_>>());
        }
        if records.is_empty() {
            output::note(&format!("no {what}"));
            return Ok(());
        }
        Ok(output::data(&people(records))?)
    }

    /// Shows a part of a list, and says how many records are left out.
    pub(super) fn show_listing<T: DeserializeOwned>(
        &self,
        listing: &Listing<T>,
        what: &str,
        people: impl FnOnce(&[Record<T>]) -> String,
    ) -> anyhow::Result<()> {
        match listing.parse() {
            Ok(records) if !self.json => self.show_records(&records, what, people)?,
            // For programs, and for records of which the query selected only a part: those do not fit a table.
            Ok(_) | Err(_) => self.show_json(&listing.records)?,
        }
        let shown = listing.records.len() as u64;
        if let Some(total) = listing.total.filter(|total| *total > shown && !self.json) {
            let at_least = if listing.total_is_exact { "" } else { "at least " };
            output::note(&format!("{shown} of {at_least}{total} {what}; use --limit N or --all to show more"));
        }
        Ok(())
    }

    /// Shows the result of a change: its JSON on stdout, or a sentence on stderr.
    pub(super) fn done<T>(&self, record: &Record<T>, sentence: &str) -> anyhow::Result<()> {
        if self.json {
            return self.show_json(&record.json);
        }
        output::note(sentence);
        Ok(())
    }
}

/// JSON on several lines, with numbers and the order of names unchanged.
pub(super) fn indented(value: &impl Serialize) -> anyhow::Result<String> {
    let compact = serde_json::to_string(value)?;
    // A `Value` would round the numbers; the text only needs white space.
    Ok(indent(&compact))
}

/// `data` or a result, on several lines.
pub(super) fn indented_json(json: &Json) -> String {
    indent(json.as_str())
}

fn indent(json: &str) -> String {
    let mut pretty = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut characters = json.chars().peekable();
    let mut in_text = false;
    let line = |pretty: &mut String, depth: usize| {
        pretty.push('\n');
        pretty.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = characters.next() {
        if in_text {
            pretty.push(c);
            match c {
                '\\' => pretty.extend(characters.next()),
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                pretty.push(c);
            }
            '{' | '[' => {
                pretty.push(c);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => pretty.push(end),
                    None => {
                        depth += 1;
                        line(&mut pretty, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut pretty, depth);
                pretty.push(c);
            }
            ',' => {
                pretty.push(c);
                line(&mut pretty, depth);
            }
            ':' => pretty.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => pretty.push(c),
        }
    }
    pretty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_changes_only_white_space() {
        let json =
            Json::parse(r#"{ "b":[1.50,{},[ ],"a,{\"b\":\\" ], "a":null,"n":12345678901234567890123}"#.to_owned())
                .unwrap();
        insta::assert_snapshot!(indented_json(&json), @r#"
        {
          "b": [
            1.50,
            {},
            [],
            "a,{\"b\":\\"
          ],
          "a": null,
          "n": 12345678901234567890123
        }
        "#);
        assert_eq!(indented_json(&Json::parse("\"x\"".to_owned()).unwrap()), "\"x\"");
    }
}
