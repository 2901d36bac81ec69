//! Pictures that go with an input.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tether_actors::domain::session::Image;

use super::fields::Fields;

/// At most so many with one input.
const COUNT: usize = 4;
/// Bytes of one, decoded.
const BYTES: usize = 8 << 20;
const MEDIA_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Takes the list `images` out of the fields.
pub fn read(fields: &mut Fields) -> Vec<Image> {
    let items = fields.list("images");
    if items.len() > COUNT {
        let msg = format!("List should have at most {COUNT} items, not {}", items.len());
        fields.problem(&["images".into()], "too_long", &msg, &Value::Null, json!({"max_length": COUNT}));
        return Vec::new();
    }
    items.into_iter().enumerate().filter_map(|(at, item)| image(fields, at, item)).collect()
}

fn image(fields: &mut Fields, at: usize, item: Value) -> Option<Image> {
    let here = |name: &str| vec![Value::from("images"), Value::from(at), Value::from(name)];
    let Value::Object(mut map) = item else {
        let loc = [Value::from("images"), Value::from(at)];
        let msg = "Input should be a valid dictionary or object to extract fields from";
        fields.problem(&loc, "model_attributes_type", msg, &item, Value::Null);
        return None;
    };
    let mut text = |name: &str, required: bool| match map.remove(name) {
        Some(Value::String(text)) => Some(text),
        None | Some(Value::Null) if !required => None,
        None => {
            fields.problem(&here(name), "missing", "Field required", &Value::Null, Value::Null);
            None
        }
        Some(other) => {
            let msg = "Input should be a valid string";
            fields.problem(&here(name), "string_type", msg, &other, Value::Null);
            None
        }
    };
    let (data, media_type) = (text("data", true), text("mimeType", true));
    let (kind, filename) = (text("type", false), text("filename", false));
    let (data, media_type) = (data?, media_type?);
    if let Some(kind) = kind.filter(|kind| kind != "image") {
        let ctx = json!({"expected": "'image'"});
        fields.problem(&here("type"), "literal_error", "Input should be 'image'", &kind.into(), ctx);
        return None;
    }
    if !MEDIA_TYPES.contains(&media_type.as_str()) {
        let expected = "'image/png', 'image/jpeg', 'image/gif' or 'image/webp'";
        let msg = format!("Input should be {expected}");
        let ctx = json!({ "expected": expected });
        fields.problem(&here("mimeType"), "literal_error", &msg, &media_type.into(), ctx);
        return None;
    }
    let wrong = match STANDARD.decode(&data) {
        Ok(bytes) if bytes.is_empty() => "the image is empty".to_owned(),
        Ok(bytes) if bytes.len() > BYTES => format!("an image may have at most {BYTES} bytes"),
        Ok(_) => return Some(Image { data, media_type, filename }),
        Err(error) => format!("the data is not valid base64: {error}"),
    };
    fields.problem(&here("data"), "value_error", &wrong, &Value::Null, Value::Null);
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read_from(images: Value) -> Result<Vec<Image>, ()> {
        let mut map = serde_json::Map::new();
        map.insert("images".into(), images);
        let mut fields = Fields::of_body(map, Bytes::new());
        let images = read(&mut fields);
        fields.done().map(|()| images).map_err(|_| ())
    }

    #[test]
    fn good_pictures_are_taken_as_they_are() {
        let image =
            json!({"type": "image", "data": "aGVsbG8=", "mimeType": "image/png", "filename": "a.png"});
        let read = read_from(json!([image])).expect("it is good");
        assert_eq!(read[0].data, "aGVsbG8=");
        assert_eq!(read[0].filename.as_deref(), Some("a.png"));
        assert_eq!(read_from(json!(null)), Ok(Vec::new()));
    }

    #[test]
    fn wrong_pictures_are_refused() {
        let good = json!({"data": "aGVsbG8=", "mimeType": "image/png"});
        for bad in [
            json!({}),
            json!([3]),
            json!([{}]),
            json!([{"data": "aGVsbG8="}]),
            json!([{"data": 3, "mimeType": "image/png"}]),
            json!([{"data": "no base64!", "mimeType": "image/png"}]),
            json!([{"data": "", "mimeType": "image/png"}]),
            json!([{"data": "aGVsbG8=", "mimeType": "image/svg+xml"}]),
            json!([{"data": "aGVsbG8=", "mimeType": "image/png", "type": "file"}]),
            json!([{"data": "A".repeat((BYTES / 3 + 2) * 4), "mimeType": "image/png"}]),
            json!(vec![good; 5]),
        ] {
            assert!(read_from(bad).is_err());
        }
    }
}
