//! Hostile inputs: whatever an agent writes, nothing that runs comes out, and nothing takes for ever.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const TIME: Duration = Duration::from_millis(300);

fn all(text: &str) -> Vec<Item> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        Item::Markdown { text: text.into() },
        Item::Code { text: text.into(), language: some("html"), path: None },
        Item::Code { text: text.into(), language: None, path: some(text) },
        Item::Diff { text: text.into(), path: some(text) },
        Item::Diff {
            text: format!("--- a/x\n+++ b/x\n@@ -1,99 +1,99 @@ {text}\n-{text}\n+{text}x\n"),
            path: None,
        },
        Item::Change { old: "a".into(), new: text.into(), path: some(text) },
    ]
}

/// Reads HTML as a browser would read tags, and complains of any that is not on our list.
fn assert_harmless(html: &str) {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').unwrap_or_else(|| panic!("a tag does not end: {html}"));
        let (tag, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        if tag.starts_with('/') {
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let known = [
            "a",
            "blockquote",
            "br",
            "code",
            "del",
            "div",
            "em",
            "figcaption",
            "figure",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "header",
            "hr",
            "li",
            "mark",
            "ol",
            "p",
            "pre",
            "section",
            "span",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ];
        assert!(known.contains(&name), "<{tag}>");
        let names = attributes.split('"').step_by(2).map(str::trim).filter(|name| !name.is_empty());
        for attribute in names {
            assert!(
                ["class=", "href=", "rel=", "target=", "start="].contains(&attribute),
                "{attribute} in <{tag}>"
            );
        }
        if let Some(address) = attributes.split("href=\"").nth(1) {
            let lower = address.to_ascii_lowercase();
            assert!(
                ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme)),
                "<{tag}>"
            );
        }
    }
    for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}', '\u{0}', '\u{feff}'] {
        assert!(!html.contains(hidden), "a hidden character came through");
    }
}

fn check(text: &str) {
    for item in all(text) {
        let (rendered, _) = render(&item, Budget::of(TIME));
        assert_harmless(&rendered.html);
        assert_harmless(&plain(&item).html);
    }
}

#[test]
fn known_attacks_come_out_as_text() {
    for attack in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "[x](javascript:alert(1))",
        "[x](<java\nscript:alert(1)>)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](javascript:alert(1))",
        "![\"onerror=alert(1) x=\"](https://x.example/\"onerror=alert(1))",
        "[x](https://x.example/\" onmouseover=\"alert(1))",
        "[x](https://x.example \"t\\\" onmouseover=\\\"alert(1)\")",
        "<https://x.example/\"onclick=alert(1)>",
        "```\"><script>alert(1)</script>\nx\n```",
        "```html onload=alert(1)\n<b>\n```",
        "# x {#id .class onclick=alert(1)}",
        "<!--><script>alert(1)</script>-->",
        "<![CDATA[<script>alert(1)</script>]]>",
        "<?php echo 1 ?>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "</code></pre></figure><script>alert(1)</script>",
        "<iframe srcdoc=\"<script>alert(1)</script>\">",
        "<style>*{display:none}</style>",
        "<form action=/api/shutdown><button>x</button></form>",
        "<meta http-equiv=refresh content=0;url=https://evil.example>",
        "<base href=https://evil.example>",
        "a\u{202e}b\u{0}c\u{1b}]0;title\u{7}",
        "[ref]: javascript:alert(1)\n\n[ref]",
        "|<script>|\n|-|\n|<img onerror=x>|",
    ] {
        check(attack);
    }
}

#[test]
fn five_megabytes_are_cut_with_a_word_and_do_not_block() {
    let filled = |piece: &str| piece.repeat((5 << 20) / piece.len());
    let markdown = |text: String| Item::Markdown { text };
    let code = |text: String| Item::Code { text, language: Some("rust".into()), path: None };
    let diff = |text: String| Item::Diff { text, path: None };
    let change = |text: String| Item::Change { old: text.replace('a', "b"), new: text, path: None };
    let mut items: Vec<(&str, Item)> = Vec::new();
    for piece in [
        "x", "<", "`", "*", "[", "](", "> ", "- a\n", "|a|b\n", "a\n\n", "![", "```\n", "\u{202e}",
        "[a][b]\n", "<!--",
    ] {
        items.push((piece, markdown(filled(piece))));
    }
    for piece in ["x", "\u{202e}", "fn a() { \"b\" }\n", "(", "\"\\"] {
        items.push((piece, code(filled(piece))));
    }
    for piece in ["+a\n", "@@ -1 +1 @@\n", "x"] {
        items.push((piece, diff(filled(piece))));
    }
    items.push(("a c\n", change(filled("a c\n"))));
    for (piece, item) in items {
        let began = Instant::now();
        let (rendered, _) = render(&item, Budget::of(TIME));
        // Unoptimised code on a busy machine; it is milliseconds otherwise.
        assert!(began.elapsed() < Duration::from_secs(20), "{piece:?}: {:?}", began.elapsed());
        assert!(rendered.cut && rendered.html.contains("class=\"cut\""), "{piece:?}");
        assert!(rendered.html.len() < 24 << 20, "{piece:?}: {}", rendered.html.len());
    }
}

#[test]
fn without_time_text_is_plain_and_whole() {
    let text = "fn main() { /* a */ }\n".repeat(50);
    let item = Item::Code { text, language: Some("rust".into()), path: None };
    let (rendered, keep) = render(&item, Budget::of(Duration::ZERO));
    assert!(!keep && !rendered.cut && !rendered.html.contains("hl-"), "{}", rendered.html);
    assert_eq!(rendered.html.matches("fn main").count(), 50);
}

/// Pieces that attacks are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<",
        ">",
        "\"",
        "'",
        "&",
        "&#x3c;",
        "&lt;",
        "/",
        "\\",
        "\n",
        "\r",
        "\t",
        " ",
        "`",
        "```",
        "~~~",
        "*",
        "_",
        "[",
        "]",
        "(",
        ")",
        "![",
        "](",
        "#",
        "- ",
        "1. ",
        "> ",
        "|",
        "|-|\n",
        "<script>",
        "</script>",
        "<img src=x ",
        "onerror=",
        "javascript:",
        "https://a.example/",
        "data:",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "style=",
        "a",
        "\u{202e}",
        "\u{0}",
        "\u{1b}",
        "😀",
        "+",
        "-",
        "@@ -1,3 +1,3 @@\n",
        "diff --git a/x b/y\n",
        "--- ",
        "+++ ",
        "<svg>",
        "<style>",
        "</pre>",
        "</code>",
        "\u{200b}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_written_nothing_that_runs_comes_out(text in pieces()) {
        check(&text);
    }

    #[test]
    fn any_text_at_all_is_rendered(text in "(?s).{0,200}") {
        check(&text);
    }

    #[test]
    fn the_words_of_plain_text_are_all_there(words in prop::collection::vec("[a-z]{1,8}", 1..50)) {
        let text = words.join(" ");
        for item in all(&text) {
            let (rendered, _) = render(&item, Budget::of(TIME));
            for word in &words {
                prop_assert!(rendered.html.contains(word.as_str()));
            }
        }
    }
}
