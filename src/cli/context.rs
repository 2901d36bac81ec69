//! `tether context`: which daemon commands talk to.

use serde_json::{Value, json};

use super::args::{ContextAction, ContextArgs};
use super::output::{Column, table};
use super::{Context, Failure};
use crate::config::servers::{self, Because, LOCAL, Servers, Target};

/// Shows, lists or chooses. No daemon is asked.
pub fn run(args: &ContextArgs, mut cx: Context) -> Result<(), Failure> {
    match &args.action {
        None => show(&mut cx),
        Some(ContextAction::List) => list(&mut cx),
        Some(ContextAction::Use { name }) => choose(name, &mut cx),
    }
}

fn show(cx: &mut Context) -> Result<(), Failure> {
    let target = cx.target()?;
    if cx.json {
        return cx.out.json(&as_json(&target));
    }
    let (name, why) = described(&target);
    Ok(cx.out.line(format!("{name} ({})  {why}", target.url))?)
}

/// The name of what is meant, and why it is.
fn described(target: &Target) -> (&str, String) {
    match &target.named {
        None => (LOCAL, "as the settings say".to_owned()),
        Some((name, Because::Flag)) => (name, "as -S says".to_owned()),
        Some((name, Because::Default)) => (name, "the default of servers.yaml".to_owned()),
        Some((name, Because::Context(file))) => (name, format!("as {} says", file.display())),
    }
}

fn as_json(target: &Target) -> Value {
    let (name, why) = described(target);
    json!({ "name": name, "url": target.url, "why": why })
}

fn list(cx: &mut Context) -> Result<(), Failure> {
    let known = Servers::read(&cx.sources)?;
    // What is meant may be a name that is not there: the list is how one finds that out.
    let meant = cx.target().ok().and_then(|target| target.named).map(|(name, _)| name);
    let servers = known.list(&cx.sources);
    if cx.json {
        let rows = servers.iter().map(|(name, address)| {
            let is_meant = meant.as_deref() == Some(*name);
            json!({ "name": name, "address": address.as_ref().ok(), "problem": address.as_ref().err(), "current": is_meant })
        });
        let rows: Vec<Value> = rows.collect();
        return cx.out.json(&json!({ "file": known.path, "default": known.default, "servers": rows }));
    }
    let mark = |name: &str| if meant.as_deref().unwrap_or(LOCAL) == name { "*" } else { "" }.to_owned();
    let mut rows = vec![vec![mark(LOCAL), LOCAL.to_owned(), "the daemon of this machine".to_owned()]];
    rows.extend(servers.iter().map(|(name, address)| {
        let shown = address.as_ref().map_or_else(|why| why.as_str(), |address| address.as_str());
        let default = if known.default.as_deref() == Some(*name) { "  (default)" } else { "" };
        vec![mark(name), (*name).to_owned(), format!("{shown}{default}")]
    }));
    for line in table(&[Column("", 1), Column("NAME", 20), Column("ADDRESS", 60)], &rows) {
        cx.out.line(line)?;
    }
    if known.is_exposed() {
        let place = known.place();
        cx.out.line(format!("Others can read {place}, and there are tokens in it: chmod 600 {place}"))?;
    }
    if servers.is_empty() {
        cx.out.line(format!("Name servers in {} (see: tether context --help)", known.place()))?;
    }
    Ok(())
}

fn choose(name: &str, cx: &mut Context) -> Result<(), Failure> {
    let file = servers::use_context(&cx.sources, name)?;
    let target = servers::typed_target(&cx.sources, Some(name))?;
    if cx.json {
        return cx.out.json(&json!({ "name": name, "url": target.url, "file": file }));
    }
    Ok(cx.out.line(format!("Commands now talk to {name} ({})", target.url))?)
}
