//! A call from its announcement to its end, with the person's leave where it needs one.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Place, Plan};
use crate::agents::acp::Client;
use crate::agents::acp::permission::{self, Verdict};

/// A call: its id, and the tool.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its id.
    pub id: &'a str,
    /// The tool.
    pub name: &'a str,
}

/// Where a call is made.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Who is told and asked.
    pub client: &'a Client,
    /// The session.
    pub session: &'a str,
    /// Where tools work.
    pub place: &'a Place,
    /// Stops it.
    pub cancel: &'a CancellationToken,
}

/// What came of it, and what changed. The end is not told yet, because it is to be kept first.
pub type Performed = (Outcome, Vec<Value>);

impl Scene<'_> {
    /// Carries out a call. `None` = it was stopped before it began.
    pub async fn perform(&self, call: Call<'_>, plan: Plan) -> Option<Performed> {
        let mut told = announced(call, &plan.title, plan.kind, &plan.input);
        told["locations"] = plan.locations.iter().map(|path| json!({ "path": path })).collect();
        told["content"] = json!(plan.diffs);
        self.client.update(self.session, told.clone()).await;
        if plan.asks {
            if let Some(fields) = told.as_object_mut() {
                fields.remove("sessionUpdate");
            }
            let asked = permission::ask(self.client, self.session, &told);
            match self.cancel.run_until_cancelled(asked).await? {
                Verdict::Allowed => {}
                Verdict::Rejected(reason) => return Some((denied(reason.as_deref()), Vec::new())),
                // The cancel itself may come a moment later, or not at all: it is a no in any case.
                Verdict::Cancelled => return Some((denied(None), Vec::new())),
            }
        }
        // Both may have come at once.
        if self.cancel.is_cancelled() {
            return None;
        }
        let begun =
            json!({ "sessionUpdate": "tool_call_update", "toolCallId": call.id, "status": "in_progress" });
        self.client.update(self.session, begun).await;
        let diffs = plan.diffs.clone();
        let outcome = plan.carry_out(self.place, self.cancel).await;
        let diffs = if outcome.ok { diffs } else { Vec::new() };
        Some((outcome, diffs))
    }

    /// Shows a call that cannot be carried out.
    pub async fn announce_wrong(&self, call: Call<'_>, input: &Value) {
        self.client.update(self.session, announced(call, call.name, super::kind(call.name), input)).await;
    }

    /// Tells what came of a call.
    pub async fn tell(&self, call: &str, outcome: &Outcome, diffs: Vec<Value>) {
        self.client.update(self.session, finished(call, &outcome.text, outcome.ok, diffs)).await;
    }
}

/// A no, as the model is told.
fn denied(reason: Option<&str>) -> Outcome {
    Outcome::failed(match reason {
        Some(reason) => format!("The person denied this: {reason}"),
        None => "The person denied this and gave no reason. Do not try to get the same by another way; go on without it, or \
                 ask what is wanted."
            .to_owned(),
    })
}

/// The update that shows a call for the first time.
pub fn announced(call: Call<'_>, title: &str, kind: &str, input: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call",
        "toolCallId": call.id,
        "name": call.name,
        "title": title,
        "kind": kind,
        "status": "pending",
        "rawInput": input,
    })
}

/// The update that shows what came of a call.
pub fn finished(call: &str, text: &str, ok: bool, diffs: Vec<Value>) -> Value {
    let words = json!({ "type": "content", "content": { "type": "text", "text": text } });
    let content: Vec<Value> = diffs.into_iter().chain([words]).collect();
    json!({
        "sessionUpdate": "tool_call_update",
        "toolCallId": call,
        "status": if ok { "completed" } else { "failed" },
        "content": content,
        "rawOutput": { "text": text },
    })
}
