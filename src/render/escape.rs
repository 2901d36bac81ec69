//! Text into HTML: escaped, and with every character that would not show made visible.

use tether_actors::domain::risk::{Hidden, code_of};

/// Appends a text; what would not show is shown by its number.
pub fn push_text(out: &mut String, text: &str) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' if chars.peek() == Some(&'\n') || chars.peek().is_none() => {}
            '\r' => push_odd(out, c),
            c if Hidden::in_text(c).is_some() => push_odd(out, c),
            c => out.push(c),
        }
    }
}

fn push_odd(out: &mut String, c: char) {
    out.push_str("<span class=\"odd\">⟦");
    out.push_str(&code_of(c));
    out.push_str("⟧</span>");
}

/// Appends an attribute's value, without the quotes around it. Characters that would not show are left out.
pub fn push_attribute(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if Hidden::of(c).is_some() || c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup_and_nothing_of_it_hides() {
        let mut out = String::new();
        push_text(&mut out, "<b a='1'>&\"\r\na\u{202e}b\u{1b}[1m");
        assert_eq!(
            out,
            "&lt;b a=&#39;1&#39;&gt;&amp;&quot;\na<span class=\"odd\">⟦U+202E⟧</span>b\
             <span class=\"odd\">⟦U+001B⟧</span>[1m"
        );
    }
}
