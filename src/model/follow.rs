//! What follows a Task that has ended (contract §12).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FunctionName, Json, Task, json::even_null};

/// The largest `data` of an [`OnComplete`], in bytes of JSON.
pub const MAX_CONTEXT_BYTES: usize = 64 * 1024;

/// The largest result that is passed on, in bytes of JSON.
pub const MAX_PASSED_RESULT_BYTES: usize = 128 * 1024;

/// The Function that runs once a Task is final: it failed or is complete after its last retry, or was canceled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnComplete {
    /// The Function; it must exist when the Task is created.
    pub function_name: FunctionName,
    /// Any JSON, at most 64 KB, which it gets as `data.context`.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "even_null")]
    // Not `nullable`: any JSON includes null already.
    #[schema(value_type = Json, required = false)]
    pub data: Option<Json>,
}

/// The `data` of the Task that follows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Followed<'a> {
    task: Task,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_omitted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a super::TaskError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Json>,
}

impl OnComplete {
    /// The `data` of the Task that follows a final one, given the result if there is one.
    pub fn data_after(&self, ended: &Task, result: Option<&Json>) -> Result<Json, serde_json::Error> {
        let mut task = Task { data: None, ..ended.clone() };
        // It is the reader's own configuration, and `context` has its data.
        task.options.on_complete = None;
        task.error = task.error.map(|error| error.shortened());
        let fits = result.filter(|result| result.as_str().len() <= MAX_PASSED_RESULT_BYTES);
        let error = task.error.clone();
        Json::of(&Followed {
            task,
            result: fits,
            result_omitted: (result.is_some() && fits.is_none()).then_some(true),
            error: error.as_ref(),
            context: self.data.as_ref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectId, TaskStatus, Timestamp};

    #[test]
    fn the_data_says_what_became_of_the_task() {
        let name = FunctionName::parse("next").unwrap();
        let json = |text: &str| Json::parse(text.to_owned()).unwrap();
        let follow = OnComplete { function_name: name.clone(), data: Some(json(r#"{"n":1.50}"#)) };
        let now = Timestamp::EPOCH;
        let mut task = Task::new(ObjectId::first_at(now), name, now);
        task.status = TaskStatus::Complete;
        task.data = Some(json("[1]"));
        task.options.on_complete = Some(follow.clone());
        let data = follow.data_after(&task, Some(&json(r#"{"r":2.0}"#))).unwrap();
        assert!(data.as_str().contains(r#""result":{"r":2.0}"#) && data.as_str().contains(r#""context":{"n":1.50}"#));
        let value = data.to_value();
        assert_eq!(value["task"]["status"], "complete");
        assert!(value["task"]["data"].is_null() && value["task"]["onComplete"].is_null() && value["error"].is_null());

        let large = json(&format!("\"{}\"", "x".repeat(MAX_PASSED_RESULT_BYTES - 2)));
        assert!(follow.data_after(&task, Some(&large)).unwrap().to_value()["resultOmitted"].is_null());
        let larger = json(&format!("\"{}\"", "x".repeat(MAX_PASSED_RESULT_BYTES - 1)));
        let value = follow.data_after(&task, Some(&larger)).unwrap().to_value();
        assert_eq!((value["resultOmitted"].as_bool(), value["result"].is_null()), (Some(true), true));
    }
}
