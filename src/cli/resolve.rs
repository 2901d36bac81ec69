//! Ids by their beginning (`contract`: command line, section 3).

use tether_actors::domain::approval::{Approval, Grant};
use tether_actors::domain::session::Session;

use super::{Failure, output};
use crate::api::ExternalSession;
use crate::client::Client;

/// Something that can be named by the beginning of its id.
struct Named<'a> {
    id: &'a str,
    label: String,
}

impl Named<'_> {
    fn fits(&self, typed: &str) -> bool {
        let bare = self.id.split_once('_').map_or(self.id, |(_, bare)| bare);
        !typed.is_empty() && (self.id.starts_with(typed) || bare.starts_with(typed))
    }
}

/// The id that the text means. An exact id is never ambiguous, also where it begins another one.
fn pick<'a>(kind: &str, typed: &str, among: &[Named<'a>]) -> Result<&'a str, Failure> {
    if let Some(exact) = among.iter().find(|named| named.id == typed) {
        return Ok(exact.id);
    }
    let matches: Vec<&Named<'a>> = among.iter().filter(|named| named.fits(typed)).collect();
    match matches.as_slice() {
        [] => Err(Failure::text(format!("No {kind} matching '{typed}'"))),
        [one] => Ok(one.id),
        several => {
            let mut text = format!("Ambiguous prefix '{typed}', matches {} {kind}s:", several.len());
            for named in several {
                text.push_str(&format!("\n  {}  {}", named.id, output::one_line(&named.label)));
            }
            Err(Failure::text(text))
        }
    }
}

/// The session that the text means.
pub async fn session(client: &Client, typed: &str) -> Result<Session, Failure> {
    let sessions = client.sessions().await?;
    let named = |session: &'_ Session| session.name.clone().unwrap_or_default();
    let among: Vec<Named> =
        sessions.iter().map(|session| Named { id: session.id.as_str(), label: named(session) }).collect();
    let id = pick("session", typed, &among)?.to_owned();
    sessions
        .into_iter()
        .find(|session| session.id.as_str() == id)
        .ok_or_else(|| Failure::text(format!("No session matching '{typed}'")))
}

/// The approval that the text means: an open one, else one of any age.
pub async fn approval(client: &Client, typed: &str) -> Result<Approval, Failure> {
    let open = client.approvals(true, None).await?;
    match pick_approval(typed, open) {
        Ok(Some(approval)) => return Ok(approval),
        Ok(None) => {}
        Err(ambiguous) => return Err(ambiguous),
    }
    let all = client.approvals(false, None).await?;
    pick_approval(typed, all)?.ok_or_else(|| Failure::text(format!("No approval matching '{typed}'")))
}

/// `None` = nothing matches.
fn pick_approval(typed: &str, approvals: Vec<Approval>) -> Result<Option<Approval>, Failure> {
    let fits = |approval: &Approval| {
        let id = approval.id.as_str();
        id.starts_with(typed) || id.trim_start_matches("perm_").starts_with(typed)
    };
    if !approvals.iter().any(fits) {
        return Ok(None);
    }
    let among: Vec<Named> = approvals
        .iter()
        .map(|approval| Named { id: approval.id.as_str(), label: approval.title.clone() })
        .collect();
    let id = pick("approval", typed, &among)?.to_owned();
    Ok(approvals.into_iter().find(|approval| approval.id.as_str() == id))
}

/// The grant that the text means.
pub fn grant(typed: &str, grants: &[Grant]) -> Result<String, Failure> {
    let among: Vec<Named> = grants
        .iter()
        .map(|grant| Named { id: grant.id.as_str(), label: super::grants::covers(&grant.cover) })
        .collect();
    pick("grant", typed, &among).map(str::to_owned)
}

/// The conversation of an agent's own program that the text means; `None` = none of these.
pub fn external(typed: &str, all: Vec<ExternalSession>) -> Result<Option<ExternalSession>, Failure> {
    let label = |one: &ExternalSession| one.first_prompt.clone().unwrap_or_default();
    let among: Vec<Named> = all.iter().map(|one| Named { id: &one.id, label: label(one) }).collect();
    let id = match pick("external session", typed, &among) {
        Ok(id) => id.to_owned(),
        // There may be more than were listed.
        Err(_) if !among.iter().any(|one| one.fits(typed)) => return Ok(None),
        Err(ambiguous) => return Err(ambiguous),
    };
    Ok(all.into_iter().find(|one| one.id == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(typed: &str, ids: &[&'static str]) -> Result<&'static str, String> {
        let among: Vec<Named> = ids.iter().map(|id| Named { id, label: format!("name of\n{id}") }).collect();
        pick("session", typed, &among).map_err(|failure| match failure {
            Failure::Text(text) => text,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn one_match_is_used_in_full() {
        assert_eq!(resolve("sess_a", &["sess_ab", "sess_b"]), Ok("sess_ab"));
        assert_eq!(resolve("a", &["sess_ab", "sess_b"]), Ok("sess_ab"), "the part before _ may be left out");
    }

    #[test]
    fn no_match_and_several_are_told_in_the_words_of_the_contract() {
        assert_eq!(resolve("x", &["sess_ab"]), Err("No session matching 'x'".into()));
        assert_eq!(
            resolve("", &["sess_ab"]),
            Err("No session matching ''".into()),
            "an empty variable means nothing"
        );
        assert_eq!(
            resolve("sess_a", &["sess_ab", "sess_ac", "sess_b"]),
            Err("Ambiguous prefix 'sess_a', matches 2 sessions:\n  sess_ab  name of sess_ab\n  sess_ac  name of sess_ac"
                .into())
        );
    }

    #[test]
    fn a_conversation_that_is_not_among_the_listed_may_still_be_there() {
        let all = || {
            ["ses_1a", "ses_1b", "0198"].map(|id| super::super::attach::tests::external(id, "pi")).to_vec()
        };
        let id = |typed| external(typed, all()).map(|found| found.map(|one| one.id)).ok();
        assert_eq!(id("01"), Some(Some("0198".into())));
        assert_eq!(id("zz"), Some(None));
        assert_eq!(id("ses_1"), None, "ambiguous");
    }

    #[test]
    fn an_exact_id_is_never_ambiguous() {
        assert_eq!(resolve("sess_a", &["sess_a", "sess_ab"]), Ok("sess_a"));
    }
}
