//! Bodies of requests as somebody would send them. The names in them are those of the examples of types, so the calls fit
//! together: the Function that one creates is the one that the others run.

use serde_json::{Value, json};

/// A zip with an `index.js` of one line, which returns the `data` of its Task.
const CODE: &str = "UEsDBAAAAAAAAAAAIQBGnz2cIgAAACIAAAAIAAAAaW5kZXguanNleHBvcnRzLmhhbmRsZXI9YXN5bmMoZSk9PmUuZGF0YTsKUEsBAhQDFAAAAAAAAAAhAEaf\
    PZwiAAAAIgAAAAgAAAAAAAAAAAAAAKQBAAAAAGluZGV4LmpzUEsFBgAAAAABAAEANgAAAEgAAAAAAA==";

/// An example of the JSON body of this operation; `None` if it has none.
pub fn body(operation: &str) -> Option<Value> {
    let permissions = json!(["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:invoices"]);
    let id = "697db9a2c5f0a1b2c3d4e5f6";
    Some(match operation {
        "createFunction" => json!({
            "name": "invoices", "runtime": "nodejs22.x", "entryPoint": "index.handler", "timeLimit": 60, "code": CODE,
        }),
        "updateFunction" => json!({ "memoryLimit": 256, "retryPolicy": { "enabled": true } }),
        "executeFunction" => json!({ "data": { "orderId": 1041 } }),
        "startCanary" => json!({ "version": 2, "percent": 10, "failWhen": { "failures": 3, "of": 20 } }),
        "rollBackFunction" => json!({ "to": 1 }),
        "setExecutionCredentials" => json!({ "permissions": permissions, "dryRun": true }),
        "setFlow" => json!({ "key": "data.customerId", "concurrent": 2 }),
        "announceUpload" => json!({
            "functionName": "invoices", "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "size": 73_400_320,
        }),
        "createTask" => json!({ "functionName": "invoices", "data": { "orderId": 1041 }, "tags": ["import"] }),
        "createTasks" => json!({ "tasks": [
            { "functionName": "invoices", "data": { "orderId": 1041 } },
            { "functionName": "invoices", "data": { "orderId": 1042 }, "priority": 5 },
        ] }),
        "createBulk" => {
            json!({ "action": "replay", "rql": "eq(status,failed)&eq(functionName,invoices)", "dryRun": true })
        }
        "createSchedule" => json!({ "interval": 3600, "functionName": "invoices", "data": { "kind": "reminder" } }),
        "createScheduleOfAnyKind" => json!({
            "name": "nightly invoices", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "functionName": "invoices",
        }),
        "updateSchedule" => json!({ "cron": "30 4 * * MON-FRI", "overlap": "skip" }),
        "backfillSchedule" => {
            json!({ "from": "2026-01-31T00:00:00.000Z", "to": "2026-02-01T00:00:00.000Z", "dryRun": true })
        }
        "createCredential" => json!({ "userId": "ada", "permissions": permissions }),
        "createUserToken" => json!({ "email": "ada@example.com", "password": "Correct-horse-7" }),
        "registerUser" => json!({
            "email": "ada@example.com", "password": "Correct-horse-7", "first_name": "Ada", "last_name": "Lovelace",
            "phone_number": "+44 20 7946 0018", "language": "EN",
        }),
        "addUserRoles" | "removeUserRoles" => json!({ "roles": [id] }),
        "createRole" => json!({ "name": "exh.tasks.invoices", "description": "What invoices may do" }),
        "addRolePermissions" | "removeRolePermissions" => json!({ "permissions": ["VIEW_TASKS"] }),
        "advanceClock" => json!({ "advance": 3600 }),
        "failRuns" => json!({ "functionName": "invoices", "times": 2 }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_body_has_an_example_with_fields_that_exist() {
        let document = json!(crate::api_document());
        let mut checked = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(content) = operation["requestBody"]["content"].get("application/json") else { continue };
                let example = content.get("example").unwrap_or_else(|| panic!("{method} {path} has no example"));
                let name = content["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                let schema = document["components"]["schemas"][name].to_string();
                for field in example.as_object().unwrap().keys() {
                    assert!(schema.contains(&format!("\"{field}\":")), "{method} {path}: {name} has no field {field}");
                }
                checked += 1;
            }
        }
        assert!(checked > 20, "{checked}");
    }
}
