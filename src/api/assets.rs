//! The web app: files embedded in the binary, so nothing outside of them can be asked for.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

/// The page that every unknown path of the app leads to.
const INDEX: &str = "index.html";

/// A file of the app; for a path that names none, the app itself.
pub fn serve(req: &HttpRequest) -> HttpResponse {
    let path = req.match_info().unprocessed().trim_start_matches('/');
    let file = Assets::get(path).map(|file| (path, file));
    match file.or_else(|| Assets::get(INDEX).map(|file| (INDEX, file))) {
        Some((path, file)) => answer(req, path, file),
        None => HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("UI not built"),
    }
}

fn answer(req: &HttpRequest, path: &str, file: EmbeddedFile) -> HttpResponse {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = req.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| {
        known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    });
    let mut response = if fresh { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // No file has its version in its name, so each is asked for again, and rarely sent again.
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if fresh {
        return response.finish();
    }
    let kind = match path {
        "manifest.webmanifest" => "application/manifest+json",
        _ => file.metadata.mimetype(),
    };
    let charset = if kind.starts_with("text/") && !kind.contains("charset") { "; charset=utf-8" } else { "" };
    response.insert_header((header::CONTENT_TYPE, format!("{kind}{charset}")));
    match file.data {
        std::borrow::Cow::Borrowed(bytes) => response.body(bytes),
        std::borrow::Cow::Owned(bytes) => response.body(bytes),
    }
}
