//! Whatever a client sends, it gets an answer in our shape, and never one that says that we failed.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// Runs something against a fresh application.
macro_rules! run {
    (|$app:ident| $ask:block) => {
        actix_web::rt::System::new().block_on(async {
            let $app = app!(api());
            $ask
        })
    };
}

/// Every route with what it is asked by: the method, and the path with something for each `{..}`.
fn routes() -> &'static [(String, String)] {
    static ROUTES: OnceLock<Vec<(String, String)>> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let answer = run!(|app| { call(&app, request("GET", "/api/openapi.json")).await.json() });
        let paths = answer["paths"].as_object().expect("paths").clone();
        let methods = |item: &Value| item.as_object().expect("an item").keys().cloned().collect::<Vec<_>>();
        let all = paths.iter().flat_map(|(path, item)| {
            methods(item).into_iter().map(|method| (method.to_uppercase(), path.clone()))
        });
        // The streams do not end, and their queries are tested with the others' readers.
        let mut all: Vec<_> = all.filter(|(_, path)| !path.contains("events/sessions")).collect();
        // After it, new work is rightly refused.
        all.sort_by_key(|(_, path)| path == "/api/shutdown");
        all
    })
}

/// JSON of any shape, with the names of our fields in it more often than chance would have it.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "text",
            "type",
            "data",
            "name",
            "prompt",
            "images",
            "request_id",
            "allow",
            "decision",
            "scope",
            "answers",
            "directory",
            "adapter",
            "platform",
            "approval_mode",
            "session_name",
            "code",
            "agents",
            "status",
            "tool_input",
            "is_final",
            "input_id",
            "message",
            "model",
            "restart_policy",
            "auto_checkpoint",
            "mimeType",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        proptest::sample::select(vec![
            "output",
            "status",
            "error",
            "permission_request",
            "allow",
            "tool",
            "/tmp",
            "~"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any_json().prop_map(|json| json.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => any_json().prop_map(|json| {
            let mut bytes = json.to_string().into_bytes();
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        1 => (1usize..3_000).prop_map(|depth| "{\"data\":".repeat(depth).into_bytes()),
    ]
}

/// Text for a place in a path or a query, percent-encoded bytes of any kind included.
fn any_segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("sess_000000000000".to_owned()),
        "[a-zA-Z0-9_.~-]{1,40}",
        proptest::collection::vec(any::<u8>(), 1..12)
            .prop_map(|bytes| bytes.iter().map(|b| format!("%{b:02x}")).collect()),
        Just("x".repeat(6_000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_body_path_or_query_is_answered_with_a_failure_of_ours(
        body in any_body(),
        segment in any_segment(),
        query in proptest::collection::vec((any_segment(), any_segment()), 0..4),
        header in "[ -~]{0,60}",
    ) {
        let names = ["since_seq", "limit", "path", "types", "state", "session_id", "force"];
        let query: Vec<String> = query
            .iter()
            .enumerate()
            .map(|(at, (name, value))| format!("{}={value}", names.get(at).copied().unwrap_or(name)))
            .collect();
        let answers = {
            // Asked for outside of `run`: it runs something itself the first time.
            let routes = routes();
            run!(|app| {
                let mut answers = Vec::new();
                for (method, path) in routes {
                    let path = ["{id}", "{approval_id}", "{grant_id}", "{device_id}", "{input_id}"]
                        .iter()
                        .fold(path.clone(), |path, place| path.replace(place, &segment));
                    let asked = request(method, &format!("{path}?{}", query.join("&")))
                        .insert_header(("Content-Type", "application/json"))
                        .insert_header(("X-Tether-Surface", header.clone()))
                        .set_payload(body.clone());
                    answers.push((method, path, call(&app, asked).await));
                }
                answers
            })
        };
        for (method, path, answer) in answers {
            let status = answer.status.as_u16();
            prop_assert!(status < 500, "{} {}: {}", method, path, status);
            if status >= 400 {
                answer.code();
            }
        }
    }

    #[test]
    fn any_token_but_the_right_one_is_refused(token in "[!-~]{0,80}", scheme in "[A-Za-z]{0,8}") {
        let answer = run!(|app| {
            let header = format!("{scheme} {token}");
            call(&app, bare("GET", "/api/sessions").insert_header(("Authorization", header))).await
        });
        prop_assert_eq!(answer.status.as_u16(), 401);
    }
}
