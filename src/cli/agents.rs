//! `tether agents`: which agents there are, and what this machine has of each.

use super::output::{Column, table, terminal_width};
use super::{Context, Failure};
use crate::api::AgentView;
use crate::config::Settings;
use crate::daemon;

/// Asks the daemon, or looks itself where none runs on this machine.
pub async fn run(mut cx: Context) -> Result<(), Failure> {
    let agents = match cx.client()?.agents().await {
        Ok(agents) => agents,
        Err(error) if error.is_passing() && cx.target()?.is_here() => {
            look(&Settings::read(&cx.sources)?).await?
        }
        Err(error) => return Err(error.into()),
    };
    if cx.json {
        return cx.out.json(&agents);
    }
    for line in lines(&agents, terminal_width()) {
        cx.out.line(line)?;
    }
    Ok(())
}

/// What this machine has of each agent.
pub async fn look(settings: &Settings) -> Result<Vec<AgentView>, Failure> {
    let catalogue = daemon::catalogue(settings);
    let reports = tokio::task::spawn_blocking(move || catalogue.report()).await;
    let reports = reports.map_err(|_| Failure::text("looking for the agents failed"))?;
    Ok(reports.iter().map(AgentView::from).collect())
}

/// A table, and below it what is to be said of single agents.
pub fn lines(agents: &[AgentView], width: usize) -> Vec<String> {
    let rest = width.saturating_sub(12 + 20 + 12 + 6 + 4).max(20);
    let columns = [
        Column("NAME", 12),
        Column("AGENT", 20),
        Column("VERSION", 12),
        Column("READY", 6),
        Column("PROGRAM", rest),
    ];
    let rows: Vec<Vec<String>> = agents
        .iter()
        .map(|agent| {
            let default = if agent.is_default { "*" } else { "" };
            vec![
                format!("{}{default}", agent.adapter),
                agent.title.clone(),
                agent.version.clone().unwrap_or_else(|| "-".to_owned()),
                if agent.ready { "yes" } else { "no" }.to_owned(),
                agent.program.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let mut lines = table(&columns, &rows);
    let told = |agent: &AgentView| {
        let words = [&agent.problem, &agent.notice].into_iter().flatten();
        words.map(|text| format!("{}: {text}", agent.adapter)).collect::<Vec<_>>()
    };
    let remarks: Vec<String> = agents.iter().flat_map(told).collect();
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(adapter: &str, ready: bool) -> AgentView {
        AgentView {
            adapter: adapter.into(),
            title: "Some Agent".into(),
            protocol: "acp".into(),
            ready,
            problem: (!ready).then(|| "it is not there".to_owned()),
            notice: None,
            version: Some("1.2.3".into()),
            program: ready.then(|| "/usr/bin/agent".into()),
            model: None,
            is_default: ready,
        }
    }

    #[test]
    fn each_agent_has_a_row_and_what_is_missing_stands_below() {
        let lines = lines(&[agent("one", true), agent("two", false)], 100);
        assert_eq!(lines[2], "one*         Some Agent           1.2.3        yes    /usr/bin/agent");
        assert!(
            lines[3].starts_with("two          Some Agent           1.2.3        no     -"),
            "{}",
            lines[3]
        );
        assert_eq!(lines.last().map(String::as_str), Some("two: it is not there"));
    }
}
