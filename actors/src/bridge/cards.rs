//! Approvals as messages with buttons, and what a press or words mean.

use std::collections::BTreeMap;

use serde_json::Value;

use super::markup::{Dialect, Doc, bold, code, cut, italic, plain};
use super::platform::{Button, Look, Message, Traits};
use super::record::{Card, Choice};
use super::typed::Typed;
use crate::domain::approval::{Answer, Approval, ApprovalKind, ApprovalState, Scope};
use crate::domain::risk::{Hidden, code_of};

/// Characters of a command or a diff that are shown; the rest is in the file.
const SHOWN: usize = 1_400;
/// Of it once it was answered.
const SETTLED: usize = 240;

/// What a press or words come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is answered.
    Answer(Answer),
    /// Something was chosen, and the card says so.
    Chosen,
    /// All of it is to be sent.
    Whole,
    /// Words are wanted.
    AskWords(String),
}

/// The card of an open approval, and what its buttons mean.
pub fn open(
    approval: &Approval,
    card: &Card,
    dialect: &dyn Dialect,
    traits: &Traits,
) -> (Message, Vec<Choice>) {
    let (doc, whole) = body(approval, SHOWN);
    let doc = questions(doc, approval, &card.picks);
    let (text, cut_off) = doc.render_one(dialect);
    let rows = rows(approval, &card.picks, whole || cut_off);
    let mut choices = Vec::new();
    let mut buttons: Vec<Vec<Button>> = Vec::new();
    for row in rows {
        let row: Vec<Button> = row
            .into_iter()
            .map(|(choice, label)| {
                choices.push(choice);
                let words = if wants_words(choice) { "!" } else { "" };
                let data = format!("{}.{}{words}", card.key, choices.len() - 1);
                let look = match choice {
                    Choice::Allow | Choice::Submit => Look::Good,
                    Choice::Deny | Choice::DenyBecause => Look::Bad,
                    _ => Look::Plain,
                };
                Button { label: cut(&shown(&label), traits.label), data, look }
            })
            .collect();
        buttons.extend(row.chunks(traits.row.max(1)).map(<[Button]>::to_vec));
    }
    (Message { text, buttons, ..Message::default() }, choices)
}

/// The card of an approval that is answered: what it was, who answered what, and when.
pub fn settled(approval: &Approval, dialect: &dyn Dialect) -> Message {
    let (doc, _) = body(approval, SETTLED);
    let (mark, what) = match (&approval.state, approval.kind) {
        (ApprovalState::Open, _) => ("⏳", "Open"),
        (ApprovalState::Allowed, ApprovalKind::Question) => ("✅", "Answered"),
        (ApprovalState::Allowed, ApprovalKind::Plan) => ("✅", "Plan accepted"),
        (ApprovalState::Allowed, _) => ("✅", "Allowed"),
        (ApprovalState::Denied, _) => ("❌", "Denied"),
        (ApprovalState::Expired, _) => ("⌛", "Denied, because time ran out"),
        (ApprovalState::Cancelled, _) => ("🚫", "Withdrawn"),
    };
    let by = approval.resolved_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = approval.resolved_at.map(|at| format!(" · {at}")).unwrap_or_default();
    let scope = match &approval.answer {
        Some(Answer::Allow { scope: Scope::Tool | Scope::Tool30m, .. }) => " (and this tool from now on)",
        Some(Answer::Allow { scope: Scope::All30m, .. }) => " (and everything for 30 minutes)",
        Some(Answer::Allow { scope: Scope::Directory | Scope::Directory30m, .. }) => {
            " (and this directory from now on)"
        }
        _ => "",
    };
    let mut doc = doc.gap().line([
        plain(format!("{mark} ")),
        bold(format!("{what}{by}")),
        plain(format!("{scope}{at}")),
    ]);
    if let Some(Answer::Allow { answers: Some(answers), .. }) = &approval.answer {
        for (question, chosen) in answers {
            doc = doc.line([
                plain(format!("{}: ", cut(&shown(question), 120))),
                bold(cut(&shown(&chosen.join(", ")), 300)),
            ]);
        }
    }
    if let Some(words) = approval.answer.as_ref().and_then(Answer::message) {
        doc = doc.then(Doc::text(&cut(&shown(words), 400)).quoted());
    }
    Message { text: doc.render_one(dialect).0, quiet: true, ..Message::default() }
}

/// All of an approval as a text file: its name, and what is in it.
pub fn whole(approval: &Approval) -> (String, String) {
    let name = format!("{}.txt", approval.id);
    let mut text = format!("{}\n{}\n\n", approval.tool_name, approval.title);
    if let Some(reason) = &approval.reason {
        text.push_str(&format!("Why: {reason}\n\n"));
    }
    if let Some(diff) = &approval.diff {
        text.push_str(diff);
        text.push_str("\n\n");
    }
    match command(approval) {
        Some(command) => text.push_str(&format!("{command}\n\n")),
        None => text.push_str("Input:\n"),
    }
    text.push_str(&serde_json::to_string_pretty(&approval.tool_input).unwrap_or_default());
    text.push('\n');
    (name, text)
}

/// What an approval is about in a line.
pub fn in_a_line(approval: &Approval) -> String {
    cut(&shown(&format!("{}: {}", approval.tool_name, approval.title)).replace('\n', " "), 160)
}

/// Text in which everything can be seen: what hides is shown by its number.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match Hidden::in_text(c) {
            Some(_) => out.push_str(&format!("⟦{}⟧", code_of(c))),
            None => out.push(c),
        }
    }
    out
}

fn command(approval: &Approval) -> Option<String> {
    let given = approval.risk.command.as_deref();
    let input = &approval.tool_input;
    given.or_else(|| input.get("command")?.as_str()).map(str::to_owned)
}

/// What is asked, without the choices; `true` = there is more of it than is shown.
fn body(approval: &Approval, limit: usize) -> (Doc, bool) {
    let brief = limit < SHOWN;
    let mark = match approval.kind {
        ApprovalKind::Question => "❓",
        ApprovalKind::Plan => "📋",
        _ => "🔐",
    };
    let title = match approval.kind {
        ApprovalKind::Question => "Question".to_owned(),
        ApprovalKind::Plan => "Plan".to_owned(),
        _ => approval.tool_name.clone(),
    };
    let mut doc = Doc::default();
    let mut head = vec![plain(format!("{mark} ")), bold(cut(&shown(&title), 120))];
    if let Some(subagent) = &approval.subagent {
        head.push(plain(format!(" (asked by {})", cut(&shown(subagent), 60))));
    }
    doc = doc.line(head);
    let mut more = false;
    let mut block = |doc: Doc, lang: &str, text: &str| {
        let text = shown(text);
        more |= text.chars().count() > limit;
        doc.pre(lang, &cut(&text, limit))
    };
    match approval.kind {
        ApprovalKind::Question => return (doc, false),
        ApprovalKind::Plan => {
            let plan = approval.tool_input.get("plan").and_then(Value::as_str).unwrap_or(&approval.title);
            more |= plan.chars().count() > limit * 2;
            return (doc.then(Doc::markdown(&cut(&shown(plan), limit * 2))), more);
        }
        _ => {}
    }
    match (&approval.diff, command(approval)) {
        (Some(diff), _) => {
            let files: Vec<String> =
                approval.paths.iter().map(|path| relative(path, &approval.directory)).collect();
            if !files.is_empty() {
                doc = doc.line([code(cut(&shown(&files.join(", ")), 300))]);
            }
            doc = block(doc, "diff", diff);
        }
        (None, Some(command)) => doc = block(doc, "bash", &command),
        (None, None) => {
            if approval.title != approval.tool_name {
                doc = doc.line([plain(cut(&shown(&approval.title), 300))]);
            }
            doc = inputs(doc, &approval.tool_input, limit, &mut more);
        }
    }
    if brief {
        return (doc, more);
    }
    if let Some(reason) = &approval.reason {
        doc = doc.line([italic(cut(&shown(reason), 400))]);
    }
    for reason in approval.risk.reasons.iter().take(4) {
        doc = doc.line([plain("⚠️ "), plain(cut(&shown(reason), 200))]);
    }
    if !approval.risk.invisible.is_empty() {
        doc = doc.line([plain("⚠️ "), bold("It hides characters that cannot be seen.")]);
    }
    (doc, more)
}

/// A tool's input, a value at a time.
fn inputs(mut doc: Doc, input: &Value, limit: usize, more: &mut bool) -> Doc {
    let Some(map) = input.as_object().filter(|map| !map.is_empty()) else {
        let text = if input.is_null() { String::new() } else { input.to_string() };
        *more |= text.chars().count() > limit;
        return if text.is_empty() || text == "{}" {
            doc
        } else {
            doc.pre("json", &cut(&shown(&text), limit))
        };
    };
    let each = (limit / map.len().max(1)).max(120);
    for (index, (key, value)) in map.iter().enumerate() {
        if index >= 10 {
            *more = true;
            break;
        }
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        *more |= text.chars().count() > each;
        let (key, text) = (cut(&shown(key), 60), cut(&shown(&text), each));
        doc = match text.contains('\n') {
            true => doc.line([bold(key)]).pre("", &text),
            false => doc.line([bold(format!("{key}: ")), code(text)]),
        };
    }
    doc
}

fn relative(path: &str, directory: &str) -> String {
    let below = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    below.filter(|_| !directory.is_empty()).unwrap_or(path).to_owned()
}

fn questions(mut doc: Doc, approval: &Approval, picks: &BTreeMap<usize, Vec<String>>) -> Doc {
    if approval.kind != ApprovalKind::Question {
        return doc;
    }
    let several = approval.questions.len() > 1;
    for (index, question) in approval.questions.iter().enumerate() {
        let number = if several { format!("{}. ", index + 1) } else { String::new() };
        doc = doc.gap().line([bold(format!("{number}{}", cut(&shown(&question.question), 600)))]);
        for (at, option) in question.options.iter().enumerate() {
            let chosen = picks.get(&index).is_some_and(|picks| picks.contains(&option.label));
            let mark = if chosen { "☑ " } else { "" };
            let mut line = vec![plain(format!("{mark}{}) ", at + 1)), plain(cut(&shown(&option.label), 120))];
            if !option.description.is_empty() {
                line.push(plain(format!(" — {}", cut(&shown(&option.description), 160))));
            }
            doc = doc.line(line);
        }
        let own = picks.get(&index).into_iter().flatten();
        for words in own.filter(|pick| !question.options.iter().any(|option| option.label == **pick)) {
            doc = doc.line([plain("☑ "), italic(cut(&shown(words), 300))]);
        }
        if question.multi_select {
            doc = doc.line([italic("several may be chosen")]);
        }
    }
    doc
}

type Row = Vec<(Choice, String)>;

fn rows(approval: &Approval, picks: &BTreeMap<usize, Vec<String>>, more: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let one = |choice, label: &str| (choice, label.to_owned());
    match approval.kind {
        ApprovalKind::Question => {
            let several = approval.questions.len() > 1;
            for (index, question) in approval.questions.iter().enumerate() {
                let mut row = Row::new();
                for (at, option) in question.options.iter().enumerate() {
                    let chosen = picks.get(&index).is_some_and(|picks| picks.contains(&option.label));
                    let mark = if chosen { "☑ " } else { "" };
                    let number = if several { format!("{}: ", index + 1) } else { String::new() };
                    row.push((Choice::Pick(index, at), format!("{mark}{number}{}", option.label)));
                }
                let words = if several { format!("{}: Other…", index + 1) } else { "Other…".to_owned() };
                row.push((Choice::Words(index), words));
                rows.extend(row.chunks(2).map(<[(Choice, String)]>::to_vec));
            }
            let mut last = vec![one(Choice::DenyBecause, "Don't answer…")];
            if !is_simple(approval) {
                last.insert(0, one(Choice::Submit, "Send answers"));
            }
            rows.push(last);
        }
        ApprovalKind::Plan => {
            rows.push(vec![
                one(Choice::Allow, "Go ahead"),
                one(Choice::DenyBecause, "Change it…"),
                one(Choice::Deny, "No"),
            ]);
        }
        ApprovalKind::Tool => {
            rows.push(vec![
                one(Choice::Allow, "Allow"),
                one(Choice::Deny, "Deny"),
                one(Choice::DenyBecause, "Deny, because…"),
            ]);
            let tool = cut(&approval.tool_name, 24);
            rows.push(vec![
                (Choice::AllowTool, format!("{tool} 30 min")),
                one(Choice::AllowAll, "All 30 min"),
            ]);
            if approval.is_edit && !approval.paths.is_empty() {
                rows.push(vec![one(Choice::AllowDirectory, "This directory 30 min")]);
            }
        }
        ApprovalKind::Trust | ApprovalKind::Unknown => {
            rows.push(vec![
                one(Choice::Allow, "Allow"),
                one(Choice::Deny, "Deny"),
                one(Choice::DenyBecause, "Deny, because…"),
            ]);
        }
    }
    if more {
        rows.push(vec![one(Choice::Whole, "Show all")]);
    }
    rows
}

/// Whether a question is answered by its first choice.
fn is_simple(approval: &Approval) -> bool {
    matches!(approval.questions.as_slice(), [only] if !only.multi_select)
}

fn wants_words(choice: Choice) -> bool {
    matches!(choice, Choice::DenyBecause | Choice::Words(_))
}

/// What a press of a button comes to, with the words of a form if there was one. The card's picks change with it.
pub fn press(
    approval: &Approval,
    card: &mut Card,
    choice: Choice,
    words: Option<&str>,
) -> Result<Step, String> {
    let allow =
        |scope| Step::Answer(Answer::Allow { scope, updated_input: None, answers: None, message: None });
    let words = words.map(str::trim).filter(|words| !words.is_empty());
    Ok(match choice {
        Choice::Allow => allow(Scope::Once),
        Choice::AllowTool => allow(Scope::Tool30m),
        Choice::AllowAll => allow(Scope::All30m),
        Choice::AllowDirectory => allow(Scope::Directory30m),
        Choice::Deny => Step::Answer(Answer::Deny { message: None }),
        Choice::DenyBecause => match words {
            Some(words) => Step::Answer(Answer::Deny { message: Some(words.to_owned()) }),
            None if approval.kind == ApprovalKind::Plan => {
                Step::AskWords("What shall be different?".to_owned())
            }
            None => Step::AskWords("Why not? The agent reads it.".to_owned()),
        },
        Choice::Whole => Step::Whole,
        Choice::Pick(question, option) => {
            let asked = approval.questions.get(question).ok_or("this question is not there any more")?;
            let option = asked.options.get(option).ok_or("this choice is not there any more")?;
            let picks = card.picks.entry(question).or_default();
            match picks.iter().position(|pick| *pick == option.label) {
                Some(at) if asked.multi_select => drop(picks.remove(at)),
                _ if asked.multi_select => picks.push(option.label.clone()),
                _ => *picks = vec![option.label.clone()],
            }
            if picks.is_empty() {
                card.picks.remove(&question);
            }
            if is_simple(approval) { submit(approval, card)? } else { Step::Chosen }
        }
        Choice::Words(question) => {
            let asked = approval.questions.get(question).ok_or("this question is not there any more")?;
            match words {
                None => Step::AskWords(cut(&asked.question, 200)),
                Some(words) => {
                    let picks = card.picks.entry(question).or_default();
                    if !asked.multi_select {
                        picks.clear();
                    }
                    picks.push(words.to_owned());
                    if is_simple(approval) { submit(approval, card)? } else { Step::Chosen }
                }
            }
        }
        Choice::Submit => submit(approval, card)?,
    })
}

fn submit(approval: &Approval, card: &Card) -> Result<Step, String> {
    let mut answers = BTreeMap::new();
    for (index, question) in approval.questions.iter().enumerate() {
        match card.picks.get(&index).filter(|picks| !picks.is_empty()) {
            Some(picks) => drop(answers.insert(question.question.clone(), picks.clone())),
            None => return Err(format!("choose an answer to question {} first", index + 1)),
        }
    }
    Ok(Step::Answer(Answer::Allow {
        scope: Scope::Once,
        updated_input: None,
        answers: Some(answers),
        message: None,
    }))
}

/// What typed words come to as an answer to this approval. `replies` = they were a reply to its card, so free text
/// is meant for it too. `None` = they are no answer.
pub fn typed(
    approval: &Approval,
    card: &mut Card,
    typed: Option<Typed>,
    text: &str,
    replies: bool,
) -> Option<Result<Step, String>> {
    if approval.kind == ApprovalKind::Question {
        if matches!(typed, Some(Typed::Deny(_))) && replies {
            return Some(press(approval, card, Choice::Deny, None));
        }
        let [only] = approval.questions.as_slice() else {
            return replies.then(|| Err("it asks several questions: use its buttons".to_owned()));
        };
        let text = text.trim();
        let by_number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let by_label = only.options.iter().position(|option| option.label.eq_ignore_ascii_case(text));
        let option = by_label.or(by_number.filter(|at| *at < only.options.len()));
        if let Some(option) = option {
            card.picks.clear();
            card.picks
                .insert(0, only.options.get(option).map(|option| option.label.clone()).into_iter().collect());
            return Some(submit(approval, card));
        }
        return replies.then(|| press(approval, card, Choice::Words(0), Some(text)));
    }
    let choice = match typed {
        Some(Typed::Allow) => Choice::Allow,
        Some(Typed::AllowTool) if approval.kind == ApprovalKind::Tool => Choice::AllowTool,
        Some(Typed::AllowAll) if approval.kind == ApprovalKind::Tool => Choice::AllowAll,
        Some(Typed::AllowDirectory) if approval.kind == ApprovalKind::Tool => Choice::AllowDirectory,
        Some(Typed::Deny(None)) => Choice::Deny,
        Some(Typed::Deny(Some(reason))) => {
            return Some(press(approval, card, Choice::DenyBecause, Some(&reason)));
        }
        Some(_) => {
            return Some(Err("only a tool can be allowed for a while: answer allow or deny".to_owned()));
        }
        None if replies && approval.kind == ApprovalKind::Plan => {
            return Some(press(approval, card, Choice::DenyBecause, Some(text)));
        }
        None if replies => {
            return Some(Err("answer with allow, deny, or deny: and why".to_owned()));
        }
        None => return None,
    };
    Some(press(approval, card, choice, None))
}
