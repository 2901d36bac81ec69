//! Resources: the transcript of each session, as Markdown.

use rmcp::ErrorData;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};

use super::call::ToolError;
use crate::client::{Client, ClientError};

const BEFORE: &str = "tether://sessions/";
const AFTER: &str = "/transcript";
const MARKDOWN: &str = "text/markdown";
/// Longest transcript in bytes; of a longer one the beginning is given.
const LONGEST: usize = 4 << 20;

/// The address of a session's transcript.
fn uri(session: &str) -> String {
    format!("{BEFORE}{session}{AFTER}")
}

/// The transcripts that there are, those with the newest activity first.
pub(super) async fn list(client: &Client) -> Result<ListResourcesResult, ErrorData> {
    let mut sessions = client.sessions().await.map_err(|error| failed(error, ""))?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_activity_at));
    let resource = |session: tether_actors::domain::session::Session| {
        let name = session.name.clone().unwrap_or_else(|| session.id.to_string());
        Resource::new(uri(session.id.as_str()), name)
            .with_description(format!("What was said in session {} ({})", session.id, session.state.as_str()))
            .with_mime_type(MARKDOWN)
    };
    Ok(ListResourcesResult::with_all_items(sessions.into_iter().map(resource).collect()))
}

/// How a transcript's address is made.
pub(super) fn templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(uri("{session_id}"), "transcript")
        .with_title("Transcript of a session")
        .with_description("What was said in a session, as Markdown")
        .with_mime_type(MARKDOWN);
    ListResourceTemplatesResult::with_all_items(vec![template])
}

/// A transcript.
pub(super) async fn read(client: &Client, wanted: &str) -> Result<ReadResourceResult, ErrorData> {
    let unknown =
        || ErrorData::resource_not_found(format!("no resource {wanted}: it is {}", uri("ID")), None);
    let session =
        wanted.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER)).ok_or_else(unknown)?;
    let mut download = client.export(session, "md").await.map_err(|error| failed(error, wanted))?;
    let mut whole = Vec::new();
    while let Some(piece) = download.next().await.map_err(|error| failed(error, wanted))? {
        whole.extend_from_slice(&piece);
        if whole.len() > LONGEST {
            whole.truncate(LONGEST);
            whole.extend_from_slice(
                "\n\n(The rest is left out: `tether export` gives all of it.)\n".as_bytes(),
            );
            break;
        }
    }
    let text = String::from_utf8_lossy(&whole).into_owned();
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, wanted).with_mime_type(MARKDOWN)]))
}

fn failed(error: ClientError, wanted: &str) -> ErrorData {
    if error.is_status(404) {
        return ErrorData::resource_not_found(format!("no resource {wanted}: {error}"), None);
    }
    ErrorData::internal_error(ToolError::from(error).to_string(), None)
}
