//! The second wall: whatever the renderers made passes a cleaner that knows only what they are meant to make.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

/// Elements, with the classes that each may bear.
const ELEMENTS: [(&str, &[&str]); 36] = [
    ("a", &["md-image"]),
    ("blockquote", &[]),
    ("br", &[]),
    ("code", &[]),
    ("del", &[]),
    (
        "div",
        &[
            "md",
            "md-scroll",
            "diff",
            "diff-hunk",
            "diff-change",
            "diff-line",
            "diff-same",
            "diff-add",
            "diff-del",
            "diff-note",
        ],
    ),
    ("em", &[]),
    ("figcaption", &["code-head"]),
    ("figure", &["code"]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("header", &["diff-head"]),
    ("hr", &[]),
    ("li", &["task"]),
    ("mark", &["diff-word"]),
    ("ol", &[]),
    ("p", &["cut"]),
    ("pre", &["code-body"]),
    ("section", &["diff-file"]),
    (
        "span",
        &[
            "odd",
            "cut",
            "task-box",
            "link-host",
            "code-lang",
            "hl-key",
            "hl-str",
            "hl-num",
            "hl-note",
            "diff-path",
            "diff-status",
            "diff-plus",
            "diff-minus",
            "diff-no",
            "diff-sign",
            "diff-text",
        ],
    ),
    ("strong", &[]),
    ("sub", &[]),
    ("sup", &[]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["align-left", "align-center", "align-right"]),
    ("th", &["align-left", "align-center", "align-right"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
    ("dl", &[]),
    ("dd", &[]),
];

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    let classes = ELEMENTS.iter().filter(|(_, classes)| !classes.is_empty());
    builder
        .tags(ELEMENTS.iter().map(|(tag, _)| *tag).collect())
        .allowed_classes(classes.map(|(tag, classes)| (*tag, classes.iter().copied().collect())).collect())
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("ol", HashSet::from(["start"]))]))
        .set_tag_attribute_value("a", "target", "_blank")
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true);
    builder
});

/// What is left of HTML when all but the listed is taken away.
pub fn clean(html: &str) -> String {
    CLEANER.clean(html).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_renderer_makes_is_taken_away() {
        for (hostile, left) in [
            ("<script>alert(1)</script>", ""),
            ("<p onclick=\"x()\" style=\"color:red\" id=\"a\">b</p>", "<p>b</p>"),
            ("<img src=x onerror=alert(1)>", ""),
            ("<span class=\"hl-key toolbar\">x</span>", "<span class=\"hl-key\">x</span>"),
            ("<svg><a xlink:href=\"javascript:x\">y</a></svg>", ""),
            ("<!-- a -->b", "b"),
        ] {
            let cleaned = clean(hostile);
            assert!(!cleaned.contains("alert") || left.contains("alert"), "{cleaned}");
            assert!(cleaned.contains(left), "{hostile} -> {cleaned}");
            for word in ["onclick", "style", "id=", "onerror", "toolbar", "svg", "<!--", "javascript"] {
                assert!(!cleaned.contains(word), "{hostile} -> {cleaned}");
            }
        }
    }

    #[test]
    fn links_go_nowhere_but_out_and_tell_nothing() {
        let cleaned = clean("<a href=\"https://a.example/?b=1\">c</a>");
        assert!(cleaned.contains("rel=\"noopener noreferrer nofollow\""), "{cleaned}");
        assert!(cleaned.contains("target=\"_blank\""), "{cleaned}");
        for bad in ["javascript:alert(1)", "data:text/html,x", "/api/logout", "//evil.example", "vbscript:x"]
        {
            let cleaned = clean(&format!("<a href=\"{bad}\">c</a>"));
            assert!(!cleaned.contains("href"), "{cleaned}");
        }
    }
}
