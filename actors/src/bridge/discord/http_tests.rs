//! What answers of Discord mean.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;
use crate::bridge::discord::words::About;

fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

#[test]
fn the_wait_is_as_long_as_discord_says_and_unknown_when_it_does_not() {
    let slow = |headers: HeaderMap, body: &str| match trouble(429, &headers, body.as_bytes()) {
        Trouble::Slow { after, .. } => after,
        other => panic!("{other:?}"),
    };
    let none = HeaderMap::new;
    assert_eq!(
        slow(none(), r#"{"message":"m","retry_after":1.5,"global":false}"#),
        Some(Duration::from_millis(1_500))
    );
    assert_eq!(slow(none(), r#"{"retry_after":86400,"global":true}"#), Some(Duration::from_secs(86_400)));
    assert_eq!(slow(headers(&[("retry-after", "65")]), "<html>"), Some(Duration::from_secs(65)));
    assert_eq!(slow(none(), "<html>"), None);
    assert_eq!(slow(none(), r#"{"retry_after":-1}"#), None);
    assert_eq!(slow(none(), r#"{"retry_after":1e300}"#), None);
    let all = |body: &str| matches!(trouble(429, &none(), body.as_bytes()), Trouble::Slow { all: true, .. });
    assert!(all(r#"{"retry_after":1,"global":true}"#) && all("<html>"));
    assert!(!all(r#"{"retry_after":1,"global":false}"#));
}

#[test]
fn an_error_says_what_is_to_be_done() {
    let failure =
        |status, body: &str, about| trouble(status, &HeaderMap::new(), body.as_bytes()).failure(about);
    let broken = |status, body: &str, words: &str| match failure(status, body, About::Home) {
        Failure::Broken(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    broken(401, r#"{"message":"401: Unauthorized","code":0}"#, "DISCORD_BOT_TOKEN");
    broken(403, r#"{"message":"Missing Access","code":50001}"#, "View Channel");
    broken(403, r#"{"message":"Missing Permissions","code":50013}"#, "Create Public Threads");
    broken(404, r#"{"message":"Unknown Channel","code":10003}"#, "DISCORD_CHANNEL_ID");
    broken(403, "<html>blocked", "HTTP 403");
    let gone = failure(404, r#"{"message":"Unknown Channel","code":10003}"#, About::Thread);
    assert_eq!(gone, Failure::ThreadGone);
    assert_eq!(failure(404, r#"{"code":10008}"#, About::Thread), Failure::MessageGone);
    assert_eq!(failure(429, r#"{"code":30046}"#, About::Thread), Failure::MessageGone);
    assert!(matches!(failure(502, "<html>Bad Gateway", About::Thread), Failure::Unsure(_)));
    assert!(matches!(failure(403, r#"{"code":50013}"#, About::File), Failure::Refused(_)));
    let form = r#"{"code":50035,"message":"Invalid Form Body","errors":{"content":{"_errors":[{"code":"X",
        "message":"Must be 2000 or fewer in length."}]}}}"#;
    let said = failure(400, form, About::Thread).to_string();
    assert_eq!(
        said,
        "Discord refuses (50035): Invalid Form Body (content: Must be 2000 or fewer in length.)"
    );
}

#[test]
fn files_come_from_discords_hosts_and_the_configured_one_only() {
    let http = Http::new("http://127.0.0.1:4000/api/v10/", "t").unwrap();
    let may = |url: &str| http.may_fetch(&url.parse().unwrap());
    assert!(may("https://cdn.discordapp.com/attachments/1/2/a.png?ex=1"));
    assert!(may("https://media.discordapp.net/a.png"));
    assert!(may("http://127.0.0.1:4000/attachments/a.png"));
    for other in [
        "http://cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com:8443/a.png",
        "https://cdn.discordapp.com.evil.example/a.png",
        "https://user@evil.example/cdn.discordapp.com",
        "http://127.0.0.1:4001/a.png",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
    ] {
        assert!(!may(other), "{other}");
    }
}

#[test]
fn only_a_whole_set_of_numbers_goes_to_the_limiter() {
    let all = [
        ("x-ratelimit-bucket", "abc"),
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "2.5"),
    ];
    let told = limits(&headers(&all)).unwrap();
    assert_eq!((told.limit, told.remaining, told.bucket.as_slice()), (5, 0, b"abc".as_slice()));
    assert!(told.reset_at > Instant::now() + Duration::from_secs(2));
    for missing in 0..all.len() {
        let mut some = all.to_vec();
        some.remove(missing);
        assert!(limits(&headers(&some)).is_none(), "{missing}");
    }
}
