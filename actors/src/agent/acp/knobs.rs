//! What can be chosen in a conversation: the mode and the model.
//!
//! An agent tells it in up to three ways that overlap: `modes`, `models` and `configOptions` (with a `category`).
//! Each is a knob here, with the request that turns it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Step, short};
use super::wire::request;
use crate::agent::fields::Fields;
use crate::agent::protocol::Outgoing;

/// Modes that are remembered; no agent offers that many.
const MOST_MODES: usize = 32;

/// Modes in which an agent does not ask before every tool (Gemini, Claude, Codex and others call them so).
/// Compared without case, `_` and `-`.
const NOT_ASKING: &[&str] = &[
    "acceptedits",
    "agentfullaccess",
    "auto",
    "autoedit",
    "autopilot",
    "bypasspermissions",
    "dontask",
    "fullaccess",
    "yolo",
];
/// Modes of Codex that run things unasked in its sandbox; other agents mean their normal mode by these words, so
/// they count only where there is `read-only` to go to.
const NOT_ASKING_WHERE_READ_ONLY: &[&str] = &["agent", "workspacewrite"];
/// Modes in which an agent asks, the best first.
const ASKING: &[&str] = &["default", "manual", "approve", "build", "readonly", "ask"];

/// Everything that can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Knobs {
    /// How freely it works.
    pub(super) mode: Option<Knob>,
    /// Whether it only plans, where that is not one of the modes.
    pub(super) plan: Option<Knob>,
    /// The model.
    pub(super) model: Option<Knob>,
}

/// One choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Knob {
    /// The id of the configuration option; null = it has a request of its own.
    option: Option<String>,
    /// What is chosen now.
    pub(super) current: Option<String>,
    /// What was chosen when we first heard of it.
    pub(super) first: Option<String>,
    /// What can be chosen; modes only, because lists of models are long.
    offered: Vec<String>,
}

impl Knobs {
    /// Reads the answer to `session/new`, `load` or `resume`.
    pub(super) fn read(result: &Value) -> Self {
        let mut knobs = Self::default();
        if let Some(modes) = result.get("modes").filter(|modes| modes.is_object()) {
            knobs.mode = Some(Knob::new(
                None,
                modes.text("currentModeId"),
                modes.list("availableModes").iter().filter_map(|mode| mode.text("id")),
            ));
        }
        if let Some(models) = result.get("models").filter(|models| models.is_object()) {
            knobs.model = Some(Knob::new(None, models.text("currentModelId"), std::iter::empty()));
        }
        for option in result.list("configOptions") {
            let Some(id) = option.text("id") else { continue };
            let values = option.list("options").iter().flat_map(|value| match value.get("options") {
                // Options may come in groups.
                Some(_) => value.list("options").iter().collect::<Vec<_>>(),
                None => vec![value],
            });
            let values = values.filter_map(|value| value.text("value"));
            let current = option.text("currentValue");
            match option.text("category").unwrap_or(id) {
                "mode" if knobs.mode.is_none() => knobs.mode = Some(Knob::new(Some(id), current, values)),
                "model" if knobs.model.is_none() => {
                    knobs.model = Some(Knob::new(Some(id), current, std::iter::empty()));
                }
                "mode" | "model" => {}
                _ => {
                    let knob = Knob::new(Some(id), current, values);
                    if knobs.plan.is_none() && knob.named("plan").is_some() {
                        knobs.plan = Some(knob);
                    }
                }
            }
        }
        if knobs.mode.as_ref().is_some_and(|mode| mode.named("plan").is_some()) {
            knobs.plan = None;
        }
        knobs
    }

    /// The mode is (now) another one.
    pub(super) fn mode_is(&mut self, mode: &str) {
        if let Some(knob) = &mut self.mode {
            knob.current = Some(short(mode));
        }
    }

    /// Options have (now) these values.
    pub(super) fn options_are(&mut self, options: &[Value]) {
        for option in options {
            let (Some(id), Some(value)) = (option.text("id"), option.text("currentValue")) else { continue };
            for knob in [&mut self.mode, &mut self.plan, &mut self.model].into_iter().flatten() {
                // A knob with a request of its own has the same value under the option of the usual name.
                let same = match &knob.option {
                    Some(option) => option == id,
                    None => false,
                };
                if same {
                    knob.current = Some(short(value));
                }
            }
            if id == "mode" || option.text("category") == Some("mode") {
                self.mode_is(value);
            }
        }
    }

    /// The mode that it is in.
    pub(super) fn mode_value(&self) -> Option<&str> {
        self.mode.as_ref()?.current.as_deref()
    }

    /// Whether it only plans now.
    pub(super) fn planning(&self) -> bool {
        self.planner().is_some_and(|knob| knob.current.is_some() && knob.current == knob.named("plan"))
    }

    /// Whether it can only plan at all.
    pub(super) fn can_plan(&self) -> bool {
        self.planner().is_some_and(|knob| knob.named("plan").is_some())
    }

    fn planner(&self) -> Option<&Knob> {
        self.plan.as_ref().or(self.mode.as_ref())
    }

    /// The mode that it must be put into because it does not ask in the one that it is in. `Err` = it does not
    /// ask, and offers no mode in which it does.
    pub(super) fn asking_mode(&self) -> Result<Option<String>, String> {
        let Some(mode) = &self.mode else { return Ok(None) };
        let Some(current) = &mode.current else { return Ok(None) };
        let bare_current = bare(current);
        let unasked = NOT_ASKING.contains(&bare_current.as_str())
            || NOT_ASKING_WHERE_READ_ONLY.contains(&bare_current.as_str())
                && mode.named("readonly").is_some();
        if !unasked {
            return Ok(None);
        }
        ASKING.iter().find_map(|name| mode.named(name)).map(Some).ok_or_else(|| current.clone())
    }

    /// The mode in which it works, as opposed to planning.
    fn working_mode(&self) -> Option<String> {
        let knob = self.planner()?;
        let first = knob
            .first
            .clone()
            .filter(|first| bare(first) != "plan" && !NOT_ASKING.contains(&bare(first).as_str()));
        let asking = || ASKING.iter().find_map(|name| knob.named(name));
        first.or_else(asking)
    }

    /// The request that a step makes; `None` if there is nothing to turn.
    pub(super) fn turn(&self, step: &Step, id: &str, session: &str) -> Option<Outgoing> {
        match step {
            Step::Mode(mode) => {
                Some(self.mode.as_ref()?.set(mode, "session/set_mode", "modeId", id, session))
            }
            Step::Model(model) => {
                Some(self.model.as_ref()?.set(model, "session/set_model", "modelId", id, session))
            }
            Step::Plan => self.set_planning(true, id, session),
            Step::Work => self.set_planning(false, id, session),
            Step::Settle => {
                // To set what is set already is the one thing that most agents answer and none acts upon.
                let mode = self.mode.as_ref().and_then(|mode| Some((mode, mode.current.as_ref()?)));
                Some(match mode {
                    Some((mode, current)) => mode.set(current, "session/set_mode", "modeId", id, session),
                    None => request(id, "_tether/settle", &json!({ "sessionId": session })),
                })
            }
        }
    }

    /// The request that makes it plan or work.
    pub(super) fn set_planning(&self, planning: bool, id: &str, session: &str) -> Option<Outgoing> {
        let knob = self.planner()?;
        let value = if planning { knob.named("plan")? } else { self.working_mode()? };
        Some(knob.set(&value, "session/set_mode", "modeId", id, session))
    }

    /// The value that [`Self::set_planning`] gives.
    pub(super) fn planned(&mut self, planning: bool) {
        let value = match planning {
            true => self.planner().and_then(|knob| knob.named("plan")),
            false => self.working_mode(),
        };
        if let Some(knob) = self.plan.as_mut().or(self.mode.as_mut()) {
            knob.current = value.or(knob.current.take());
        }
    }
}

impl Knob {
    fn new<'a>(option: Option<&str>, current: Option<&str>, offered: impl Iterator<Item = &'a str>) -> Self {
        let current = current.map(short);
        Self {
            option: option.map(short),
            first: current.clone(),
            current,
            offered: offered.take(MOST_MODES).map(short).collect(),
        }
    }

    /// What is offered under this name, compared as in [`bare`].
    fn named(&self, name: &str) -> Option<String> {
        self.offered.iter().find(|offered| bare(offered) == name).cloned()
    }

    fn set(&self, value: &str, method: &str, key: &str, id: &str, session: &str) -> Outgoing {
        match &self.option {
            Some(option) => {
                let params = json!({ "sessionId": session, "configId": option, "value": value });
                request(id, "session/set_config_option", &params)
            }
            None => request(id, method, &json!({ "sessionId": session, key: value })),
        }
    }
}

/// A mode's id without what agents write in different ways. Some use addresses, with the name after the `#`.
fn bare(id: &str) -> String {
    let name = id.rsplit_once('#').map_or(id, |(_, name)| name);
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(current: &str, ids: &[&str]) -> Knobs {
        let available: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "name": id })).collect();
        Knobs::read(&json!({ "modes": { "currentModeId": current, "availableModes": available } }))
    }

    fn line(outgoing: Option<Outgoing>) -> Value {
        serde_json::from_str(&outgoing.expect("there is something to turn").line).expect("a line is JSON")
    }

    #[test]
    fn an_agent_that_would_not_ask_is_put_into_a_mode_in_which_it_does() {
        let gemini = ["default", "autoEdit", "yolo", "plan"];
        assert_eq!(modes("default", &gemini).asking_mode(), Ok(None));
        assert_eq!(modes("plan", &gemini).asking_mode(), Ok(None));
        for mode in ["yolo", "autoEdit"] {
            assert_eq!(modes(mode, &gemini).asking_mode(), Ok(Some("default".into())), "{mode}");
        }
        let codex = ["read-only", "workspace-write", "agent", "agent-full-access"];
        for mode in ["agent", "workspace-write", "agent-full-access"] {
            assert_eq!(modes(mode, &codex).asking_mode(), Ok(Some("read-only".into())), "{mode}");
        }
        let others = ["agent", "ask", "plan"];
        assert_eq!(modes("agent", &others).asking_mode(), Ok(None), "a normal mode that is called so");
        assert_eq!(modes("yolo", &["yolo"]).asking_mode(), Err("yolo".into()));
        assert_eq!(Knobs::default().asking_mode(), Ok(None));
    }

    #[test]
    fn planning_is_a_mode_or_an_option_of_its_own() {
        let mut gemini = modes("default", &["default", "plan", "yolo"]);
        let set = line(gemini.set_planning(true, "i", "s"));
        assert_eq!((&set["method"], &set["params"]["modeId"]), (&json!("session/set_mode"), &json!("plan")));
        gemini.planned(true);
        assert!(gemini.planning());
        assert_eq!(line(gemini.set_planning(false, "i", "s"))["params"]["modeId"], "default");

        let option = json!({ "id": "collaboration_mode", "category": "collaboration_mode", "currentValue": "default",
            "options": [{ "value": "default" }, { "value": "plan" }] });
        let codex = json!({ "modes": { "currentModeId": "read-only", "availableModes": [{ "id": "read-only" }] },
            "configOptions": [{ "id": "mode", "category": "mode", "currentValue": "read-only" }, option] });
        let codex = Knobs::read(&codex);
        let set = line(codex.set_planning(true, "i", "s"));
        assert_eq!(set["method"], "session/set_config_option");
        assert_eq!(
            set["params"],
            json!({ "sessionId": "s", "configId": "collaboration_mode", "value": "plan" })
        );
        assert!(!modes("default", &["default"]).can_plan());
    }

    #[test]
    fn to_work_again_never_means_a_mode_that_does_not_ask() {
        let knobs = modes("yolo", &["yolo", "plan", "default"]);
        assert_eq!(line(knobs.set_planning(false, "i", "s"))["params"]["modeId"], "default");
        assert!(modes("yolo", &["yolo", "plan"]).set_planning(false, "i", "s").is_none());
    }

    #[test]
    fn a_change_that_is_told_by_options_counts_for_the_mode_too() {
        let mut knobs = modes("default", &["default", "acceptEdits"]);
        knobs.options_are(&[json!({ "id": "mode", "category": "mode", "currentValue": "acceptEdits" })]);
        assert_eq!(knobs.asking_mode(), Ok(Some("default".into())));
    }
}
