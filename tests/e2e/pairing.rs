//! A phone is paired by a link, is a device with a name, and is thrown out at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Stage, api, ws};

/// A browser: no token, but it keeps its cookie.
struct Browser {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Browser {
    /// Opens the link: what is behind `#` is sent in a body, as the page does.
    async fn open(link: &str, name: Option<&str>) -> Result<Self, api::Reply> {
        let (base, code) = link.split_once("/login#code=").expect("a login link");
        let client = reqwest::Client::new();
        let body = json!({ "code": code, "name": name });
        let answer =
            client.post(format!("{base}/api/login")).header("origin", base).json(&body).send().await.unwrap();
        let cookie = answer.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        let reply = api::reply(answer).await.unwrap();
        match cookie {
            Some(cookie) => {
                let cookie = cookie.split(';').next().unwrap().to_owned();
                Ok(Self { client, base: base.to_owned(), cookie })
            }
            None => Err(reply),
        }
    }

    async fn get(&self, path: &str) -> api::Reply {
        let request = self.client.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        api::reply(request.send().await.unwrap()).await.unwrap()
    }
}

async fn pairing(stage: &Stage) -> Value {
    let made = stage.api.post("/api/pairing", json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body
}

#[tokio::test]
async fn a_link_pairs_one_browser_once() {
    let stage = Stage::bare().await;
    let pairing = pairing(&stage).await;
    let link = pairing["link"].as_str().expect("a link");
    assert!(link.starts_with(&stage.api.base), "{link}");
    assert_eq!(pairing["addresses"][0]["kind"], "loopback", "{pairing}");
    assert!(pairing["hint"].as_str().is_some_and(|hint| hint.contains("only this machine")), "{pairing}");
    assert!(pairing["qr_svg"].as_str().is_some_and(|svg| svg.contains("<svg")), "{pairing}");
    let phone =
        Browser::open(link, Some("Ana's phone")).await.unwrap_or_else(|reply| panic!("{}", reply.text));
    assert!(phone.cookie.len() > 40);
    assert_eq!(phone.get("/api/sessions").await.status, 200);
    let again = Browser::open(link, None).await.err().expect("it is used");
    assert!(again.error(401, "UNAUTHORIZED").contains("tether pair"));

    let devices = phone.get("/api/devices").await.ok();
    assert_eq!((&devices[0]["name"], &devices[0]["current"]), (&json!("Ana's phone"), &json!(true)));
    assert!(devices[0]["last_seen_at"].is_string(), "{devices}");
    // A paired browser pairs the next one.
    let request = phone.client.post(format!("{}/api/pairing", phone.base)).header("cookie", &phone.cookie);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let renamed = format!("/api/devices/{}", devices[0]["id"].as_str().unwrap());
    assert_eq!(stage.api.patch(&renamed, json!({ "name": "old phone" })).await.ok()["name"], "old phone");
}

#[tokio::test]
async fn a_removed_device_is_thrown_out_at_once_with_what_it_has_open() {
    let mut stage = Stage::bare().await;
    let session = stage.api.create_external("watched").await;
    let link = pairing(&stage).await["link"].as_str().unwrap().to_owned();
    let phone = Browser::open(&link, Some("phone")).await.unwrap_or_else(|reply| panic!("{}", reply.text));
    let headers = [("cookie", phone.cookie.as_str()), ("origin", phone.base.as_str())];
    let mut socket = ws::connect_with(&stage.api, &headers).await.expect("the WebSocket opens");
    socket.done(json!({ "type": "overview" })).await;
    let events = format!("{}/api/events/sessions/{session}", phone.base);
    let mut stream = phone.client.get(events).header("cookie", &phone.cookie).send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let id = phone.get("/api/devices").await.ok()[0]["id"].as_str().unwrap().to_owned();
    stage.api.delete(&format!("/api/devices/{id}")).await.ok();
    phone.get("/api/sessions").await.error(401, "UNAUTHORIZED");
    socket.closed(10).await;
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("its event stream is closed");
    assert_eq!(ws::connect_with(&stage.api, &headers).await.err(), Some(401));
    stage.api.delete(&format!("/api/devices/{id}")).await.error(404, "NOT_FOUND");

    stage.daemon.kill9_and_restart().await;
    phone.get("/api/sessions").await.error(401, "UNAUTHORIZED");
    assert_eq!(stage.api.get("/api/devices").await.ok(), json!([]), "it does not come back with a restart");
}

#[tokio::test]
async fn guessing_a_code_is_slow() {
    let stage = Stage::bare().await;
    let link = pairing(&stage).await["link"].as_str().unwrap().to_owned();
    let base = link.split_once("/login").unwrap().0;
    let began = Instant::now();
    for _ in 0..8 {
        let wrong =
            Browser::open(&format!("{base}/login#code=AAAAA-AAAAA"), None).await.err().expect("it is wrong");
        assert!(wrong.status == 401 || wrong.status == 429, "{}", wrong.text);
    }
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(Browser::open(&link, None).await.is_ok(), "the right one still works");
}

#[tokio::test]
async fn the_command_line_shows_the_link_and_no_code_is_logged() {
    let stage = Stage::bare().await;
    let said = stage.cli(&["pair"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let link = said
        .out
        .lines()
        .map(str::trim)
        .find(|line| line.contains("/login#code="))
        .expect("a link")
        .to_owned();
    assert!(said.out.contains("only this machine"), "{}", said.out);
    assert!(Browser::open(&link, None).await.is_ok());
    let json = stage.cli(&["pair", "--json"]).await;
    let pairing: Value = serde_json::from_str(&json.out).expect("JSON");
    let code = pairing["code"].as_str().expect("a code");
    assert!(!stage.daemon.log().contains(code), "the code is in the log");
    let refused = stage.cli(&["pair", "--address", "http://evil.example"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("none of this daemon's addresses"), "{refused:?}");
}
