//! A session as a file.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use futures_util::Stream;
use tether_actors::domain::code::Code;
use tether_actors::domain::event::Envelope;
use tether_actors::domain::ids::SessionId;
use tether_actors::domain::time::Stamp;
use tether_actors::log::{Log, ReadEvents};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{FromFields, Query, SessionPath};
use super::fields::Fields;
use crate::export::{Exporter, Format};
use crate::render::Budget;

/// So many events are worked on at a time.
const EVENTS: usize = 500;
/// About so many bytes of them.
const BYTES: usize = 1 << 20;
/// So long the texts of that many events may be made pretty.
const TIME: Duration = Duration::from_secs(2);

/// Which file.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `jsonl` (the default): the events as they are, one a line; `md`: the conversation as Markdown; `html`: as
    /// one page.
    #[param(required = false, value_type = String)]
    format: Format,
}

impl FromFields for ExportQuery {
    fn read(fields: &mut Fields) -> Self {
        let format = fields.word("format", &["jsonl", "md", "html"]).and_then(Format::parse);
        Self { format: format.unwrap_or(Format::Jsonl) }
    }
}

/// All of a session up to now as a file.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path), ExportQuery),
    responses((status = 200, content_type = "application/jsonl"), (status = 404, body = ErrorBody))
)]
#[get("/api/sessions/{id}/export")]
pub(super) async fn export_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, ApiError> {
    let entry = api.session(&path.id()?)?;
    let format = query.0.format;
    let session = &entry.record.session;
    let exporter = Exporter::new(format);
    let head = exporter.head(session, Stamp::now());
    let name = file_name(session.name.as_deref().unwrap_or_default(), session.id.as_str(), format);
    let export = Export {
        log: api.log.clone(),
        session: session.id.clone(),
        after: 0,
        last: entry.last_seq,
        exporter: Some(exporter),
        head,
    };
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        // A page of its own is not for our origin.
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(export.stream()))
}

/// Letters, digits and dashes of the name, and the id.
fn file_name(name: &str, id: &str, format: Format) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut stem = words.join("-");
    stem.truncate(60);
    let stem = if stem.is_empty() { String::new() } else { format!("{stem}-") };
    format!("{stem}{id}.{}", format.name())
}

/// An export under way: a chunk is made when the last was taken.
struct Export {
    log: Log,
    session: SessionId,
    after: u64,
    last: u64,
    /// `None` once it is finished.
    exporter: Option<Exporter>,
    head: String,
}

impl Export {
    fn stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        futures_util::stream::try_unfold(self, |mut export| async move {
            Ok(export.next().await?.map(|chunk| (chunk, export)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(mut exporter) = self.exporter.take() else { return Ok(None) };
        let mut frames = Vec::new();
        if self.after < self.last {
            let read = ReadEvents {
                session: self.session.clone(),
                after: self.after,
                limit: EVENTS,
                max_bytes: BYTES,
            };
            frames = self.log.read_events(read).await?;
        }
        frames.retain(|frame| frame.seq <= self.last);
        // A session that was deleted meanwhile ends here.
        self.after = frames.last().map_or(self.last, |frame| frame.seq);
        let is_end = self.after >= self.last;
        let head = std::mem::take(&mut self.head);
        let made = tokio::task::spawn_blocking(move || {
            let budget = Budget::of(TIME);
            let mut out = head;
            for frame in &frames {
                match serde_json::from_slice::<Envelope>(&frame.json) {
                    Ok(event) => exporter.push(&event, budget, &mut out),
                    Err(error) => tracing::warn!(seq = frame.seq, %error, "an event could not be exported"),
                }
            }
            if is_end {
                exporter.finish(budget, &mut out);
            }
            (exporter, out)
        });
        let (exporter, out) = made.await.map_err(|error| {
            tracing::error!(%error, session = %self.session, "the export failed");
            ApiError::new(
                actix_web::http::StatusCode::INTERNAL_SERVER_ERROR,
                Code::ExportFailed,
                "the export failed: try the format jsonl; details are in the log",
            )
        })?;
        self.exporter = (!is_end).then_some(exporter);
        Ok(Some(Bytes::from(out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_holds_nothing_that_a_system_would_misread() {
        let name = |name: &str| file_name(name, "sess_1", Format::Md);
        assert_eq!(name("Fix the build!"), "fix-the-build-sess_1.md");
        assert_eq!(name("../../etc/\"passwd\"\r\n"), "etc-passwd-sess_1.md");
        assert_eq!(name("日本"), "sess_1.md");
        assert!(name(&"x".repeat(500)).len() < 80);
    }
}
