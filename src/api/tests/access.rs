//! Who may come in, and what a careful server says.

use super::*;

const NOBODY: &str = "sess_000000000000";

#[actix_web::test]
async fn everything_of_the_api_needs_the_token_before_anything_else() {
    let app = app!(api());
    for (method, path) in [
        ("GET", "/api/sessions"),
        ("POST", "/api/sessions"),
        ("GET", "/api/nope"),
        ("GET", "/api/status/bridges"),
        ("GET", "/api/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/events/sessions/x"),
        ("GET", "/api/events/sessions/x"),
        ("GET", "/%61pi/sessions"),
        ("GET", "//api/sessions"),
        ("POST", "/api/shutdown"),
        ("POST", "/api/debug/clear_data"),
        ("DELETE", "/api/health"),
        ("POST", "/"),
    ] {
        let answer = call(&app, bare(method, path).set_payload("{no json")).await;
        if path == "/api/health" {
            assert_eq!(answer.status, 405);
            continue;
        }
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.code(), "UNAUTHORIZED");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[actix_web::test]
async fn the_token_is_taken_in_any_spelling_of_its_scheme_and_no_other_way() {
    let app = app!(api());
    for (header, status) in [
        (format!("Bearer {TOKEN}"), 200),
        (format!("bEARER {TOKEN}"), 200),
        (format!("Basic {TOKEN}"), 401),
        (TOKEN.to_owned(), 401),
        (format!("Bearer {TOKEN}x"), 401),
        (format!("Bearer {}", &TOKEN[1..]), 401),
        ("Bearer ".to_owned(), 401),
        ("Bearer".to_owned(), 401),
    ] {
        let answer = call(&app, bare("GET", "/api/sessions").insert_header(("Authorization", header))).await;
        assert_eq!(answer.status, status);
    }
    let query = call(&app, bare("GET", &format!("/api/sessions?token={TOKEN}"))).await;
    assert_eq!(query.status, 401);
}

#[actix_web::test]
async fn health_and_the_pages_are_open() {
    let app = app!(api());
    let health = call(&app, bare("GET", "/api/health")).await;
    assert_eq!(health.status, 200);
    let body = health.json();
    assert_eq!(body["ok"], true);
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&body["protocol"], &body["condition"]), (&json!(1), &json!("healthy")));
    for path in ["/", "/app.js", "/sessions/anything", "/apis"] {
        assert_eq!(call(&app, bare("GET", path)).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn without_a_token_in_development_all_is_open() {
    let app = app!(api_with(Settings { token: None, dev: true, ..Settings::default() }));
    assert_eq!(call(&app, bare("GET", "/api/sessions")).await.status, 200);
    assert_eq!(call(&app, bare("POST", "/api/debug/clear_data")).await.status, 200);
}

#[actix_web::test]
async fn an_empty_token_lets_nobody_in() {
    let app = app!(api_with(Settings { token: Some(String::new()), ..Settings::default() }));
    for header in ["Bearer ", "Bearer  ", "Bearer"] {
        let answer = call(&app, bare("GET", "/api/sessions").insert_header(("Authorization", header))).await;
        assert_eq!(answer.status, 401, "{header:?}");
    }
}

#[actix_web::test]
async fn clearing_all_data_is_for_development_only() {
    let app = app!(api());
    let answer = call(&app, request("POST", "/api/debug/clear_data")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "FORBIDDEN"));
}

#[actix_web::test]
async fn a_foreign_host_or_origin_is_refused_everywhere() {
    let app = app!(api());
    for path in ["/api/sessions", "/api/health", "/", "/nope", "/api/ws"] {
        for (name, value, fine) in [
            ("Host", "evil.example", false),
            ("Host", "127.0.0.1:1", false),
            ("Host", "", false),
            ("Host", "localhost:8787", true),
            ("Origin", "http://127.0.0.1:8787", true),
            ("Origin", "https://evil.example", false),
            ("Origin", "null", false),
        ] {
            let answer = call(&app, request("GET", path).insert_header((name, value))).await;
            assert_eq!(answer.status != 403, fine, "{path} {name}: {value}");
            if !fine {
                assert_eq!(answer.code(), "FORBIDDEN");
            }
        }
        let two = request("GET", path).append_header(("Host", "localhost:8787"));
        assert_eq!(call(&app, two).await.status, 403);
    }
}

#[actix_web::test]
async fn every_answer_has_the_headers_of_a_careful_server() {
    let app = app!(api());
    for (path, cache) in [("/api/sessions", "no-store"), ("/api/nope", "no-store"), ("/", "no-cache")] {
        let answer = call(&app, request("GET", path)).await;
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), cache, "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32);
    }
    let refused = call(&app, bare("GET", "/api/sessions")).await;
    assert_eq!(refused.header("x-frame-options"), "DENY");
}

#[actix_web::test]
async fn files_are_sent_with_a_tag_and_not_twice() {
    let app = app!(api());
    let first = call(&app, bare("GET", "/style/base.css")).await;
    assert_eq!(first.header("content-type"), "text/css; charset=utf-8");
    let tag = first.header("etag").to_owned();
    let again = call(&app, bare("GET", "/style/base.css").insert_header(("If-None-Match", tag))).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    let index = call(&app, bare("GET", "/some/page")).await;
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    for path in
        ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/..%2fCargo.toml", "//etc/passwd", "/style/base.css/.."]
    {
        let answer = call(&app, bare("GET", path)).await;
        assert_eq!(answer.body, index.body, "{path}");
    }
}

#[actix_web::test]
async fn a_wrong_method_is_told_with_the_right_ones() {
    let app = app!(api());
    for (method, path, allow) in [
        ("PUT", "/api/sessions", "GET, POST"),
        ("HEAD", "/api/sessions", "GET, POST"),
        ("OPTIONS", "/api/health", "GET"),
        ("GET", &format!("/api/sessions/{NOBODY}/start"), "POST"),
        ("POST", &format!("/api/sessions/{NOBODY}"), "DELETE, GET"),
        ("DELETE", "/api/nope", "GET"),
        ("POST", "/", "GET"),
        ("HEAD", "/", "GET"),
        ("BREW", "/api/sessions", "GET, POST"),
    ] {
        let answer = call(&app, request(method, path)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert_eq!(answer.code(), "METHOD_NOT_ALLOWED");
    }
    let unknown = call(&app, request("GET", "/api/nope")).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "NOT_FOUND"));
}

#[actix_web::test]
async fn a_device_is_paired_by_a_code_and_removed_again() {
    let app = app!(api());
    let code = call(&app, request("POST", "/api/pairing")).await;
    assert_eq!(code.status, 201);
    let link = code.json()["link"].as_str().expect("a link").to_owned();
    assert!(
        link.ends_with(&format!("/login#code={}", code.json()["code"].as_str().expect("a code"))),
        "{link}"
    );
    let login = json!({"code": code.json()["code"], "name": " my  phone ", "return_token": true});
    let paired = call(&app, bare("POST", "/api/login").set_json(&login)).await;
    assert_eq!(paired.status, 200);
    let cookie = paired.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP the browser would drop it");
    assert_eq!(call(&app, bare("POST", "/api/login").set_json(&login)).await.status, 401, "it worked twice");

    let pair = cookie.split(';').next().expect("a name and a value").to_owned();
    let by_cookie = |method, path| bare(method, path).insert_header(("Cookie", pair.clone()));
    let token = paired.json()["token"].as_str().expect("a token").to_owned();
    let by_token = |path| bare("GET", path).insert_header(("Authorization", format!("Bearer {token}")));
    assert_eq!(call(&app, by_token("/api/sessions")).await.status, 200);
    let devices = call(&app, by_cookie("GET", "/api/devices")).await.json();
    assert_eq!((&devices[0]["name"], &devices[0]["current"]), (&json!("my phone"), &json!(true)));
    assert!(devices[0].get("token_hash").is_none(), "{devices}");

    assert!(devices[0]["last_seen_at"].is_string(), "{devices}");

    let id = devices[0]["id"].as_str().expect("an id");
    let rename =
        |name: &str| request("PATCH", &format!("/api/devices/{id}")).set_json(json!({ "name": name }));
    assert_eq!(call(&app, rename(" phone  of Ana ")).await.json()["name"], "phone of Ana");
    assert_eq!(call(&app, rename(" ")).await.status, 422);
    assert_eq!(call(&app, by_cookie("GET", "/api/devices")).await.json()[0]["name"], "phone of Ana");
    assert_eq!(call(&app, request("DELETE", &format!("/api/devices/{id}"))).await.status, 200);
    assert_eq!(call(&app, request("DELETE", &format!("/api/devices/{id}"))).await.status, 404);
    assert_eq!(call(&app, by_cookie("GET", "/api/sessions")).await.status, 401);
    assert_eq!(call(&app, by_token("/api/sessions")).await.status, 401);
}

#[actix_web::test]
async fn logging_out_forgets_the_device_on_disk_too() {
    let api = api();
    let app = app!(api.clone());
    let code = api.pairing.new_code();
    let paired = call(&app, bare("POST", "/api/login").set_json(json!({"code": code}))).await;
    let pair = paired.header("set-cookie").split(';').next().expect("a name and a value").to_owned();
    assert_eq!(api.log.list_devices().await.expect("the log answers").len(), 1);
    let out = call(&app, bare("POST", "/api/logout").insert_header(("Cookie", pair.clone()))).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert!(api.log.list_devices().await.expect("the log answers").is_empty());
    let again = call(&app, bare("GET", "/api/sessions").insert_header(("Cookie", pair))).await;
    assert_eq!(again.status, 401);
}

#[actix_web::test]
async fn who_asks_to_stop_is_answered_first() {
    let api = api();
    let app = app!(api.clone());
    assert_eq!(
        call(&app, request("POST", "/api/shutdown").set_json(json!({"agents": "maybe"}))).await.status,
        422
    );
    assert_eq!(api.shutdown.state(), None);
    let answer = call(&app, request("POST", "/api/shutdown").set_json(json!({"agents": true}))).await;
    assert_eq!(answer.status, 202);
    assert_eq!(api.shutdown.state(), Some(Stop { agents: true }));
}
