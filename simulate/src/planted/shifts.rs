//! Changes to the register of long shifts, for bugs.

use serde_json::{Map, Value};

/// Changes the register in a response that contains it.
pub fn rewrite_shifts(body: &Value, answer: &mut Vec<u8>, change: impl FnOnce(&mut Map<String, Value>)) {
    if body["Key"]["pk"]["S"] != "shifts" {
        return;
    }
    let Ok(mut read) = serde_json::from_slice::<Value>(answer) else { return };
    let holders = &mut read["Item"]["holders"]["S"];
    let Some(Ok(Value::Object(mut shifts))) = holders.as_str().map(serde_json::from_str) else { return };
    change(&mut shifts);
    *holders = Value::from(Value::Object(shifts).to_string());
    *answer = read.to_string().into_bytes();
}
