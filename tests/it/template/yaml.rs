//! Converts a template's YAML to the JSON that CloudFormation accepts, too: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is
//! `{"Fn::Sub": "x"}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use saphyr::{LoadableYamlNode, Scalar, Tag, Yaml};
use serde_json::{Value, json};

/// The only document of this text.
pub fn read(text: &str) -> Value {
    let mut documents = Yaml::load_from_str(text).expect("the template is not YAML");
    assert_eq!(documents.len(), 1, "a template is one document");
    to_json(&documents.remove(0))
}

fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Representation(text, _, None) => json!(text),
        Yaml::Representation(text, _, Some(tag)) => called(tag, json!(text)),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(name, value): (&Yaml<'_>, &Yaml<'_>)| match to_json(name) {
                Value::String(name) => (name, to_json(value)),
                other => panic!("{other} is the name of an entry"),
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        Yaml::Tagged(tag, value) => called(tag, to_json(value)),
        Yaml::Alias(_) | Yaml::BadValue => panic!("a template has no such value: {yaml:?}"),
    }
}

fn called(tag: &Tag, argument: Value) -> Value {
    let name = match tag.suffix.as_str() {
        plain @ ("Ref" | "Condition") => plain.to_owned(),
        function => format!("Fn::{function}"),
    };
    let argument = match (name.as_str(), &argument) {
        ("Fn::GetAtt", Value::String(text)) => {
            let (resource, attribute) = text.split_once('.').expect("!GetAtt names an attribute");
            json!([resource, attribute])
        }
        _ => argument,
    };
    json!({ name: argument })
}

#[test]
fn short_forms_equal_the_long_ones() {
    let read = read("a: !Sub '${B}-c'\nd: !If [E, !GetAtt F.G, !Ref AWS::NoValue]\nh: 30\ni: \"30\"");
    assert_eq!(
        read,
        json!({
            "a": { "Fn::Sub": "${B}-c" },
            "d": { "Fn::If": ["E", { "Fn::GetAtt": ["F", "G"] }, { "Ref": "AWS::NoValue" }] },
            "h": 30, "i": "30",
        })
    );
}
