//! What a person says: the content blocks of `session/prompt`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Refusal;

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `image/png` or the like.
    pub mime_type: String,
    /// Its bytes in base64.
    pub data: String,
}

/// A prompt as words and pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The words; what was attached is named or quoted in them.
    pub text: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
}

/// Reads the blocks. Kinds that were not offered in `initialize` are refused.
pub fn words(prompt: &Value) -> Result<Words, Refusal> {
    let blocks = prompt.as_array().ok_or_else(|| Refusal::invalid_params("`prompt` is no list of blocks"))?;
    let mut words = Words::default();
    for block in blocks {
        let part = match block["type"].as_str() {
            Some("text") => text(block, "text")?.to_owned(),
            Some("image") => {
                words.pictures.push(Picture {
                    mime_type: text(block, "mimeType")?.to_owned(),
                    data: text(block, "data")?.to_owned(),
                });
                continue;
            }
            Some("resource_link") => {
                let uri = text(block, "uri")?;
                format!("[{}]({uri})", block["name"].as_str().unwrap_or(uri))
            }
            Some("resource") => {
                let resource = &block["resource"];
                let content = resource["text"].as_str().ok_or_else(|| {
                    Refusal::invalid_params("an embedded resource holds no text; only text can be taken")
                })?;
                format!("{}:\n````\n{content}\n````", resource["uri"].as_str().unwrap_or("attached"))
            }
            other => {
                let kind = other.unwrap_or("without a type");
                return Err(Refusal::invalid_params(format!("a prompt cannot hold a block {kind}")));
            }
        };
        if !words.text.is_empty() {
            words.text.push('\n');
        }
        words.text.push_str(&part);
    }
    if words.text.trim().is_empty() && words.pictures.is_empty() {
        return Err(Refusal::invalid_params("the prompt is empty"));
    }
    Ok(words)
}

fn text<'a>(block: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    block[key].as_str().ok_or_else(|| Refusal::invalid_params(format!("a block has no `{key}`")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_links_and_attached_text_become_words() {
        let read = words(&json!([
            { "type": "text", "text": "look at" },
            { "type": "resource_link", "uri": "file:///a/README.md", "name": "README.md" },
            { "type": "resource", "resource": { "uri": "file:///a/b.txt", "text": "b" } },
            { "type": "image", "mimeType": "image/png", "data": "AAAA" },
        ]))
        .expect("all of them are known");
        assert_eq!(read.text, "look at\n[README.md](file:///a/README.md)\nfile:///a/b.txt:\n````\nb\n````");
        assert_eq!(read.pictures, [Picture { mime_type: "image/png".into(), data: "AAAA".into() }]);
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_its_name() {
        let refused =
            words(&json!([{ "type": "audio", "data": "AAAA" }])).expect_err("audio was not offered");
        assert!(refused.message.contains("audio"), "{refused:?}");
        for prompt in [json!([]), json!([{ "type": "text", "text": "  " }]), json!(null), json!([7])] {
            assert!(words(&prompt).is_err(), "{prompt}");
        }
    }
}
