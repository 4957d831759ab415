//! The engine against dynoxide: the same requests have the same answers and leave the same rows.

use std::collections::BTreeMap;

use dynoxide::Database;
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};
use rusqlite::Connection;
use serde_json::{Value, json};
use tasklane_ports::SystemClock;

use crate::database::{
    desk::{Desk, RecentTransactions, Tokens},
    engine::{Engine, name_in_memory},
};

/// A database with one table, and a connection that looks into it.
struct World {
    desk: Desk,
    rows: Connection,
}

impl World {
    fn new() -> Self {
        let name = name_in_memory();
        let dynoxide = Database::new(&name).unwrap();
        let engine = Engine::open(&name).unwrap();
        let tokens = Tokens::Kept(RecentTransactions::new(std::sync::Arc::new(SystemClock)));
        let mut world = Self { desk: Desk::new(engine, dynoxide, tokens), rows: Connection::open(&name).unwrap() };
        let string = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let keys = |hash: &str, range: &str| json!([{ "AttributeName": hash, "KeyType": "HASH" }, { "AttributeName": range, "KeyType": "RANGE" }]);
        let table = json!({
            "TableName": "things",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [string("pk"), string("sk"), string("lane"), string("laneKey"), string("function")],
            "KeySchema": keys("pk", "sk"),
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "lane",
                    "KeySchema": keys("lane", "laneKey"),
                    "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": ["function", "n"] },
                },
                {
                    "IndexName": "function",
                    "KeySchema": keys("function", "sk"),
                    "Projection": { "ProjectionType": "KEYS_ONLY" },
                },
                {
                    "IndexName": "whole",
                    "KeySchema": keys("lane", "sk"),
                    "Projection": { "ProjectionType": "ALL" },
                },
            ],
        });
        let created = world.both("CreateTable", &table);
        assert_eq!(created.0, 200, "{}", created.1);
        world
    }

    /// Asks the engine, and dynoxide what the engine leaves to it.
    fn both(&mut self, operation: &str, body: &Value) -> (u16, Value) {
        self.desk.begin(None);
        let answer = self.desk.answer(operation, body.to_string().as_bytes());
        self.desk.end().unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// Asks the engine only.
    fn engine(&mut self, operation: &str, body: &Value) -> Option<(u16, Value)> {
        self.desk.begin(None);
        let answer = self.desk.answer_here(operation, body.to_string().as_bytes());
        self.desk.end().unwrap();
        answer.map(|answer| (answer.status, serde_json::from_slice(&answer.body).unwrap()))
    }

    /// Asks dynoxide only.
    fn dynoxide(&mut self, operation: &str, body: &Value) -> (u16, Value) {
        self.desk.begin(None);
        let answer = self.desk.leave(operation, body.to_string().as_bytes());
        self.desk.end().unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// Every row of the table and of its indexes.
    fn all_rows(&self) -> BTreeMap<String, Vec<(Vec<String>, Value)>> {
        let mut tables = BTreeMap::new();
        for (table, columns) in [
            ("things", "pk, sk, item_size, hash_prefix, coalesce(cached_at, '')"),
            ("things::gsi::lane", "gsi_pk, gsi_sk, table_pk, table_sk, ''"),
            ("things::gsi::function", "gsi_pk, gsi_sk, table_pk, table_sk, ''"),
            ("things::gsi::whole", "gsi_pk, gsi_sk, table_pk, table_sk, ''"),
        ] {
            let sql = format!("SELECT item_json, {columns} FROM \"{table}\" ORDER BY 2, 3, 4, 5");
            let mut statement = self.rows.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| {
                let text = |column| {
                    Ok::<_, rusqlite::Error>(match row.get_ref(column)? {
                        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                        other => other.as_str()?.to_owned(),
                    })
                };
                let columns = (1..=5).map(text).collect::<Result<_, _>>()?;
                Ok((columns, serde_json::from_str(row.get_ref(0)?.as_str()?).unwrap()))
            });
            tables.insert(table.to_owned(), rows.unwrap().map(Result::unwrap).collect());
        }
        tables
    }
}

/// An operation and its body.
type Request = (&'static str, Value);

fn few(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(texts)
}

fn key() -> impl Strategy<Value = Value> {
    (few(&["a", "b"]), few(&["1", "2", "3", "é\u{1F600}\"", "\u{0}"]))
        .prop_map(|(pk, sk)| json!({ "pk": { "S": pk }, "sk": { "S": sk } }))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        few(&["", "x", "y", "line\nline \\ \u{7}"]).prop_map(|text| json!({ "S": text })),
        few(&["0", "7", "-12", "1700000000000", "99999999999999999999999999999999999999"])
            .prop_map(|number| json!({ "N": number })),
        few(&["", "AAE=", "/w=="]).prop_map(|bytes| json!({ "B": bytes })),
    ]
}

/// A key of an index.
fn lane() -> impl Strategy<Value = Value> {
    few(&["l", "m", "mm"]).prop_map(|text| json!({ "S": text }))
}

fn item() -> impl Strategy<Value = Value> {
    let some = prop::option::of::<BoxedStrategy<Value>>;
    (
        key(),
        some(lane().boxed()),
        some(lane().boxed()),
        some(lane().boxed()),
        some(value().boxed()),
        some(value().boxed()),
    )
        .prop_map(|(mut item, lane, lane_key, function, n, m)| {
            for (name, value) in [("lane", lane), ("laneKey", lane_key), ("function", function), ("n", n), ("m", m)] {
                if let Some(value) = value {
                    item[name] = value;
                }
            }
            item
        })
}

/// Conditions like the store's, with their names and values.
fn condition() -> impl Strategy<Value = (&'static str, Value, Value)> {
    (
        few(&[
            "attribute_exists(#pk)",
            "attribute_not_exists(#pk)",
            "#n = :n",
            "(#n = :n AND #lane = :lane) AND attribute_exists(#pk)",
            "(attribute_not_exists(#n) OR #n > :n) AND #lane <= :lane",
            "attribute_exists(#n) AND #n >= :n OR #lane < :lane",
        ]),
        value(),
        lane(),
    )
        .prop_map(|(text, n, lane)| {
            let mut names = json!({});
            for name in ["pk", "n", "lane"] {
                if text.contains(&format!("#{name}")) {
                    names[format!("#{name}")] = json!(name);
                }
            }
            let mut values = json!({});
            for (name, value) in [(":n", n), (":lane", lane)] {
                if text.contains(name) {
                    values[name] = value;
                }
            }
            (text, names, values)
        })
}

fn with_condition(mut body: Value, condition: Option<(&str, Value, Value)>, returns: &str) -> Value {
    if let Some((text, names, values)) = condition {
        body["ConditionExpression"] = json!(text);
        for (field, given) in [("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)] {
            for (name, value) in given.as_object().unwrap() {
                body[field][name] = value.clone();
            }
        }
        body["ReturnValuesOnConditionCheckFailure"] = json!(returns);
    }
    body
}

fn put() -> impl Strategy<Value = Value> {
    (item(), prop::option::of(condition()), few(&["ALL_OLD", "NONE"])).prop_map(|(item, condition, returns)| {
        with_condition(json!({ "TableName": "things", "Item": item }), condition, returns)
    })
}

fn update() -> impl Strategy<Value = Value> {
    let change = (prop::option::of(lane()), prop::option::of(lane()), value(), any::<bool>(), any::<bool>());
    (key(), change, prop::option::of(condition()), few(&["ALL_OLD", "NONE"])).prop_map(
        |(key, (lane, lane_key, m, sets, removes), condition, returns)| {
            let mut body = json!({ "TableName": "things", "Key": key });
            let (mut set, mut remove) = (Vec::new(), Vec::new());
            for (name, value) in [("lane", lane), ("laneKey", lane_key), ("m", Some(m).filter(|_| sets))] {
                match value {
                    Some(value) => {
                        body["ExpressionAttributeNames"][format!("#{name}")] = json!(name);
                        body["ExpressionAttributeValues"][format!(":set_{name}")] = value;
                        set.push(format!("#{name} = :set_{name}"));
                    }
                    None if removes => {
                        body["ExpressionAttributeNames"][format!("#{name}")] = json!(name);
                        remove.push(format!("#{name}"));
                    }
                    None => {}
                }
            }
            if set.is_empty() && remove.is_empty() {
                body["ExpressionAttributeNames"]["#n"] = json!("n");
                remove.push("#n".to_owned());
            }
            let parts = [("SET ", set), ("REMOVE ", remove)].into_iter().filter(|(_, parts)| !parts.is_empty());
            let parts = parts.map(|(verb, parts)| format!("{verb}{}", parts.join(", "))).collect::<Vec<_>>();
            body["UpdateExpression"] = json!(parts.join(" "));
            with_condition(body, condition, returns)
        },
    )
}

fn delete() -> impl Strategy<Value = Value> {
    (key(), prop::option::of(condition()), few(&["ALL_OLD", "NONE"])).prop_map(|(key, condition, returns)| {
        with_condition(json!({ "TableName": "things", "Key": key }), condition, returns)
    })
}

fn transaction() -> impl Strategy<Value = Request> {
    let part = prop_oneof![
        put().prop_map(|put| json!({ "Put": put })),
        update().prop_map(|update| json!({ "Update": update })),
        delete().prop_map(|delete| json!({ "Delete": delete })),
    ];
    prop::collection::vec(part, 1..4).prop_map(|mut parts| {
        // Each item once.
        let mut seen = Vec::new();
        parts.retain(|part| {
            let part = part.as_object().unwrap().values().next().unwrap();
            let item = part.get("Item").or(part.get("Key")).unwrap();
            let key = (item["pk"].clone(), item["sk"].clone());
            let is_new = !seen.contains(&key);
            seen.push(key);
            is_new
        });
        ("TransactWriteItems", json!({ "TransactItems": parts }))
    })
}

fn query() -> impl Strategy<Value = Request> {
    let of = few(&["", "lane", "function", "whole"]);
    let range = few(&[
        "",
        " AND #s < :a",
        " AND #s >= :a",
        " AND #s = :a",
        " AND #s BETWEEN :a AND :b",
        " AND begins_with(#s, :a)",
    ]);
    let shape = (any::<bool>(), prop::option::of(1..4), any::<bool>(), any::<bool>());
    (of, range, few(&["1", "2", "m"]), few(&["2", "3", "mm"]), shape).prop_map(
        |(index, range, a, b, (is_forward, limit, is_count, is_filtered))| {
            let (partition, sort, value) = match index {
                "" => ("pk", "sk", "a"),
                "lane" => ("lane", "laneKey", "m"),
                "function" => ("function", "sk", "l"),
                _ => ("lane", "sk", "m"),
            };
            let mut body = json!({
                "TableName": "things",
                "KeyConditionExpression": format!("#p = :p{range}"),
                "ExpressionAttributeNames": { "#p": partition },
                "ExpressionAttributeValues": { ":p": { "S": value } },
                // Backwards, this is dynoxide's.
                "ScanIndexForward": is_forward || range.contains("begins_with"),
            });
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            for (name, value) in [(":a", a), (":b", b)] {
                if range.contains(name) {
                    body["ExpressionAttributeNames"]["#s"] = json!(sort);
                    body["ExpressionAttributeValues"][name] = json!({ "S": value });
                }
            }
            if index.is_empty() {
                body["ConsistentRead"] = json!(true);
            } else {
                body["IndexName"] = json!(index);
            }
            if let Some(limit) = limit {
                body["Limit"] = json!(limit);
            }
            if is_count {
                body["Select"] = json!("COUNT");
            }
            if is_filtered {
                body["FilterExpression"] = json!("attribute_not_exists(#n) OR #n > :n");
                body["ExpressionAttributeNames"]["#n"] = json!("n");
                body["ExpressionAttributeValues"][":n"] = json!({ "N": "5" });
            }
            ("Query", body)
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        3 => put().prop_map(|body| ("PutItem", body)),
        3 => (update(), few(&["ALL_NEW", "NONE"])).prop_map(|(mut body, returns)| {
            body["ReturnValues"] = json!(returns);
            ("UpdateItem", body)
        }),
        1 => (delete(), few(&["ALL_OLD", "NONE"])).prop_map(|(mut body, returns)| {
            body["ReturnValues"] = json!(returns);
            ("DeleteItem", body)
        }),
        2 => transaction(),
        3 => query(),
        1 => key().prop_map(|key| ("GetItem", json!({ "TableName": "things", "Key": key, "ConsistentRead": true }))),
        1 => prop::collection::hash_set(key().prop_map(|key| key.to_string()), 1..4).prop_map(|keys| {
            let keys: Vec<Value> = keys.iter().map(|key| serde_json::from_str(key).unwrap()).collect();
            ("BatchGetItem", json!({ "RequestItems": { "things": { "Keys": keys, "ConsistentRead": true } } }))
        }),
    ]
}

/// The order of a batch's items means nothing.
fn sorted(mut answer: (u16, Value)) -> (u16, Value) {
    if let Some(Value::Array(items)) = answer.1.pointer_mut("/Responses/things") {
        items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    }
    answer
}

fn agree(requests: &[Request]) -> Result<(), TestCaseError> {
    let (mut ours, mut reference) = (World::new(), World::new());
    for (operation, body) in requests {
        let answer = ours.engine(operation, body);
        let answer = answer.ok_or_else(|| TestCaseError::fail(format!("left to dynoxide: {operation} {body}")))?;
        let wanted = sorted(reference.dynoxide(operation, body));
        prop_assert_eq!(sorted(answer.clone()), wanted, "{} {}", operation, body);
        let next = answer.1.get("LastEvaluatedKey").cloned();
        let Some(next) = next else { continue };
        // The next page, too.
        let mut body = body.clone();
        body["ExclusiveStartKey"] = next;
        prop_assert_eq!(ours.engine(operation, &body), Some(reference.dynoxide(operation, &body)), "{}", body);
    }
    prop_assert_eq!(ours.all_rows(), reference.all_rows());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_the_store_asks_has_the_same_answers_and_leaves_the_same_rows(
        requests in prop::collection::vec(request(), 1..30),
    ) {
        agree(&requests)?;
    }
}

/// Everything else is left to dynoxide, before anything has changed.
#[test]
fn what_the_store_does_not_ask_is_left_to_dynoxide() {
    let mut world = World::new();
    let item = json!({ "pk": { "S": "a" }, "sk": { "S": "1" }, "n": { "N": "1" } });
    assert_eq!(world.both("PutItem", &json!({ "TableName": "things", "Item": item })).0, 200);
    let before = world.all_rows();
    let put = |extra: Value| {
        let mut body = json!({ "TableName": "things", "Item": item });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        ("PutItem", body)
    };
    let update = |expression: &str, names: Value, values: Value| {
        let key = json!({ "pk": { "S": "a" }, "sk": { "S": "1" } });
        let mut body = json!({ "TableName": "things", "Key": key, "UpdateExpression": expression });
        for (field, given) in [("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)] {
            if !given.is_null() {
                body[field] = given;
            }
        }
        ("UpdateItem", body)
    };
    let one = json!({ ":n": { "N": "1" } });
    let cases = [
        put(json!({ "TableName": "others" })),
        put(json!({ "ReturnConsumedCapacity": "TOTAL" })),
        put(json!({ "ReturnValues": "ALL_OLD" })),
        put(json!({ "Expected": { "n": { "Exists": false } } })),
        put(json!({ "Unknown": 1 })),
        put(json!({ "Item": { "pk": { "S": "" }, "sk": { "S": "1" } } })),
        put(json!({ "Item": { "pk": { "S": "a" } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "lane": { "N": "1" } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "lane": { "S": "" } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "n": { "N": "1.50" } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "n": { "BOOL": true } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "n": { "L": [] } } })),
        put(json!({ "Item": { "pk": { "S": "a" }, "sk": { "S": "1" }, "n": { "S": "x".repeat(400 * 1024) } } })),
        put(json!({ "ConditionExpression": "attribute_exists(pk)" })),
        put(json!({ "ConditionExpression": "size(#n) > :n", "ExpressionAttributeNames": { "#n": "n" },
                    "ExpressionAttributeValues": one })),
        put(json!({ "ConditionExpression": "((attribute_exists(#n)))", "ExpressionAttributeNames": { "#n": "n" } })),
        put(json!({ "ConditionExpression": "#n <> :n", "ExpressionAttributeNames": { "#n": "n" },
                    "ExpressionAttributeValues": one })),
        put(
            json!({ "ConditionExpression": "attribute_exists(#n)", "ExpressionAttributeNames": { "#n": "n", "#m": "m" } }),
        ),
        put(json!({ "ConditionExpression": "attribute_exists(#n)" })),
        put(json!({ "ExpressionAttributeNames": { "#n": "n" } })),
        update("SET #pk = :n", json!({ "#pk": "pk" }), one.clone()),
        update("SET #n = :n, #m = :n", json!({ "#n": "n", "#m": "n" }), one.clone()),
        update("SET #n = #n + :n", json!({ "#n": "n" }), one.clone()),
        update("ADD #n :n", json!({ "#n": "n" }), one.clone()),
        update("SET #n.#m = :n", json!({ "#n": "n", "#m": "m" }), one.clone()),
        update("", Value::Null, Value::Null),
        ("TransactWriteItems", json!({ "TransactItems": [] })),
        (
            "TransactWriteItems",
            json!({ "TransactItems": [
            { "Put": { "TableName": "things", "Item": item } },
            { "Delete": { "TableName": "things", "Key": { "pk": { "S": "a" }, "sk": { "S": "1" } } } },
        ] }),
        ),
        (
            "Query",
            json!({ "TableName": "things", "KeyConditionExpression": "pk = :p",
                          "ExpressionAttributeValues": { ":p": { "S": "a" } } }),
        ),
        ("GetItem", json!({ "TableName": "things", "Key": { "pk": { "S": "a" } } })),
        ("Scan", json!({ "TableName": "things" })),
    ];
    for (operation, body) in cases {
        assert_eq!(world.engine(operation, &body), None, "{operation} {body}");
        assert_eq!(world.all_rows(), before, "{operation} {body}");
    }
}

/// A page ends after a megabyte, in the middle of large and of small items.
#[test]
fn pages_end_where_dynoxides_do() {
    for length in [30_000, 300_000, 390_000] {
        let (mut ours, mut reference) = (World::new(), World::new());
        for number in 0..(2_600_000 / length) {
            let text = "x".repeat(length + number);
            let item = json!({ "pk": { "S": "a" }, "sk": { "S": format!("{number:04}") }, "m": { "S": text } });
            let body = json!({ "TableName": "things", "Item": item });
            assert_eq!(ours.engine("PutItem", &body), Some(reference.dynoxide("PutItem", &body)));
        }
        let mut body = json!({
            "TableName": "things",
            "KeyConditionExpression": "#p = :p",
            "ExpressionAttributeNames": { "#p": "pk" },
            "ExpressionAttributeValues": { ":p": { "S": "a" } },
        });
        for select in ["ALL_ATTRIBUTES", "COUNT"] {
            let mut pages = 0;
            body.as_object_mut().unwrap().remove("ExclusiveStartKey");
            if select == "COUNT" {
                body["Select"] = json!(select);
            }
            loop {
                let answer = ours.engine("Query", &body).unwrap();
                let mut wanted = reference.dynoxide("Query", &body);
                // dynoxide counts the item that is too much as scanned; DynamoDB does not.
                wanted.1["ScannedCount"] = wanted.1["Count"].clone();
                assert!(answer == wanted, "page {pages} of {length}");
                pages += 1;
                match answer.1.get("LastEvaluatedKey") {
                    Some(next) => body["ExclusiveStartKey"] = next.clone(),
                    None => break,
                }
            }
            assert!(pages > 2, "{pages}");
        }
    }
}
