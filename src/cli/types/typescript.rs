//! Types in TypeScript.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    FunctionTypes, Types,
    names::{is_identifier, quoted},
    shape::{Object, Shape},
};

/// The names that the file has anyway.
pub(super) const RESERVED: [&str; 5] = ["Functions", "Data", "Result", "TaskEvent", "TaskFields"];

const COMMON: &str = r"/** What `data` of a Function looks like. */
export type Data<Name extends keyof Functions> = Functions[Name]['data'];

/** What a Function returns. */
export type Result<Name extends keyof Functions> = Functions[Name]['result'];

/** What every Task has that a Function gets. */
export interface TaskFields<Name extends string = string> {
  id: string;
  functionName: Name;
  status: 'inProgress';
  statusChangedTimestamp: string;
  startTimestamp: string;
  priority: number;
  creationTimestamp: string;
  updateTimestamp: string;
  tags: string[];
  createdByUserId?: string;
  createdByApplicationId?: string;
  retryForTaskIds?: string[];
  functionVersion?: number;
  scheduleId?: string;
  occurrenceTimestamp?: string;
}

/** The event of a Task, which a handler gets: `async (event: TaskEvent<'name'>): Promise<Result<'name'>>`. */
export type TaskEvent<Name extends keyof Functions> = TaskFields<Name> & Pick<Functions[Name], 'data'>;
";

pub(super) fn module(types: &Types) -> String {
    let mut out = String::from("// Written by `tasklane types`. Changes are lost when it runs again.\n");
    for function in &types.functions {
        for named in &function.types {
            // Writing to a `String` cannot fail.
            let _ =
                write!(out, "\n{}export type {} = {};\n", comment(&named.about, 0), named.name, shape(&named.shape, 0));
        }
    }
    out.push_str("\n/** The Functions by name. */\nexport interface Functions {\n");
    for FunctionTypes { function, data, result, data_may_be_absent, .. } in &types.functions {
        let mark = if *data_may_be_absent { "?" } else { "" };
        let _ = writeln!(out, "  {}: {{ data{mark}: {data}; result: {result} }};", key(function));
    }
    out.push_str("}\n\n");
    out.push_str(COMMON);
    out
}

/// A comment, in which nothing can end it.
fn comment(about: &[String], depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let safe: Vec<_> = about.iter().map(|line| line.replace("*/", "*\\/")).collect();
    match safe.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines: String = lines.iter().map(|line| format!("{indent} * {line}\n")).collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

fn shape(shape: &Shape, depth: usize) -> String {
    match shape {
        Shape::Unknown => "unknown".to_owned(),
        Shape::Never => "never".to_owned(),
        Shape::Null => "null".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Number | Shape::Integer => "number".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::Literal(value) => literal(value),
        Shape::Named(name) => name.clone(),
        Shape::List(item) => format!("{}[]", within(item, depth)),
        Shape::Tuple { first, required, rest } => {
            let optional = |index: usize| if index < *required { "" } else { "?" };
            let items = first.iter().enumerate().map(|(at, item)| format!("{}{}", within(item, depth), optional(at)));
            let rest = rest.iter().map(|rest| format!("...{}[]", within(rest, depth)));
            format!("[{}]", items.chain(rest).collect::<Vec<_>>().join(", "))
        }
        Shape::Object(object) => self::object(object, depth),
        Shape::AnyOf(parts) => join(parts, " | ", depth),
        Shape::AllOf(parts) => join(parts, " & ", depth),
    }
}

/// A part of something else, with parentheses if it would be read otherwise.
fn within(part: &Shape, depth: usize) -> String {
    match part {
        Shape::AnyOf(_) | Shape::AllOf(_) => format!("({})", shape(part, depth)),
        part => shape(part, depth),
    }
}

fn join(parts: &[Shape], sign: &str, depth: usize) -> String {
    let mut written: Vec<String> = Vec::new();
    for part in parts.iter().map(|part| within(part, depth)) {
        if !written.contains(&part) {
            written.push(part);
        }
    }
    written.join(sign)
}

fn object(object: &Object, depth: usize) -> String {
    let inner = "  ".repeat(depth + 1);
    let mut lines = String::new();
    for field in &object.fields {
        let mark = if field.is_required { "" } else { "?" };
        let (about, name) = (comment(&field.about, depth + 1), key(&field.name));
        let _ = writeln!(lines, "{about}{inner}{name}{mark}: {};", shape(&field.shape, depth + 1));
    }
    if let Some(others) = &object.others {
        // TypeScript wants every named field to have this type, too.
        let others = if object.fields.is_empty() { shape(others, depth + 1) } else { "unknown".to_owned() };
        let _ = writeln!(lines, "{inner}[key: string]: {others};");
    }
    if lines.is_empty() {
        return "Record<string, never>".to_owned();
    }
    format!("{{\n{lines}{}}}", "  ".repeat(depth))
}

/// A value as a type, if JavaScript has exactly this value.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => {
            let text = number.to_string();
            if tasklane_model::json::number::is_as_javascript_prints(&text) { text } else { "number".to_owned() }
        }
        value => value.to_string(),
    }
}
