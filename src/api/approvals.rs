//! Approvals of all sessions, and the standing permissions that came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde_json::{Value, json};
use tether_actors::domain::approval::{Answer, Approval, ApprovalState, Grant, Scope};
use tether_actors::domain::ids::{ApprovalId, GrantId, SessionId};
use tether_actors::gate::ApprovalRef;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, Query, path_id};
use super::fields::Fields;

/// Longest wait for an answer, in seconds.
const LONGEST_WAIT: u64 = 60;
const SCOPES: [&str; 6] = ["once", "tool", "all30m", "directory", "tool30m", "directory30m"];

/// Which approvals.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ApprovalsQuery {
    /// `open` (the default) or `all`.
    #[param(required = false, value_type = String)]
    state: &'static str,
    /// Of this session only.
    session_id: Option<String>,
    /// At most so many.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: u64,
}

impl FromFields for ApprovalsQuery {
    fn read(fields: &mut Fields) -> Self {
        Self {
            state: fields.word("state", &["open", "all"]).unwrap_or("open"),
            session_id: fields.text("session_id"),
            limit: fields.int("limit", 100, 1, 1000),
        }
    }
}

/// Open approvals, oldest first, or all of them, newest first.
#[utoipa::path(tag = "approvals", params(ApprovalsQuery), responses((status = 200, body = Vec<Approval>)))]
#[get("/api/approvals")]
pub(super) async fn list_approvals(
    _: Caller,
    api: Data<Api>,
    query: Query<ApprovalsQuery>,
) -> Result<HttpResponse, ApiError> {
    let Query(ApprovalsQuery { state, session_id, limit }) = query;
    let session = known_session(&api, session_id)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if state == "all" {
        return Ok(HttpResponse::Ok().json(api.log.list_approvals(session, limit).await?));
    }
    let model = &api.log.read_model;
    let open: Vec<Arc<Approval>> = match session {
        Some(session) => model.open_in(&session),
        None => model.open_approvals(),
    };
    let open: Vec<&Approval> = open.iter().take(limit).map(|approval| &**approval).collect();
    Ok(HttpResponse::Ok().json(open))
}

fn known_session(api: &Api, id: Option<String>) -> Result<Option<SessionId>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let entry = SessionId::is_well_formed(&id).then(|| api.session(&SessionId::from(id.as_str())));
    entry.ok_or_else(ApiError::no_session)?.map(|entry| Some(entry.record.session.id.clone()))
}

/// How long to wait for an answer.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// While it is open, wait so many seconds for its answer, at most 60.
    #[param(required = false)]
    wait_s: u64,
}

impl FromFields for WaitQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { wait_s: fields.int("wait_s", 0, 0, LONGEST_WAIT) }
    }
}

/// One approval of any age, at once or as soon as it is answered.
#[utoipa::path(
    tag = "approvals", params(("approval_id" = String, Path), WaitQuery),
    responses((status = 200, body = Approval), (status = 404, body = ErrorBody))
)]
#[get("/api/approvals/{approval_id}")]
pub(super) async fn get_approval(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
    query: Query<WaitQuery>,
) -> Result<HttpResponse, ApiError> {
    let id = path_id(&req, "approval_id");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(query.0.wait_s);
    let mut approval = find(&api, id).await?;
    if approval.state == ApprovalState::Open && query.0.wait_s > 0 {
        // From here on nothing is missed: an answer before this would have been seen by the next look.
        let since = api.log.read_model.last_seq(&approval.session_id).unwrap_or_default();
        let mut follower = api.log.follow(approval.session_id.clone(), since);
        approval = find(&api, id).await?;
        while approval.state == ApprovalState::Open {
            tokio::select! {
                frames = follower.next() => {
                    // The session may be gone, and its approvals with it: the look tells.
                    let ended = frames.is_err();
                    approval = find(&api, id).await?;
                    if ended {
                        break;
                    }
                }
                () = tokio::time::sleep_until(deadline) => break,
                _ = api.shutdown.turned() => break,
            }
        }
    }
    Ok(HttpResponse::Ok().json(&*approval))
}

async fn find(api: &Api, id: &str) -> Result<Arc<Approval>, ApiError> {
    let unknown = || ApiError::not_found(format!("no approval {id}"));
    if !is_id(id) {
        return Err(unknown());
    }
    let id = ApprovalId::from(id);
    if let Some(approval) = api.log.read_model.open_approval(&id) {
        return Ok(approval);
    }
    api.log.find_approval(id.clone()).await?.map(Arc::new).ok_or_else(unknown)
}

/// What can be an id of ours; nothing else is looked up in the store.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// An answer.
#[derive(utoipa::ToSchema)]
#[schema(value_type = Answer)]
pub(super) struct AnswerBody(Answer);

impl FromFields for AnswerBody {
    fn read(fields: &mut Fields) -> Self {
        let decision = fields.required_word("decision", &["allow", "deny"]);
        let message = fields.text("message");
        if decision == "deny" {
            return Self(Answer::Deny { message });
        }
        let scope = match fields.word("scope", &SCOPES) {
            Some("tool") => Scope::Tool,
            Some("all30m") => Scope::All30m,
            Some("directory") => Scope::Directory,
            Some("tool30m") => Scope::Tool30m,
            Some("directory30m") => Scope::Directory30m,
            _ => Scope::Once,
        };
        let updated_input = fields.object("updated_input").map(Value::Object);
        Self(Answer::Allow { scope, updated_input, answers: answers(fields), message })
    }
}

/// Question to choices; one choice may come without its list.
fn answers(fields: &mut Fields) -> Option<BTreeMap<String, Vec<String>>> {
    let given = fields.object("answers")?;
    let mut answers = BTreeMap::new();
    for (question, value) in given {
        let items = match value {
            Value::Array(items) => items,
            one => vec![one],
        };
        let mut choices = Vec::new();
        for item in items {
            match item {
                Value::String(choice) => choices.push(choice),
                other => {
                    let loc = [Value::from("answers"), Value::from(question.as_str())];
                    let msg = "Input should be a valid string";
                    fields.problem(&loc, "string_type", msg, &other, Value::Null);
                }
            }
        }
        answers.insert(question, choices);
    }
    Some(answers)
}

/// Answer an approval. The first answer wins; the same again succeeds; another is refused, and the refusal
/// says who answered, and when.
#[utoipa::path(
    tag = "approvals", params(("approval_id" = String, Path)), request_body = Answer,
    responses((status = 200, body = Approval), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
#[post("/api/approvals/{approval_id}/answer")]
pub(super) async fn answer_approval(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: Body<AnswerBody>,
) -> Result<Json<Approval>, ApiError> {
    let approval = find(&api, path_id(&req, "approval_id")).await?;
    let by = caller.actor();
    let wanted = ApprovalRef::Id(approval.id.clone());
    Ok(Json(api.world.answer(&approval.session_id, wanted, body.0.0, by).await?))
}

/// Whose grants.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GrantsQuery {
    /// Of this session only.
    session_id: Option<String>,
}

impl FromFields for GrantsQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { session_id: fields.text("session_id") }
    }
}

/// Standing permissions that are in force.
#[utoipa::path(tag = "approvals", params(GrantsQuery), responses((status = 200, body = Vec<Grant>)))]
#[get("/api/approvals/grants")]
pub(super) async fn list_grants(
    _: Caller,
    api: Data<Api>,
    query: Query<GrantsQuery>,
) -> Result<Json<Vec<Grant>>, ApiError> {
    let session = known_session(&api, query.0.session_id)?;
    Ok(Json(api.world.grants(session.as_ref()).await?))
}

/// Take a standing permission back.
#[utoipa::path(
    tag = "approvals", params(("grant_id" = String, Path)), responses((status = 200), (status = 404, body = ErrorBody))
)]
#[delete("/api/approvals/grants/{grant_id}")]
pub(super) async fn revoke_grant(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<Value>, ApiError> {
    let id = path_id(&req, "grant_id");
    if !is_id(id) {
        return Err(ApiError::not_found(format!("no grant {id}: it was revoked or has ended")));
    }
    api.world.revoke_grant(&GrantId::from(id), caller.actor()).await?;
    Ok(Json(json!({"ok": true})))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(body: Value) -> Option<Answer> {
        let Value::Object(map) = body else { panic!("no object") };
        let mut fields = Fields::of_body(map, Bytes::new());
        let AnswerBody(answer) = AnswerBody::read(&mut fields);
        fields.done().ok().map(|()| answer)
    }

    #[test]
    fn an_answer_is_read_as_the_socket_reads_it() {
        for body in [
            json!({"decision": "allow"}),
            json!({"decision": "allow", "scope": "all30m", "updated_input": {"a": 1}, "message": "go"}),
            json!({"decision": "allow", "scope": "directory", "answers": {"Which?": ["A", "B"], "None?": []}}),
            json!({"decision": "deny", "message": "no"}),
            json!({"decision": "deny"}),
        ] {
            let expected: Answer = serde_json::from_value(body.clone()).expect("it is an answer");
            assert_eq!(read(body), Some(expected));
        }
        let one = read(json!({"decision": "allow", "answers": {"Which?": "A"}})).expect("it is an answer");
        let many = read(json!({"decision": "allow", "answers": {"Which?": ["A"]}}));
        assert_eq!(Some(one), many);
    }

    #[test]
    fn what_is_no_answer_never_becomes_a_yes() {
        for body in [
            json!({}),
            json!({"decision": "Allow"}),
            json!({"decision": true}),
            json!({"decision": "allow", "scope": "always"}),
            json!({"decision": "allow", "updated_input": "ls"}),
            json!({"decision": "allow", "answers": [1]}),
            json!({"decision": "allow", "answers": {"Which?": [1]}}),
            json!({"decision": "deny", "message": 3}),
        ] {
            assert_eq!(read(body.clone()), None, "{body}");
        }
    }
}
