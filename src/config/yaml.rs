//! Small YAML files that a person writes by hand: named servers, templates.

use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;

/// The longest file that is read, in bytes. A person's file is a few hundred.
const LONGEST: u64 = 256 << 10;

/// Reads a file; `None` if there is none. An empty one is `T`'s default.
///
/// # Errors
/// It cannot be read, or does not hold what it should. The text names the file and, where it can, the line, and
/// never shows what stands there: it may be a secret.
pub fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<Option<T>, String> {
    let unusable = |why: String| format!("{} cannot be used: {why}", path.display());
    // Looked at first: a pipe or a device would be waited for.
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(unusable("it is not a file".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(unusable(format!("it is longer than {} KiB", LONGEST >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text".to_owned()))?;
    parse(&text).map(Some).map_err(unusable)
}

/// Parses a text; an empty one is `T`'s default.
pub fn parse<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let parsed: Result<Option<T>, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let said = error.to_string();
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Card {
        name: Option<String>,
        count: Option<u8>,
        on: Option<bool>,
    }

    #[test]
    fn what_people_write_is_read() {
        let card = |name: &str| Card { name: Some(name.to_owned()), ..Card::default() };
        for (text, expected) in [
            ("", Card::default()),
            ("# nothing\n", Card::default()),
            ("name: Fix it\n", card("Fix it")),
            ("{name: 'a: b'}", card("a: b")),
            ("name: 12", card("12")),
            ("name: ~\n", Card::default()),
            ("on: true\ncount: 2", Card { on: Some(true), count: Some(2), name: None }),
        ] {
            assert_eq!(parse::<Card>(text).as_ref(), Ok(&expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_on_one_line_and_without_what_stands_there() {
        for text in [
            "nam: s3cret",
            "name: [s3cret]",
            "- s3cret",
            "name: s3cret\n  x: : y",
            "count: 300",
            "name: \"s3cret",
        ] {
            let error = parse::<Card>(text).expect_err(text);
            assert!(!error.contains('\n') && !error.contains("s3cret"), "{text:?}: {error}");
        }
        assert!(parse::<Card>("nam: x").expect_err("unknown").contains("nam"));
        assert!(parse::<Card>("\n\ncount: x").expect_err("no number").contains('3'), "it names the line");
    }

    #[test]
    fn a_file_that_is_none_or_too_long_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.yaml");
        assert_eq!(read::<Card>(&path), Ok(None));
        assert!(read::<Card>(folder.path()).expect_err("a folder").contains("not a file"));
        std::fs::write(&path, "#".repeat(300 << 10)).expect("written");
        assert!(read::<Card>(&path).expect_err("too long").contains("longer"));
        std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("written");
        assert!(read::<Card>(&path).is_err());
    }
}
