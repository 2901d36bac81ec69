//! The Bot API over HTTP (Bot API 9, `https://core.telegram.org/bots/api#making-requests`). Every error comes out as
//! what is to be done about it, and none names the token.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use frankenstein::AsyncTelegramApi;
use futures_util::StreamExt;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bridge::platform::{Failure, FileOut, causes};

/// Longer than a long poll, which is not answered before.
const PATIENCE: Duration = Duration::from_secs(60);
/// No answer of the Bot API is larger.
const LONGEST: usize = 8 << 20;

/// A connection to the Bot API.
#[derive(Clone)]
pub struct Http {
    client: Client,
    base: String,
    token: String,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Http {
    /// Of the server at `base`, for the bot of this token. A server on this machine is never reached through a proxy.
    pub fn new(base: &str, token: &str) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        let mut client = Client::builder().timeout(PATIENCE).connect_timeout(Duration::from_secs(15));
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if local.iter().any(|local| base.starts_with(local)) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Self { client, base, token: token.to_owned() })
    }

    fn url(&self, method: &str) -> String {
        format!("{}/bot{}/{method}", self.base, self.token)
    }

    /// Sends a file as a document.
    pub async fn send_document(
        &self,
        chat: i64,
        thread: Option<i32>,
        file: &FileOut,
    ) -> Result<Value, Failure> {
        let part = Part::stream(file.bytes.clone()).file_name(file.name.clone());
        let mut form = Form::new().text("chat_id", chat.to_string()).part("document", part);
        if let Some(thread) = thread {
            form = form.text("message_thread_id", thread.to_string());
        }
        if !file.caption.is_empty() {
            let caption: String = file.caption.chars().take(900).collect();
            form = form.text("caption", caption);
        }
        let sent = self.client.post(self.url("sendDocument")).multipart(form).send().await;
        let response: frankenstein::response::MethodResponse<Value> =
            answer(sent.map_err(broken_off)?).await?;
        Ok(response.result)
    }

    /// Fetches a file whose path `getFile` gave.
    pub async fn download(&self, path: &str, limit: u64) -> Result<Bytes, Failure> {
        let odd = path.starts_with('/')
            || path.split('/').any(|part| part == "..")
            || path.contains(['?', '#', '\\']);
        if odd {
            return Err(Failure::Refused("the server gave a path for it that is not followed".to_owned()));
        }
        let url = format!("{}/file/bot{}/{path}", self.base, self.token);
        let response = self.client.get(url).send().await.map_err(broken_off)?;
        if !response.status().is_success() {
            return Err(Failure::Refused(format!("the server answered {}", response.status())));
        }
        read(response, usize::try_from(limit).unwrap_or(usize::MAX)).await
    }
}

#[async_trait]
impl AsyncTelegramApi for Http {
    type Error = Failure;

    async fn request<Params, Output>(&self, method: &str, params: Option<Params>) -> Result<Output, Failure>
    where
        Params: Serialize + std::fmt::Debug + Send,
        Output: DeserializeOwned,
    {
        let request = self.client.post(self.url(method));
        let request = match params {
            Some(params) => request.json(&params),
            None => request,
        };
        answer(request.send().await.map_err(broken_off)?).await
    }

    async fn request_with_form_data<Params, Output>(
        &self,
        _: &str,
        _: Params,
        _: Vec<(&str, PathBuf)>,
    ) -> Result<Output, Failure>
    where
        Params: Serialize + std::fmt::Debug + Send,
        Output: DeserializeOwned,
    {
        // Files are sent from memory, by `send_document`.
        Err(Failure::Refused("files of the disk are not sent".to_owned()))
    }
}

fn broken_off(error: reqwest::Error) -> Failure {
    Failure::Unsure(format!("Telegram cannot be reached: {}", causes(error)))
}

async fn read(response: Response, limit: usize) -> Result<Bytes, Failure> {
    let mut stream = response.bytes_stream();
    let mut read = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(broken_off)?;
        if read.len() + piece.len() > limit {
            return Err(Failure::Refused(format!("it is larger than {} MiB", limit >> 20)));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

async fn answer<Output: DeserializeOwned>(response: Response) -> Result<Output, Failure> {
    let status = response.status().as_u16();
    let body = read(response, LONGEST).await?;
    if status == 200 {
        // Taken and then answered with something that is no answer: it may have been done.
        return serde_json::from_slice(&body)
            .map_err(|error| Failure::Unsure(format!("Telegram answered something unreadable: {error}")));
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let words = said["description"].as_str().unwrap_or_default();
    let after = said["parameters"]["retry_after"].as_u64().map(Duration::from_secs);
    if let Some(moved) = said["parameters"]["migrate_to_chat_id"].as_i64() {
        let text = format!("the group has become another one: set TELEGRAM_FORUM_GROUP_ID to {moved}");
        return Err(Failure::Broken(text));
    }
    Err(failure(status, words, after))
}

/// What an error means (descriptions as the server of Bot API 9 words them).
fn failure(status: u16, words: &str, after: Option<Duration>) -> Failure {
    let lower = words.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    match status {
        429 => Failure::Slow { after, why: words.to_owned(), here: false },
        401 | 404 => {
            Failure::Broken("Telegram does not know this bot token: check TELEGRAM_BOT_TOKEN".to_owned())
        }
        409 if says(&["webhook"]) => Failure::Broken(
            "this bot has a webhook, so its messages go elsewhere: remove it with deleteWebhook".to_owned(),
        ),
        409 => Failure::Broken(
            "another program hears with this bot's token (a second daemon?): stop it, or use another bot"
                .to_owned(),
        ),
        403 => Failure::Broken(format!("Telegram lets the bot not into the group: {words}")),
        400 if says(&["thread not found", "topic_deleted", "topic_id_invalid"]) => Failure::ThreadGone,
        400 if says(&["not modified", "topic_not_modified"]) => Failure::Unchanged,
        400 if says(&["message to edit not found", "message can't be edited", "message_id_invalid"]) => {
            Failure::MessageGone
        }
        400 if says(&[
            "chat not found",
            "not a forum",
            "not enough rights",
            "admin_required",
            "need administrator",
        ]) =>
        {
            Failure::Broken(format!("Telegram refuses the group of TELEGRAM_FORUM_GROUP_ID: {words}"))
        }
        400..=499 if words.is_empty() => Failure::Unsure(format!("Telegram answered {status} without words")),
        400..=499 => Failure::Refused(words.to_owned()),
        _ => Failure::Unsure(format!("Telegram answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_is_to_be_done() {
        let of = |status, words: &str| failure(status, words, None);
        assert_eq!(of(400, "Bad Request: message thread not found"), Failure::ThreadGone);
        assert_eq!(of(400, "Bad Request: message is not modified: specified new"), Failure::Unchanged);
        assert_eq!(of(400, "Bad Request: message to edit not found"), Failure::MessageGone);
        assert!(matches!(of(400, "Bad Request: can't parse entities"), Failure::Refused(_)));
        assert!(matches!(of(400, "Bad Request: the chat is not a forum"), Failure::Broken(_)));
        assert!(matches!(of(409, "Conflict: terminated by other getUpdates request"), Failure::Broken(_)));
        assert!(matches!(of(401, "Unauthorized"), Failure::Broken(_)));
        assert!(matches!(of(502, ""), Failure::Unsure(_)));
        let slow = failure(429, "Too Many Requests", Some(Duration::from_secs(100_000)));
        assert!(matches!(slow, Failure::Slow { after: Some(after), .. } if after.as_secs() == 100_000));
    }
}
