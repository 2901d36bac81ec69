//! `tether approve`: say yes, and how far it reaches; or answer what was asked.

use std::collections::BTreeMap;

use serde_json::Value;
use tether_actors::domain::approval::{Answer, Approval, ApprovalKind, Question, Scope};

use super::args::ApproveArgs;
use super::{Context, Failure, output, resolve};

/// Allows or answers.
pub async fn run(args: ApproveArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let approval = resolve::approval(&client, &args.approval).await?;
    let after = client.answer(approval.id.as_str(), &answer(&args, &approval)?).await?;
    if cx.json {
        return cx.out.json(&after);
    }
    Ok(cx.out.line(format!("Allowed {}: {}", after.id, output::one_line(&after.title)))?)
}

fn answer(args: &ApproveArgs, approval: &Approval) -> Result<Answer, Failure> {
    let scope = match (args.always, args.all, args.directory) {
        (true, ..) => Scope::Tool,
        (_, true, _) => Scope::All30m,
        (.., true) => Scope::Directory,
        _ => Scope::Once,
    };
    if scope != Scope::Once && approval.kind != ApprovalKind::Tool {
        return Err(Failure::text(
            "this is not about a tool: it is answered once, without --always, --all or --directory",
        ));
    }
    Ok(Answer::Allow {
        scope,
        updated_input: args.input.as_deref().map(changed_input).transpose()?,
        answers: answers(&args.answer, approval)?,
        message: args.message.clone(),
    })
}

fn changed_input(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::text("--input must be a JSON object, the tool's whole input")),
        Err(error) => Err(Failure::text(format!("--input is not JSON: {error}"))),
    }
}

/// A question's text to what was chosen.
type Answers = BTreeMap<String, Vec<String>>;

fn answers(given: &[String], approval: &Approval) -> Result<Option<Answers>, Failure> {
    if approval.kind != ApprovalKind::Question {
        return match given {
            [] => Ok(None),
            _ => Err(Failure::text("--answer is for questions, and this approval asks none")),
        };
    }
    let mut answers = Answers::new();
    for text in given {
        let (question, chosen) = which(text, &approval.questions).ok_or_else(|| unclear(text, approval))?;
        answers.entry(question.question.clone()).or_default().push(choice(question, chosen));
    }
    for question in &approval.questions {
        match answers.get(&question.question).map_or(0, Vec::len) {
            0 => return Err(unanswered(question, approval)),
            1 => {}
            _ if question.multi_select => {}
            _ => {
                return Err(Failure::text(format!(
                    "only one answer fits: {}",
                    output::one_line(&question.question)
                )));
            }
        }
    }
    Ok(Some(answers))
}

/// Which question an `--answer` is for, and what it says.
fn which<'a, 't>(text: &'t str, questions: &'a [Question]) -> Option<(&'a Question, &'t str)> {
    let after = |name: &str| {
        Some(name).filter(|name| !name.is_empty()).and_then(|name| text.strip_prefix(name)?.strip_prefix('='))
    };
    for (number, question) in questions.iter().enumerate().map(|(index, question)| (index + 1, question)) {
        let named = after(&question.question)
            .or_else(|| after(&question.header))
            .or_else(|| after(&number.to_string()));
        if let Some(chosen) = named {
            return Some((question, chosen));
        }
    }
    match questions {
        [only] => Some((only, text)),
        _ => None,
    }
}

/// What was chosen: a choice by its text, else by its number, else free text.
pub fn choice(question: &Question, text: &str) -> String {
    let text = text.trim();
    if let Some(option) = question.options.iter().find(|option| option.label.eq_ignore_ascii_case(text)) {
        return option.label.clone();
    }
    let index = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    index
        .and_then(|index| question.options.get(index))
        .map_or_else(|| text.to_owned(), |option| option.label.clone())
}

fn unclear(text: &str, approval: &Approval) -> Failure {
    let mut told = format!("which question does {text:?} answer? Write QUESTION=CHOICE or NUMBER=CHOICE:");
    for (index, question) in approval.questions.iter().enumerate() {
        told.push_str(&format!("\n  {}  {}", index + 1, output::one_line(&question.question)));
    }
    Failure::text(told)
}

fn unanswered(question: &Question, approval: &Approval) -> Failure {
    let mut told = format!(
        "{} asks, and --answer must say: {}",
        output::one_line(&approval.tool_name),
        output::one_line(&question.question)
    );
    for (index, option) in question.options.iter().enumerate() {
        told.push_str(&format!("\n  {}  {}", index + 1, output::one_line(&option.label)));
    }
    Failure::text(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::approvals::tests::approval;
    use super::*;

    fn args(line: &[&str]) -> ApproveArgs {
        use clap::Parser as _;
        let typed = ["tether", "approve", "perm_1"].iter().chain(line);
        match super::super::Arguments::try_parse_from(typed).expect("parsed").command {
            Some(super::super::Command::Approve(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn two_questions() -> Approval {
        approval(json!({ "kind": "question", "tool_name": "AskUserQuestion", "questions": [
            { "question": "Which colour = best?", "header": "Colour", "options": [{ "label": "Red" }, { "label": "Blue" }] },
            { "question": "Which sizes?", "multi_select": true, "options": [{ "label": "S" }, { "label": "3" }, { "label": "L" }] },
        ]}))
    }

    fn told(result: Result<Answer, Failure>) -> String {
        match result {
            Err(Failure::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_flags_say_how_far_a_yes_reaches() {
        for (flags, expected) in [
            (&[][..], Scope::Once),
            (&["--always"], Scope::Tool),
            (&["--all"], Scope::All30m),
            (&["--directory"], Scope::Directory),
        ] {
            let answer = answer(&args(flags), &approval(json!({}))).expect("an answer");
            assert!(matches!(answer, Answer::Allow { scope, .. } if scope == expected), "{flags:?}");
        }
    }

    #[test]
    fn a_changed_input_is_a_json_object() {
        let answer = |input: &str| answer(&args(&["--input", input]), &approval(json!({})));
        assert!(matches!(answer(r#"{"command":"ls"}"#), Ok(Answer::Allow { updated_input: Some(_), .. })));
        assert!(told(answer("[]")).contains("must be a JSON object"));
        assert!(told(answer("{")).contains("is not JSON"));
    }

    #[test]
    fn questions_are_answered_by_text_heading_or_number_with_text_or_number() {
        for (first, second) in [
            ("Which colour = best?=blue", "Which sizes?=1"),
            ("Colour=2", "2=S"),
            ("1=Blue", "Which sizes?=S"),
        ] {
            let flags = ["--answer", first, "--answer", second, "--answer", "2=3"];
            let Ok(Answer::Allow { answers: Some(answers), .. }) = answer(&args(&flags), &two_questions())
            else {
                panic!("{first}")
            };
            assert_eq!(answers["Which colour = best?"], ["Blue"]);
            assert_eq!(answers["Which sizes?"], ["S", "3"], "a choice that is called 3 is not the third one");
        }
    }

    #[test]
    fn what_was_left_out_or_said_twice_is_told() {
        let answer = |flags: &[&str]| told(answer(&args(flags), &two_questions()));
        assert!(answer(&[]).ends_with("Which colour = best?\n  1  Red\n  2  Blue"));
        assert!(answer(&["--answer", "Red"]).starts_with("which question does \"Red\" answer?"));
        assert!(
            answer(&["--answer", "1=Red", "--answer", "1=Blue", "--answer", "2=S"])
                .starts_with("only one answer")
        );
        assert!(answer(&["--all"]).contains("not about a tool"));
    }

    #[test]
    fn a_single_question_takes_free_text() {
        let one =
            approval(json!({ "kind": "question", "questions": [{ "question": "Name?", "options": [] }] }));
        let Ok(Answer::Allow { answers: Some(answers), .. }) = answer(&args(&["--answer", "a=b"]), &one)
        else {
            panic!("it is an answer")
        };
        assert_eq!(answers["Name?"], ["a=b"]);
    }
}
