//! Markdown, code and diffs into HTML, for clients that ask: off the threads that serve, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::post;
use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields};
use super::fields::Fields;
use crate::render::{self, Budget, Cache, Item, Rendered};

/// At most so many items at once.
const ITEMS: usize = 200;
/// So long all items of a request may be made pretty.
const TIME: Duration = Duration::from_millis(1_500);
/// Longest name of a language, and longest path, in characters.
const NAME: usize = 4096;
const KINDS: [&str; 3] = ["markdown", "code", "diff"];

/// What renders, shared by all requests.
pub struct Renderer {
    cache: Arc<Cache>,
    /// How many requests may render at once.
    runs: tokio::sync::Semaphore,
}

impl Default for Renderer {
    fn default() -> Self {
        Self { cache: Arc::default(), runs: tokio::sync::Semaphore::new(2) }
    }
}

impl Renderer {
    /// Renders, in another thread. When rendering itself fails the texts come as they are.
    pub async fn render(&self, items: Vec<Item>) -> Result<Vec<Arc<Rendered>>, ApiError> {
        let _permit = self.runs.acquire().await.map_err(|_| ApiError::stopping())?;
        let cache = self.cache.clone();
        let items = Arc::new(items);
        let shared = items.clone();
        let made = tokio::task::spawn_blocking(move || {
            let budget = Budget::of(TIME);
            shared.iter().map(|item| render::cached(&cache, item, budget)).collect::<Vec<_>>()
        });
        match made.await {
            Ok(rendered) => Ok(rendered),
            Err(error) => {
                tracing::error!(%error, "rendering failed, the texts are shown as they are");
                Ok(items.iter().map(|item| Arc::new(render::plain(item))).collect())
            }
        }
    }
}

/// What to render.
#[derive(utoipa::ToSchema)]
pub(super) struct RenderRequest {
    /// At most 200.
    #[schema(value_type = Vec<RenderItem>)]
    items: Vec<Item>,
}

/// One text.
#[derive(utoipa::ToSchema)]
pub(super) struct RenderItem {
    /// `markdown`, `code` or `diff`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Markdown, code, or a unified diff.
    text: Option<String>,
    /// For code: its language, by name or file ending.
    language: Option<String>,
    /// For code and diffs: the file's name.
    path: Option<String>,
    /// For a diff without `text`: the file before; absent or empty = it is new.
    old: Option<String>,
    /// For a diff without `text`: the file after.
    new: Option<String>,
}

impl RenderItem {
    /// `None` if there is no text.
    fn into_item(self) -> Option<Item> {
        let Self { kind, text, language, path, old, new } = self;
        match (kind, text) {
            ("markdown", Some(text)) => Some(Item::Markdown { text }),
            ("code", Some(text)) => Some(Item::Code { text, language, path }),
            ("diff", Some(text)) => Some(Item::Diff { text, path }),
            ("diff", None) if old.is_some() || new.is_some() => {
                Some(Item::Change { old: old.unwrap_or_default(), new: new.unwrap_or_default(), path })
            }
            _ => None,
        }
    }
}

impl FromFields for RenderRequest {
    fn limit(settings: &super::Settings) -> usize {
        settings.render_body_limit
    }

    fn read(fields: &mut Fields) -> Self {
        let given = fields.list("items");
        if given.len() > ITEMS {
            let msg = format!("List should have at most {ITEMS} items after validation, not {}", given.len());
            fields.problem(&["items".into()], "too_long", &msg, &Value::Null, Value::Null);
            return Self { items: Vec::new() };
        }
        let mut items = Vec::with_capacity(given.len());
        for value in given {
            let map = match value {
                Value::Object(map) => map,
                other => {
                    let msg = "Input should be a valid dictionary";
                    fields.problem(&["items".into()], "dict_type", msg, &other, Value::Null);
                    continue;
                }
            };
            items.extend(item(fields, map));
        }
        Self { items }
    }
}

fn item(fields: &mut Fields, map: Map<String, Value>) -> Option<Item> {
    let mut inner = Fields::of_inner("items", map);
    let item = RenderItem {
        kind: inner.required_word("kind", &KINDS),
        text: inner.text("text"),
        language: inner.text_within("language", 0, NAME),
        path: inner.text_within("path", 0, NAME),
        old: inner.text("old"),
        new: inner.text("new"),
    };
    let item = item.into_item();
    if item.is_none() {
        // Tells that it is missing.
        inner.required_text("text", 0, usize::MAX);
    }
    fields.absorb(inner);
    item
}

/// What was rendered, in the order of the request.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RenderAnswer {
    items: Vec<RenderedItem>,
}

/// One text as HTML.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RenderedItem {
    /// It may be put into a page as it is.
    html: String,
    /// Whether something was left out because it is too long; the HTML says what.
    cut: bool,
}

/// Render Markdown, code and diffs as HTML that is safe to show.
#[utoipa::path(
    tag = "render", request_body = RenderRequest,
    responses((status = 200, body = RenderAnswer), (status = 413, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/render")]
pub(super) async fn render_texts(
    _: Caller,
    api: Data<Api>,
    body: Body<RenderRequest>,
) -> Result<Json<RenderAnswer>, ApiError> {
    let rendered = api.renderer.render(body.0.items).await?;
    let items = rendered.iter().map(|item| RenderedItem { html: item.html.clone(), cut: item.cut }).collect();
    Ok(Json(RenderAnswer { items }))
}
