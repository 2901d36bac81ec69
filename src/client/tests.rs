//! How refusals are read and requests are addressed.

use super::*;

#[test]
fn every_shape_of_refusal_is_understood() {
    for (body, message, code) in [
        (
            r#"{"error":{"code":"NOT_FOUND","message":"Session not found","details":null}}"#,
            "Session not found",
            Some("NOT_FOUND"),
        ),
        (r#"{"detail":"Method Not Allowed"}"#, "Method Not Allowed", None),
        (r#"{"detail":{"message":"a"}}"#, "a", None),
        (r#"{"detail":{"msg":"b"}}"#, "b", None),
        (r#"{"detail":[{"loc":[]},{"msg":"c"}]}"#, "c", None),
        ("Internal Server Error\n", "Internal Server Error", None),
        ("", "HTTP 500", None),
    ] {
        let expected =
            ClientError::Refused { status: 500, code: code.map(str::to_owned), message: message.to_owned() };
        assert_eq!(refusal(500, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn an_id_cannot_leave_its_place_in_the_path() {
    let connection = Connection { host: "127.0.0.1".into(), port: 1, token: None };
    let client = Client::new(connection).expect("a client");
    let request = client.request(Method::GET, &["api", "approvals", "../shutdown?x=#y"]);
    let url = request.build().expect("a request").url().to_string();
    assert_eq!(url, "http://127.0.0.1:1/api/approvals/..%2Fshutdown%3Fx=%23y");
}

#[test]
fn a_daemon_behind_a_proxy_is_reached_under_its_whole_address() {
    let connection = || Connection { host: "127.0.0.1".into(), port: 1, token: None };
    for (address, url) in [
        (None, "http://127.0.0.1:1/api/sessions"),
        (Some("http://box:8"), "http://box:8/api/sessions"),
        (Some("https://box/tether/"), "https://box/tether/api/sessions"),
        (Some("https://box/tether"), "https://box/tether/api/sessions"),
    ] {
        let client = Client::for_agents(connection(), address).expect("a client");
        let request = client.request(Method::GET, &["api", "sessions"]).build().expect("a request");
        assert_eq!(request.url().as_str(), url);
        assert_eq!(request.headers()[SURFACE_HEADER], "mcp");
    }
    assert!(Client::for_agents(connection(), Some("box")).is_err());
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address_and_the_cause() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    let client = Client::new(Connection { host: "127.0.0.1".into(), port, token: None }).expect("a client");
    let error = client.health().await.expect_err("nobody");
    assert!(matches!(&error, ClientError::Unreachable { cause, .. } if cause.contains("refused")), "{error}");
    assert!(error.is_passing());
}
