use tasklane_model::Json;

use super::*;

fn schema(text: &str) -> Option<JsonSchema> {
    Some(JsonSchema::parse(&Json::parse(text.to_owned()).unwrap()).unwrap())
}

fn file(functions: &[(&str, Option<&str>, Option<&str>)], language: Language) -> String {
    let all = functions.iter().map(|(name, data, result)| {
        let schemas = Schemas { data: data.and_then(schema), result: result.and_then(schema) };
        (FunctionName::parse(*name).unwrap(), schemas)
    });
    written(&all.collect(), language).unwrap()
}

/// The part of a file between these two texts.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("{from} is not in {text}"));
    let end = text[start..].find(to).map_or(text.len(), |end| start + end);
    text[start..end].trim()
}

/// The type of `data` in TypeScript, in one line.
fn in_typescript(data: &str) -> String {
    let text = file(&[("f", Some(data), None)], Language::Typescript);
    let one = part(&text, "export type FData = ", ";\n\nexport type").trim_start_matches("export type FData = ");
    one.split_whitespace().collect::<Vec<_>>().join(" ")
}

const MAIL: &str = r##"{ "title": "A mail", "description": "to somebody */ ha\nin two lines", "type": "object", "required": ["to", "lines"],
    "additionalProperties": false, "properties": {
        "to": { "type": "string", "description": "Whom." }, "kind": { "enum": ["order", "bill", 3, null] },
        "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } }, "a-b": { "type": ["integer", "null"] },
        "from": { "anyOf": [{ "type": "string" }, { "type": "object", "properties": { "id": { "type": "string" } } }] } },
    "$defs": { "line": { "type": "object", "properties": { "text": { "type": "string" }, "parts": { "type": "array", "items": { "$ref": "#/$defs/line" } } } } } }"##;

#[test]
fn a_function_has_types_in_typescript() {
    let text =
        file(&[("order-mail", Some(MAIL), Some(r#"{"type":"boolean"}"#)), ("other", None, None)], Language::Typescript);
    insta::assert_snapshot!(part(&text, "/**", "/** What `data`"), @r##"
    /**
     * A mail
     * to somebody *\/ ha
     * in two lines
     */
    export type OrderMailData = {
      /** Whom. */
      to: string;
      kind?: "order" | "bill" | 3 | null;
      lines: OrderMailDataLine[];
      "a-b"?: number | null;
      from?: string | {
        id?: string;
      };
    };

    export type OrderMailDataLine = {
      text?: string;
      parts?: OrderMailDataLine[];
    };

    export type OrderMailResult = boolean;

    export type OtherData = unknown;

    export type OtherResult = unknown;

    /** The Functions by name. */
    export interface Functions {
      "order-mail": { data: OrderMailData; result: OrderMailResult };
      other: { data?: OtherData; result: OtherResult };
    }
    "##);
}

#[test]
fn a_function_has_types_in_python() {
    let text =
        file(&[("order-mail", Some(MAIL), Some(r#"{"type":"boolean"}"#)), ("other", None, None)], Language::Python);
    let own = text.split_once("occurrenceTimestamp: NotRequired[str]").unwrap().1.trim();
    insta::assert_snapshot!(own, @r##"
    class OrderMailDataFrom2(TypedDict):
        id: NotRequired["str"]


    # A mail
    # to somebody */ ha
    # in two lines
    OrderMailData = TypedDict("OrderMailData", {
        # Whom.
        "to": "str",
        "kind": NotRequired["Literal[\"order\"] | Literal[\"bill\"] | Literal[3] | None"],
        "lines": "list[OrderMailDataLine]",
        "a-b": NotRequired["int | None"],
        "from": NotRequired["str | OrderMailDataFrom2"],
    })


    class OrderMailDataLine(TypedDict):
        text: NotRequired["str"]
        parts: NotRequired["list[OrderMailDataLine]"]


    OrderMailResult: TypeAlias = bool

    OtherData: TypeAlias = Any

    OtherResult: TypeAlias = Any


    # The event of a Task of order-mail, which its handler gets.
    class OrderMailEvent(Task):
        functionName: Literal["order-mail"]
        data: "OrderMailData"


    # The event of a Task of other, which its handler gets.
    class OtherEvent(Task):
        functionName: Literal["other"]
        data: NotRequired["OtherData"]
    "##);
}

#[test]
fn a_type_never_says_more_than_its_schema() {
    for (data, written) in [
        ("true", "unknown"),
        ("false", "never"),
        // Without a type, values of every type fit.
        (r#"{"properties":{"a":{"type":"string"}}}"#, "unknown"),
        (r#"{"type":"object"}"#, "{ [key: string]: unknown; }"),
        (r#"{"type":"object","additionalProperties":{"type":"number"}}"#, "{ [key: string]: number; }"),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"number"}}"#,
            "{ a?: string; [key: string]: unknown; }",
        ),
        (r#"{"type":"object","required":["a"]}"#, "{ a: unknown; }"),
        (r#"{"type":"object","additionalProperties":false}"#, "Record<string, never>"),
        (r#"{"type":"array"}"#, "unknown[]"),
        (r#"{"type":"array","items":{"type":["string","null"]}}"#, "(string | null)[]"),
        (
            r#"{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}],"minItems":1}"#,
            "[string, number?, ...unknown[]]",
        ),
        (r#"{"type":"array","prefixItems":[{"type":"string"}],"items":false}"#, "[string?]"),
        (
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"array","items":[{"type":"string"}],"additionalItems":false}"#,
            "[string?]",
        ),
        (r#"{"const":"a"}"#, r#""a""#),
        (r#"{"enum":[1,1.0,-2,9007199254740993,true]}"#, "1 | number | -2 | true"),
        (r#"{"type":"string","enum":["a",1]}"#, r#""a""#),
        (r#"{"enum":[{"a":1},2]}"#, "unknown"),
        (r#"{"anyOf":[{"type":"string"},{"minimum":1}]}"#, "unknown"),
        (
            r#"{"type":"object","properties":{"k":{"type":"string"}},"oneOf":[{"required":["a"]},{"required":["b"]}]}"#,
            "{ k?: string; } & ({ a: unknown; } | { b: unknown; })",
        ),
        (r#"{"allOf":[{"type":"object","properties":{"a":{"type":"null"}}},{"not":{}}]}"#, "{ a?: null; }"),
        (r#"{"if":{"type":"string"},"then":{"const":"a"}}"#, "unknown"),
        (r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##, "{ next?: FData; }"),
        (
            r##"{"type":"object","properties":{"a":{"$ref":"#/properties/b"},"b":{"type":"string"}}}"##,
            "{ a?: unknown; b?: string; }",
        ),
        (r##"{"$defs":{"x":{"$anchor":"y","type":"string"}},"$ref":"#y"}"##, "unknown"),
        (
            r#"{"type":"object","patternProperties":{"a":{"type":"string"}},"properties":{"x":{"type":"null"}},"additionalProperties":false}"#,
            "{ x?: null; [key: string]: unknown; }",
        ),
    ] {
        assert_eq!(in_typescript(data), written, "{data}");
    }
}

#[test]
fn absent_data_is_allowed_where_null_fits() {
    let nullable = r#"{"type":["object","null"]}"#;
    let functions = [("a", Some(nullable), None), ("b", Some(r#"{"type":"object"}"#), None), ("c", None, None)];
    let text = file(&functions, Language::Typescript);
    let interface = part(&text, "export interface Functions {", "}\n\n");
    assert!(interface.contains("a: { data?: AData;") && interface.contains("b: { data: BData;"), "{interface}");
    assert!(interface.contains("c: { data?: CData;"), "{interface}");
    let text = file(&functions, Language::Python);
    assert!(text.contains(r#"data: NotRequired["AData"]"#) && text.contains(r#"data: "BData""#), "{text}");
}

#[test]
fn functions_with_the_same_words_have_types_of_their_own() {
    let text = file(&[("a-b", None, None), ("a_b", None, None), ("2", None, None)], Language::Typescript);
    for name in
        ["type ABData ", "type AB2Data ", "type _2Result ", "  \"a-b\": { data?: ABData;", "  a_b: { data?: AB2Data;"]
    {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn no_text_of_a_schema_ends_its_comment() {
    let data = r#"{"type":"object","title":"*/ export const x = 1; /*","properties":{"a":{"description":"b\u2028c\r\nimport os","type":"null"}}}"#;
    let text = file(&[("f", Some(data), None)], Language::Typescript);
    assert!(text.contains("/** *\\/ export const x = 1; /* */\n"), "{text}");
    let text = file(&[("f", Some(data), None)], Language::Python);
    assert!(text.contains("    # b\n    # c\n    # import os\n"), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("import os")), "{text}");
}
