//! The web app: files embedded in the binary, so nothing outside of them can be asked for.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

/// The page that every unknown path of the app leads to.
const INDEX: &str = "index.html";

/// The files that shrink, packed when they are first asked for; there are as many as are embedded.
static PACKED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

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
    let kind = match path {
        "manifest.webmanifest" => "application/manifest+json",
        _ => file.metadata.mimetype(),
    };
    let shrinks = kind.starts_with("text/")
        || kind.contains("javascript")
        || kind.contains("json")
        || kind.contains("svg");
    let packed = if shrinks && takes_gzip(req) { packed(path, &file.data) } else { None };
    let form = if packed.is_some() { "-gz" } else { "" };
    let etag = format!("\"{}{form}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = req.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|known| {
        known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    });
    let mut response = if fresh { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // No file has its version in its name, so each is asked for again, and rarely sent again.
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if shrinks {
        response.insert_header((header::VARY, "accept-encoding"));
    }
    if fresh {
        return response.finish();
    }
    let charset = if kind.starts_with("text/") && !kind.contains("charset") { "; charset=utf-8" } else { "" };
    response.insert_header((header::CONTENT_TYPE, format!("{kind}{charset}")));
    if let Some(packed) = packed {
        return response.insert_header((header::CONTENT_ENCODING, "gzip")).body(packed);
    }
    match file.data {
        std::borrow::Cow::Borrowed(bytes) => response.body(bytes),
        std::borrow::Cow::Owned(bytes) => response.body(bytes),
    }
}

/// Whether the browser takes gzip; one that says `q=0` does not.
fn takes_gzip(req: &HttpRequest) -> bool {
    let said =
        req.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next() == Some("gzip")
            && parts.all(|part| !matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// The file packed; `None` if that fails, and it is sent as it is.
fn packed(path: &str, data: &[u8]) -> Option<Bytes> {
    let mut known = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(packed) = known.get(path) {
        return Some(packed.clone());
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2), Compression::best());
    encoder.write_all(data).ok()?;
    let packed = Bytes::from(encoder.finish().ok()?);
    known.insert(path.to_owned(), packed.clone());
    Some(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use actix_web::body::to_bytes;
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;

    use super::*;

    fn get(path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let request = headers
            .iter()
            .fold(TestRequest::with_uri(path), |request, header| request.insert_header(*header));
        serve(&request.to_http_request())
    }

    fn header_of(response: &HttpResponse, name: header::HeaderName) -> &str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn a_browser_that_takes_gzip_gets_the_same_bytes_packed() {
        let plain = get("/app.js", &[("accept-encoding", "br, gzip;q=0")]);
        let packed = get("/app.js", &[("accept-encoding", "br, gzip")]);
        assert_eq!(header_of(&plain, header::CONTENT_ENCODING), "");
        assert_eq!(header_of(&packed, header::CONTENT_ENCODING), "gzip");
        assert_ne!(header_of(&plain, header::ETAG), header_of(&packed, header::ETAG));
        let plain = to_bytes(plain.into_body()).await.expect("it is in memory");
        let packed = to_bytes(packed.into_body()).await.expect("it is in memory");
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).expect("it is gzip");
        assert_eq!(text, plain);
        assert!(packed.len() < plain.len() / 2, "{} of {} bytes", packed.len(), plain.len());
    }

    #[actix_web::test]
    async fn what_the_browser_has_is_not_sent_again_in_either_form() {
        for how in ["gzip", "identity"] {
            let first = get("/app.js", &[("accept-encoding", how)]);
            let again = get(
                "/app.js",
                &[("accept-encoding", how), ("if-none-match", header_of(&first, header::ETAG))],
            );
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{how}");
        }
    }

    #[actix_web::test]
    async fn every_path_of_the_app_is_its_page_and_pictures_stay_as_they_are() {
        let page = get("/s/sess_0123456789ab", &[]);
        assert!(header_of(&page, header::CONTENT_TYPE).starts_with("text/html"));
        let picture = get("/icon-192.png", &[("accept-encoding", "gzip")]);
        assert_eq!(header_of(&picture, header::CONTENT_ENCODING), "");
    }
}
