//! Files both ways: uploads in three steps (`https://docs.slack.dev/messaging/working-with-files#upload`), and downloads with
//! the bot's token, which no other host than Slack's own ever gets.

use bytes::Bytes;
use reqwest::Url;
use serde_json::{Value, json};

use super::{Slack, events, markup};
use crate::bridge::platform::{Failure, FileOut, FileRef, Place, Sent};
use crate::domain::time::Stamp;

/// Slack's host for files.
const HOST: &str = "files.slack.com";

impl Slack {
    pub(super) async fn upload(&self, place: &Place, file: &FileOut, nonce: &str) -> Result<Sent, Failure> {
        let (channel, thread) = self.address(place)?;
        if file.bytes.is_empty() {
            return Err(Failure::Refused(format!("{} is empty, and Slack takes no empty files", file.name)));
        }
        let size = file.bytes.len() as u64;
        if let Some(id) = self.earlier(place, nonce, Some((&file.name, size))).await? {
            return Ok(sent(id));
        }
        let result = self.upload_new(&channel, thread.as_deref(), file).await;
        self.ledger.settle(place, nonce, &result, |sent| sent.id.clone());
        result
    }

    async fn upload_new(&self, channel: &str, thread: Option<&str>, file: &FileOut) -> Result<Sent, Failure> {
        let length = file.bytes.len().to_string();
        let arguments = [("filename", file.name.as_str()), ("length", length.as_str())];
        let place = self.api.get("files.getUploadURLExternal", &arguments).await?;
        let text = |field: &str| place.get(field).and_then(Value::as_str).unwrap_or_default();
        let (url, id) = (text("upload_url"), text("file_id"));
        if url.is_empty() || id.is_empty() {
            return Err(Failure::Unsure("Slack gave no address for a file".to_owned()));
        }
        self.api.upload(url, file.bytes.clone()).await?;
        let mut body = json!({ "files": [{ "id": id, "title": file.name }], "channel_id": channel });
        if let Some(body) = body.as_object_mut() {
            if let Some(thread) = thread {
                body.insert("thread_ts".to_owned(), thread.into());
            }
            if !file.caption.trim().is_empty() {
                let mut caption = String::new();
                markup::escape(&mut caption, &file.caption, true);
                body.insert("initial_comment".to_owned(), caption.into());
            }
        }
        let done = self.api.post("files.completeUploadExternal", &body).await?;
        Ok(sent(share(&done, channel).unwrap_or_else(now)))
    }

    pub(super) async fn download(&self, file: &FileRef, limit: u64) -> Result<Bytes, Failure> {
        let (id, url) = file.handle.split_once(' ').unwrap_or((file.handle.as_str(), ""));
        let mut url = url.to_owned();
        if url.is_empty() {
            // Files of other workspaces come without an address.
            let info = self.api.get("files.info", &[("file", id)]).await?;
            let found = info.pointer("/file/url_private_download").or(info.pointer("/file/url_private"));
            url = found.and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        let url = self.own_address(&url)?;
        let (kind, bytes) = self.api.download(url.as_str(), limit).await?;
        let page = kind.is_some_and(|kind| kind.starts_with("text/html"));
        let wanted = file.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        if page && !wanted.ends_with(".html") && !wanted.ends_with(".htm") {
            return Err(Failure::Refused(
                "Slack showed a page to log in instead: the app lacks the permission files:read".to_owned(),
            ));
        }
        Ok(bytes)
    }

    /// An address that may get the token: Slack's own, or the configured server's.
    fn own_address(&self, url: &str) -> Result<Url, Failure> {
        let elsewhere = || Failure::Refused("it does not lie on Slack's own server".to_owned());
        let url = Url::parse(url).map_err(|_| elsewhere())?;
        let base = Url::parse(self.api.base()).map_err(|_| elsewhere())?;
        let is_slack = url.scheme() == "https"
            && url.host_str() == Some(HOST)
            && url.port_or_known_default() == Some(443);
        let is_base = url.origin() == base.origin();
        let plain = url.username().is_empty() && url.password().is_none();
        if plain && (is_slack || is_base) { Ok(url) } else { Err(elsewhere()) }
    }
}

/// The message that a file was shared with, if Slack says it already.
fn share(done: &Value, channel: &str) -> Option<String> {
    let shares = done.pointer("/files/0/shares")?;
    ["public", "private"].iter().find_map(|kind| {
        let ts = shares.get(kind)?.get(channel)?.get(0)?.get("ts")?;
        ts.as_str().map(str::to_owned)
    })
}

pub fn now() -> String {
    let millis = Stamp::now().unix_millis();
    format!("{}.{:03}000", millis / 1_000, millis % 1_000)
}

pub fn sent(id: String) -> Sent {
    let at = events::stamp(&id).unwrap_or_else(Stamp::now);
    Sent { id, at }
}

#[cfg(test)]
mod tests {
    use super::super::SlackSettings;
    use super::*;

    #[test]
    fn the_token_goes_to_slacks_own_hosts_only() {
        let settings = SlackSettings {
            api_url: "http://127.0.0.1:9/api/".to_owned(),
            bot_token: "xoxb-1".to_owned(),
            app_token: "xapp-1".to_owned(),
            channel: "C1".to_owned(),
            shortcut: None,
        };
        let slack = Slack::new(&settings).expect("a client");
        for good in ["https://files.slack.com/files-pri/T1-F1/a.png", "http://127.0.0.1:9/files/F1"] {
            assert!(slack.own_address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://files.slack.com/a",
            "https://files.slack.com:444/a",
            "https://files.slack.com.evil.example/a",
            "https://evil.example/files.slack.com",
            "https://files.slack.com@evil.example/a",
            "https://me@files.slack.com/a",
            "http://127.0.0.1:10/a",
            "file:///etc/passwd",
            "",
        ] {
            assert!(slack.own_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_message_of_a_file_is_found_where_slack_tells_it() {
        let done = json!({ "files": [{ "id": "F1", "shares": { "private": { "C1": [{ "ts": "1795.000100" }] } } }] });
        assert_eq!(share(&done, "C1").as_deref(), Some("1795.000100"));
        assert_eq!(share(&done, "C2"), None);
        assert!(events::stamp(&now()).is_some());
    }
}
