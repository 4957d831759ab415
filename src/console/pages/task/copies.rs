//! The call that creates such a Task, to be copied.

use maud::{Markup, html};
use tasklane_model::Task;

use crate::parts::clean;

/// How much input is written into a command.
const MOST_BYTES: usize = 4000;

/// The call in three languages. None has a credential in it.
pub(super) fn all(service: &str, task: &Task) -> Markup {
    let data = task.data.as_ref().map(|data| data.as_str()).filter(|data| data.len() <= MOST_BYTES);
    let name = task.function_name.as_str();
    let body = match data {
        Some(data) => format!(r#"{{"functionName":"{name}","data":{data}}}"#),
        None => format!(r#"{{"functionName":"{name}"}}"#),
    };
    let cli = match data {
        Some(data) => format!("tasklane tasks create {name} --data {}", quoted(data)),
        None => format!("tasklane tasks create {name}"),
    };
    let curl = format!(
        "curl -X POST {} \\\n  -H \"Authorization: Bearer $API_ACCESS_TOKEN\" \\\n  -H 'Content-Type: application/json' \\\n  -d {}",
        quoted(&format!("{service}/tasks/v1/")),
        quoted(&body)
    );
    let sdk = format!("await exh.tasks.create({body});");
    html! {
        (one("tasklane", &cli))
        (one("curl", &curl))
        (one("JavaScript SDK", &sdk))
    }
}

fn one(label: &str, text: &str) -> Markup {
    html! {
        div.copy {
            p { strong { (label) } " " button type="button" data-copy hidden { "Copy" } }
            pre tabindex="0" aria-label=(label) { (clean(text)) }
        }
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_one_word_of_the_shell() {
        assert_eq!(quoted(r#"{"a":"it's; rm -rf ~"}"#), r#"'{"a":"it'\''s; rm -rf ~"}'"#);
    }
}
