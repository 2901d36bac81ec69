//! The web app: files embedded in the binary, so nothing outside of them can be asked for.

use std::borrow::Cow;
use std::io::Read;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};

/// The files as `build.rs` leaves them: what shrinks is packed, as `NAME.gz`.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/static"]
struct Assets;

/// The page that every unknown path of the app leads to.
const INDEX: &str = "index.html";

/// A file of the app; for a path that names none, the app itself.
pub fn serve(req: &HttpRequest) -> HttpResponse {
    let path = req.match_info().unprocessed().trim_start_matches('/');
    match Asset::find(path).or_else(|| Asset::find(INDEX)) {
        Some(asset) => asset.answer(req),
        None => HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("UI not built"),
    }
}

struct Asset {
    kind: &'static str,
    file: EmbeddedFile,
    packed: bool,
}

impl Asset {
    fn find(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        let kind = match extension {
            "css" => "text/css; charset=utf-8",
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "png" => "image/png",
            "svg" => "image/svg+xml",
            "webmanifest" => "application/manifest+json",
            _ => return None,
        };
        match Assets::get(&format!("{path}.gz")) {
            Some(file) => Some(Self { kind, file, packed: true }),
            None => Assets::get(path).map(|file| Self { kind, file, packed: false }),
        }
    }

    fn answer(self, req: &HttpRequest) -> HttpResponse {
        let packed = self.packed && takes_gzip(req);
        let form = if packed { "-gz" } else { "" };
        let etag = format!("\"{}{form}\"", hex::encode(&self.file.metadata.sha256_hash()[..16]));
        let known = req.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let fresh = known.is_some_and(|known| {
            known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
        });
        let mut response = if fresh { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        // No file has its version in its name, so each is asked for again, and rarely sent again.
        response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
        if self.packed {
            response.insert_header((header::VARY, "accept-encoding"));
        }
        if fresh {
            return response.finish();
        }
        response.insert_header((header::CONTENT_TYPE, self.kind));
        if packed {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        } else if self.packed {
            return match unpacked(&self.file.data) {
                Ok(bytes) => response.body(bytes),
                Err(error) => {
                    HttpResponse::InternalServerError().body(format!("the file cannot be unpacked: {error}"))
                }
            };
        }
        match self.file.data {
            Cow::Borrowed(bytes) => response.body(bytes),
            Cow::Owned(bytes) => response.body(bytes),
        }
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

fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(unpacked(&packed).expect("it is gzip"), plain);
        assert!(packed.len() < plain.len() / 2, "{} of {} bytes", packed.len(), plain.len());
    }

    #[test]
    fn every_file_of_the_app_has_a_kind_and_is_what_it_was_before_it_was_packed() {
        let mut files = 0;
        for name in Assets::iter() {
            let path = name.trim_end_matches(".gz");
            let asset = Asset::find(path).unwrap_or_else(|| panic!("nobody knows what {path} is"));
            let here = std::fs::read(format!("static/{path}")).expect("a file of the app");
            let sent = if asset.packed {
                unpacked(&asset.file.data).expect("it is gzip")
            } else {
                asset.file.data.into()
            };
            assert_eq!(sent, here, "{path}");
            files += 1;
        }
        assert!(files > 20, "{files} files");
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
        let stored = get("/app.js.gz", &[]);
        assert!(header_of(&stored, header::CONTENT_TYPE).starts_with("text/html"));
        let picture = get("/icon-192.png", &[("accept-encoding", "gzip")]);
        assert_eq!(header_of(&picture, header::CONTENT_ENCODING), "");
    }
}
