//! Rendering for all platforms.

use proptest::prelude::*;

use super::*;
use crate::bridge::discord::markup::Markdown;
use crate::bridge::slack::markup::Mrkdwn;
use crate::bridge::telegram::markup::Html;

fn first(text: &str, dialect: &dyn Dialect) -> String {
    Doc::markdown(text).render(dialect).into_iter().next().unwrap_or_default().markup
}

#[test]
fn markdown_becomes_each_platforms_own_markup() {
    let text = "# Head\n\nSome **bold**, *italic*, ~~gone~~ and `a<b`.\n\n- one\n- two\n\n> said\n\n```rust\nfn x() {}\n```\n\n[docs](https://x.example/a)";
    assert_eq!(
        first(text, &Html),
        "<b>Head</b>\nSome <b>bold</b>, <i>italic</i>, <s>gone</s> and <code>a&lt;b</code>.\n\n• one\n• two\n\n\
         <blockquote>said</blockquote>\n\n<pre><code class=\"language-rust\">fn x() {}</code></pre>\n\n\
         <a href=\"https://x.example/a\">docs</a>"
    );
    let slack = first(text, &Mrkdwn);
    assert!(
        slack.starts_with("*Head*\nSome *bold*\u{200b}, _italic_\u{200b}, ~gone~ and `a&lt;b`\u{200b}."),
        "{slack}"
    );
    assert!(slack.contains("> said\n\n```\nfn x() {}\n```\n\n<https://x.example/a|docs>"), "{slack}");
    let discord = first(text, &Markdown);
    assert!(discord.starts_with("**Head**\nSome **bold**, *italic*, ~~gone~~ and `a<b`."), "{discord}");
    assert!(discord.contains("```rust\nfn x() {}\n```"), "{discord}");
}

#[test]
fn nothing_mentions_anybody_or_breaks_out() {
    let text = "@everyone <!channel> <@U1> </code></pre><b>x</b> [a](javascript:alert(1)) ``` ` ```";
    let html = first(text, &Html);
    assert!(!html.contains("<b>") && !html.contains("@everyone") && !html.contains("href"), "{html}");
    let slack = first(text, &Mrkdwn);
    assert!(!slack.contains("<!") && !slack.contains("<@"), "{slack}");
    let discord = first(text, &Markdown);
    assert!(!discord.contains("@everyone") && discord.contains("\\<@"), "{discord}");
    let doc = Doc::default().pre("", "a ``` b");
    for dialect in [&Mrkdwn as &dyn Dialect, &Markdown] {
        let markup = &doc.render(dialect)[0].markup;
        assert_eq!(markup.matches("```").count(), 2, "{markup}");
    }
}

#[test]
fn a_link_says_where_it_leads_when_it_claims_another_place() {
    let html = first("[bank.example](https://evil.example/x)", &Html);
    assert!(html.contains("</a> (evil.example)"), "{html}");
    assert!(!first("[docs](https://x.example)", &Html).contains("(x.example)"));
}

#[test]
fn a_narrow_table_has_columns_and_a_wide_one_a_line_a_row() {
    let narrow = first("| a | b |\n|---|---|\n| 1 | 22 |", &Html);
    assert_eq!(narrow, "<pre>a │ b\n──┼───\n1 │ 22</pre>");
    let long = "x".repeat(40);
    let wide = first(&format!("| name | what |\n|---|---|\n| one | {long} |"), &Html);
    assert_eq!(wide, format!("• <b>one</b> · what: {long}"));
}

#[test]
fn long_code_is_fenced_anew_in_every_message() {
    let code: String = (0..900).map(|n| format!("line {n}\n")).collect();
    let parts = Doc::markdown(&format!("before\n\n```rust\n{code}```\n\nafter")).render(&Markdown);
    assert!(parts.len() > 3);
    for part in &parts {
        assert!(Markdown.size(&part.markup) <= Markdown.limit());
        assert_eq!(part.markup.matches("```").count() % 2, 0, "{}", part.markup);
    }
    let whole: String = parts.iter().map(|part| format!("{}\n", part.plain)).collect();
    assert!((0..900).all(|n| whole.contains(&format!("line {n}\n"))));
}

/// Whether every tag is closed in order, and every `&` begins a known entity.
fn is_balanced(html: &str) -> bool {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&', '>']) {
        let tail = &rest[at..];
        if let Some(entity) = tail.strip_prefix('&') {
            if !["lt;", "gt;", "amp;", "quot;"].iter().any(|known| entity.starts_with(known)) {
                return false;
            }
            rest = entity;
            continue;
        }
        let Some(end) = tail.find('>').filter(|_| tail.starts_with('<')) else { return false };
        let tag = &tail[1..end];
        match tag.strip_prefix('/') {
            Some(name) if open.pop().as_deref() != Some(name) => return false,
            Some(_) => {}
            None => open.push(tag.split(' ').next().unwrap_or_default().to_owned()),
        }
        rest = &tail[end + 1..];
    }
    open.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_an_agent_writes_fits_and_is_well_formed(
        text in "([a-z <>&*_`~#|\\[\\]()@!\n-]{0,40}(```[a-z]{0,4}\n|\\*\\*|> |- |1\\. |é𝄞){0,3}){0,40}",
        times in 1usize..30
    ) {
        let text = text.repeat(times);
        for dialect in [&Html as &dyn Dialect, &Mrkdwn, &Markdown] {
            for part in Doc::markdown(&text).render(dialect) {
                prop_assert!(dialect.size(&part.markup) <= dialect.limit());
                prop_assert!(!part.plain.trim().is_empty());
            }
        }
        for part in Doc::markdown(&text).render(&Html) {
            prop_assert!(is_balanced(&part.markup), "{}", part.markup);
        }
        let (one, _) = Doc::markdown(&text).render_one(&Html);
        prop_assert!(is_balanced(&one.markup) && Html.size(&one.markup) <= Html.limit());
    }
}
