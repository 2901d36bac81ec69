use actix_web::ResponseError;
use actix_web::body::MessageBody;

use super::*;

fn body(value: Value) -> Fields {
    let raw = Bytes::from(value.to_string());
    match value {
        Value::Object(map) => Fields::of_body(map, raw),
        other => panic!("{other} is no object"),
    }
}

/// The `details` of the refusal.
fn details(fields: Fields) -> Value {
    let error = fields.done().expect_err("there is a problem");
    assert_eq!(error.status_code().as_u16(), 422);
    let bytes = error.error_response().into_body().try_into_bytes().expect("it is whole");
    let mut body: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    assert_eq!(body["error"]["message"], "Invalid request");
    body["error"]["details"].take()
}

#[test]
fn a_missing_field_shows_what_was_sent() {
    let mut fields = body(json!({"txt": "hi", "ok": "yes"}));
    fields.text("ok");
    fields.required_text("text", 1, 10);
    assert_eq!(
        details(fields),
        json!([{"type": "missing", "loc": ["body", "text"], "msg": "Field required", "input": {"txt": "hi", "ok": "yes"}}])
    );
}

#[test]
fn texts_are_counted_in_characters() {
    let mut fields = body(json!({"a": "", "b": "äöü", "c": "äöüß", "d": 3, "e": null}));
    fields.required_text("a", 1, 3);
    assert_eq!(fields.required_text("b", 1, 3), "äöü");
    fields.required_text("c", 1, 3);
    fields.required_text("d", 1, 3);
    fields.required_text("e", 1, 3);
    let string = "Input should be a valid string";
    assert_eq!(
        details(fields),
        json!([
            {"type": "string_too_short", "loc": ["body", "a"], "msg": "String should have at least 1 character",
             "input": "", "ctx": {"min_length": 1}},
            {"type": "string_too_long", "loc": ["body", "c"], "msg": "String should have at most 3 characters",
             "input": "äöüß", "ctx": {"max_length": 3}},
            {"type": "string_type", "loc": ["body", "d"], "msg": string, "input": 3},
            {"type": "string_type", "loc": ["body", "e"], "msg": string, "input": null},
        ])
    );
}

#[test]
fn numbers_are_read_from_text_and_kept_within_bounds() {
    let cases = [
        (json!(5), None),
        (json!("5"), None),
        (json!(5.0), None),
        (json!(5.5), Some("int_from_float")),
        (json!("x"), Some("int_parsing")),
        (json!(""), Some("int_parsing")),
        (json!([]), Some("int_type")),
        (json!(null), Some("int_type")),
        (json!(true), Some("int_type")),
        (json!(-1), Some("greater_than_equal")),
        (json!("99999999999999999999999"), Some("less_than_equal")),
        (json!(u64::MAX), Some("less_than_equal")),
        (json!(101), Some("less_than_equal")),
    ];
    for (value, problem) in cases {
        let mut fields = body(json!({ "n": value }));
        let read = fields.int("n", 0, 0, 100);
        match problem {
            None => {
                assert_eq!(read, 5, "{value}");
                fields.done().expect("nothing is wrong");
            }
            Some(kind) => assert_eq!(details(fields)[0]["type"], kind, "{value}"),
        }
    }
    assert_eq!(body(json!({})).int("n", 7, 0, 100), 7);
}

#[test]
fn flags_are_read_from_the_usual_words() {
    for (value, flag) in [
        (json!(true), true),
        (json!("yes"), true),
        (json!("ON"), true),
        (json!(1), true),
        (json!("0"), false),
        (json!(0.0), false),
        (json!("n"), false),
    ] {
        let mut fields = body(json!({ "f": value }));
        assert_eq!(fields.required_flag("f"), flag, "{value}");
        fields.done().expect("nothing is wrong");
    }
    for (value, kind) in
        [(json!("maybe"), "bool_parsing"), (json!(2), "bool_parsing"), (json!(null), "bool_type")]
    {
        let mut fields = body(json!({ "f": value }));
        fields.required_flag("f");
        assert_eq!(details(fields)[0]["type"], kind, "{value}");
    }
}

#[test]
fn choices_name_what_is_allowed() {
    let mut fields = body(json!({"mode": 3, "type": "outptu", "flag": true}));
    fields.choice("mode", &[0, 1, 2]);
    fields.choice("flag", &[0, 1, 2]);
    fields.required_word("type", &["output", "status"]);
    let found = details(fields);
    assert_eq!(found[0]["msg"], "Input should be 0, 1 or 2");
    assert_eq!(found[0]["ctx"], json!({"expected": "0, 1 or 2"}));
    assert_eq!(found[1]["type"], "literal_error");
    assert_eq!(found[2]["msg"], "Input should be 'output' or 'status'");
}

#[test]
fn an_absent_choice_and_a_null_one_differ() {
    assert_eq!(body(json!({})).choice("mode", &[0]), None);
    assert_eq!(body(json!({"mode": null})).choice("mode", &[0]), Some(None));
    assert_eq!(body(json!({"mode": 0})).choice("mode", &[0]), Some(Some(0)));
}

#[test]
fn objects_and_lists_are_told_apart() {
    let mut fields = body(json!({"data": [], "images": {}, "none": null}));
    fields.required_object("data");
    fields.list("images");
    assert!(fields.object("none").is_none());
    let found = details(fields);
    assert_eq!(found[0]["type"], "dict_type");
    assert_eq!(found[1]["type"], "list_type");
}

#[test]
fn a_huge_value_is_not_sent_back() {
    let mut fields = body(json!({"text": "x".repeat(5_000), "data": ["y".repeat(5_000)]}));
    fields.required_text("text", 1, 10);
    fields.required_object("data");
    let found = details(fields);
    assert_eq!(found[0]["input"], Value::Null);
    assert_eq!(found[1]["input"], Value::Null);
}

#[test]
fn a_query_is_percent_decoded_and_names_its_part() {
    let mut fields = Fields::of_query("since=%31%30&limit=zero&x=a+b&since_seq");
    assert_eq!(fields.int("since", 0, 0, u64::MAX), 10);
    assert_eq!(fields.text("x").as_deref(), Some("a b"));
    fields.int("limit", 500, 1, 5000);
    let found = details(fields);
    assert_eq!(found[0]["loc"], json!(["query", "limit"]));
}
