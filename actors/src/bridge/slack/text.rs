//! What people write on Slack, as they typed it: entities and references decoded
//! (`https://docs.slack.dev/messaging/formatting-message-text#retrieving-messages`).

/// Text with `&amp;`, `<https://x|x>`, `<@U1>` and the like taken apart. Mentions of `own` are left out.
pub fn decode(text: &str, own: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inner, behind)) = from.split_once('>') else {
            // No reference of Slack's: it would have escaped the mark.
            out.push('<');
            rest = from;
            continue;
        };
        reference(&mut out, inner, own);
        rest = behind;
    }
    out.push_str(rest);
    entities(&out).trim().to_owned()
}

fn reference(out: &mut String, inner: &str, own: &str) {
    let (to, label) = match inner.split_once('|') {
        Some((to, label)) => (to, Some(label).filter(|label| !label.is_empty())),
        None => (inner, None),
    };
    let named = |mark: char, id: &str| format!("{mark}{}", label.unwrap_or(id).trim_start_matches(mark));
    if let Some(user) = to.strip_prefix('@') {
        if user != own {
            out.push_str(&named('@', user));
        }
    } else if let Some(channel) = to.strip_prefix('#') {
        out.push_str(&named('#', channel));
    } else if let Some(special) = to.strip_prefix('!') {
        let word = special.split('^').next().unwrap_or(special);
        match label {
            // `<!date^…|text>` and the names of groups.
            Some(label) => out.push_str(label),
            None => out.push_str(&format!("@{word}")),
        }
    } else {
        match label {
            // Slack makes links of what looks like one: people typed what it shows.
            Some(label) if leads_to(to, label) => out.push_str(label),
            Some(label) => out.push_str(&format!("{label} ({to})")),
            None => out.push_str(to),
        }
    }
}

fn leads_to(to: &str, label: &str) -> bool {
    let bare = |address: &str| {
        let address = address.strip_prefix("mailto:").or(address.strip_prefix("tel:")).unwrap_or(address);
        let address = address.split_once("://").map_or(address, |(_, rest)| rest);
        address.trim_end_matches('/').to_ascii_lowercase()
    };
    bare(to) == bare(label)
}

/// Slack escapes three characters, and no others.
fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_heard_as_they_typed() {
        for (sent, typed) in [
            ("if a &lt; b &amp;&amp; c &gt; d", "if a < b && c > d"),
            ("&amp;lt; stays", "&lt; stays"),
            ("<@UB> stop it", "stop it"),
            ("ask <@U2> and <@U3|bob>", "ask @U2 and @bob"),
            ("see <https://x.example/a?b=1&amp;c=2>", "see https://x.example/a?b=1&c=2"),
            ("see <http://x.example|x.example>", "see x.example"),
            ("the <https://x.example/a|docs>", "the docs (https://x.example/a)"),
            ("<mailto:a@b.example|a@b.example>", "a@b.example"),
            ("<#C1|general> <#C2>", "#general #C2"),
            ("<!here> <!subteam^S1|@team>", "@here @team"),
            ("a < b", "a < b"),
            ("  ", ""),
        ] {
            assert_eq!(decode(sent, "UB"), typed, "{sent}");
        }
    }
}
