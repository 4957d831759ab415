//! What goes wrong, as people read it.

use http::StatusCode;
use maud::{Markup, html};
use tasklane_client::ClientError;

use crate::parts::clean;

/// Why there is no page, or why an act was not done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The service refused, or did not answer.
    Client(ClientError),
    /// There is nothing at this address.
    NoPage,
    /// What was sent makes no sense.
    Invalid(String),
    /// The caller may not do this.
    NotAllowed(&'static str),
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// The codes of the service for which there is something to say about what to do.
const ADVICE: [(u16, &str); 12] = [
    (
        10,
        "The console's credential lacks this permission. Ask an administrator for it, or start `tasklane console` with another credential.",
    ),
    (16, "It may have been deleted, or its time is over: finished Tasks are kept for a limited time."),
    (19, "Look at the help below the field for RQL, or leave it empty."),
    (21, "Ask for less: name a Function, a status, a tag or a shorter time."),
    (27, "It has moved on meanwhile. Load the page again to see its present state."),
    (104, "The console's credential is not valid any more. Start `tasklane console` again."),
    (107, "The console's credential is not valid any more. Start `tasklane console` again."),
    (108, "The console's credential is not valid any more. Start `tasklane console` again."),
    (117, "The console's credential is not valid any more. Start `tasklane console` again."),
    (118, "The console's credential has expired. Start `tasklane console` again."),
    (1406, "The Function's code failed. Its log lines are on the Task's page."),
    (1505, "The service is busy. Wait a moment, then load the page again."),
];

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoPage => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::Client(ClientError::Service(error)) => {
                StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY)
            }
            Self::Client(_) => StatusCode::BAD_GATEWAY,
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::NoPage => "There is no such page",
            Self::Invalid(_) => "This cannot be done like that",
            Self::NotAllowed(_) => "You may not do this",
            Self::Client(ClientError::Service(_)) => "The service refused",
            Self::Client(_) => "The service does not answer",
        }
    }

    /// The problem in a box, with its code and what to do.
    pub(crate) fn shown(&self) -> Markup {
        let (code, message, advice) = self.said();
        html! {
            div.problem role="alert" {
                p { strong { (self.title()) } @if let Some(code) = code { " " code { (code) } } }
                @if !message.is_empty() { p { bdi { (clean(&message)) } } }
                @if !advice.is_empty() { p.todo { (advice) } }
            }
        }
    }

    fn said(&self) -> (Option<String>, String, &'static str) {
        match self {
            Self::NoPage => (None, "Nothing is at this address.".to_owned(), "Go on from the navigation above."),
            Self::Invalid(what) => (None, what.clone(), "Go back, change it, and try again."),
            Self::NotAllowed(permission) => {
                (None, format!("It takes the permission {permission}."), "Ask an administrator for it.")
            }
            Self::Client(ClientError::Service(error)) => {
                let code = match error.code {
                    Some(code) => format!("{code} {}", clean(&error.name)),
                    None => clean(&error.name),
                };
                let advice =
                    ADVICE.iter().find(|(known, _)| Some(*known) == error.code).map_or("", |(_, advice)| advice);
                (Some(code), error.message.clone(), advice)
            }
            Self::Client(error) => (
                None,
                error.to_string(),
                "The console goes on trying. Load the page again, or see whether the service runs.",
            ),
        }
    }
}
