//! The routes as the API describes itself.

use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::Value;

use super::markdown::cell;

/// The topics in the order in which people want them; what is not here comes behind.
const TOPICS: [(&str, &str); 12] = [
    ("sessions", "Sessions"),
    ("approvals", "Approvals"),
    ("events", "Following"),
    ("external agents", "Agents of your own"),
    ("git", "Git and work trees"),
    ("elsewhere", "Conversations begun elsewhere"),
    ("agents", "Agents and trust"),
    ("devices", "Pairing and devices"),
    ("directories", "Directories"),
    ("render", "Rendering"),
    ("status", "Status and chats"),
    ("daemon", "The daemon"),
];

/// Methods in the order in which they are told.
const METHODS: [&str; 5] = ["get", "post", "patch", "put", "delete"];

/// Routes that are not REST and describe themselves in another way.
const OTHERS: [(&str, &str); 1] = [("*", "/mcp")];

/// The API's own description.
fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let text = tether::api::describe().expect("it can be written");
        serde_json::from_str(&text).expect("the description is JSON")
    })
}

struct Route {
    method: &'static str,
    path: &'static str,
    operation: &'static Value,
}

impl Route {
    fn topic(&self) -> &'static str {
        self.operation["tags"][0].as_str().unwrap_or("other")
    }

    fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    /// The fields of its body.
    fn body(&self) -> Option<&'static Value> {
        let schema = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        let first = schema["oneOf"].get(0).unwrap_or(schema);
        (!first.is_null()).then_some(first)
    }
}

fn routes() -> Vec<Route> {
    let paths = object(&description()["paths"]);
    let mut routes: Vec<Route> = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                routes.push(Route { method, path, operation });
            }
        }
    }
    routes
}

fn object(value: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every route, and every type that it takes or answers.
pub fn reference() -> String {
    let routes = routes();
    let mut topics: Vec<(&str, &str)> = TOPICS.to_vec();
    for route in &routes {
        if !topics.iter().any(|(topic, _)| *topic == route.topic()) {
            topics.push((route.topic(), route.topic()));
        }
    }
    let mut out = String::new();
    for (topic, title) in topics {
        let _ = write!(out, "## {title}\n\n");
        for route in routes.iter().filter(|route| route.topic() == topic) {
            tell_route(&mut out, route);
        }
    }
    out.push_str("## Types\n\n");
    for (name, schema) in object(&description()["components"]["schemas"]) {
        let _ = write!(out, "### {name}\n\n");
        tell_schema(&mut out, schema);
    }
    out
}

fn tell_route(out: &mut String, route: &Route) {
    let _ = write!(out, "### `{}`\n\n", route.name());
    for part in ["summary", "description"] {
        let words = text(&route.operation[part]);
        if !words.is_empty() {
            let _ = write!(out, "{words}\n\n");
        }
    }
    let parameters = route.operation["parameters"].as_array().into_iter().flatten();
    let queries: Vec<&Value> = parameters.filter(|parameter| parameter["in"] == "query").collect();
    if !queries.is_empty() {
        out.push_str("| Query | | |\n|---|---|---|\n");
        for query in queries {
            row(out, text(&query["name"]), &query["schema"], text(&query["description"]), false);
        }
        out.push('\n');
    }
    if let Some(body) = route.body() {
        let _ = write!(out, "Body: {}\n\n", kind(body));
    }
    let answers = object(&route.operation["responses"]).map(|(status, answer)| {
        let content = object(&answer["content"]).next();
        let said = match content {
            Some(("application/json", media)) if !media["schema"].is_null() => kind(&media["schema"]),
            Some((media, _)) => format!("`{media}`"),
            None => text(&answer["description"]).to_owned(),
        };
        format!("{status} {said}").trim_end().to_owned()
    });
    let _ = write!(out, "Answers: {}\n\n", answers.collect::<Vec<_>>().join(", "));
}

fn row(out: &mut String, name: &str, schema: &Value, words: &str, needed: bool) {
    let words = if words.is_empty() { text(&schema["description"]) } else { words };
    let needed = if needed { ", needed" } else { "" };
    let _ = writeln!(out, "| `{name}` | {}{needed} | {} |", kind(schema), cell(words));
}

fn tell_schema(out: &mut String, schema: &Value) {
    let words = text(&schema["description"]);
    if !words.is_empty() {
        let _ = write!(out, "{words}\n\n");
    }
    let variants = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    match (schema["properties"].as_object(), variants) {
        (Some(properties), _) => {
            let needed: Vec<&str> = schema["required"].as_array().into_iter().flatten().map(text).collect();
            out.push_str("| Field | | |\n|---|---|---|\n");
            for (name, property) in properties {
                row(out, name, property, "", needed.contains(&name.as_str()));
            }
            out.push('\n');
        }
        (None, Some(variants)) => {
            out.push_str("One of these:\n\n");
            for variant in variants {
                tell_schema(out, variant);
            }
        }
        (None, None) => {
            let _ = write!(out, "{}\n\n", kind(schema));
        }
    }
}

/// A type in words; types with a name of their own are links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", text(word))).collect();
        return words.join(", ");
    }
    for list in ["oneOf", "anyOf", "allOf"] {
        if let Some(variants) = schema[list].as_array() {
            return variants.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

/// Whether a path as it is written (`/api/sessions/$ID/start`, `/api/sessions/{id}`) is this route's.
fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
}

fn find(method: Option<&str>, path: &str) -> Option<Route> {
    let is_method = |route: &Route| method.is_none_or(|method| method.eq_ignore_ascii_case(route.method));
    let mut routes = routes();
    routes.retain(|route| is_method(route) && fits(route.path, path));
    // A fixed name before one that stands for any.
    routes.sort_by_key(|route| route.path.matches('{').count());
    routes.into_iter().next()
}

/// What is wrong with a route that is named in a text, as `/api/..` or with its method.
pub fn named_fault(span: &str) -> Option<String> {
    let (method, path) = match span.split_once(' ') {
        Some((method, path)) if METHODS.iter().any(|known| known.to_uppercase() == method) => {
            (Some(method), path)
        }
        _ => (None, span),
    };
    let bare = path.split(['?', ' ', '"']).next().unwrap_or_default();
    let is_ours = method.is_some() && bare.starts_with('/') || bare.starts_with("/api/");
    // `/api/..` stands for many.
    if !is_ours || bare.contains("..") || OTHERS.iter().any(|(_, other)| *other == bare) {
        return None;
    }
    find(method, bare).is_none().then(|| format!("there is no route `{span}`"))
}

/// What is wrong with a request that is to be typed: the route, the query, the fields of the body must exist.
pub fn request_fault(words: &[String]) -> Option<String> {
    if !matches!(words.first().map(String::as_str), Some("api" | "curl")) {
        return None;
    }
    let after = |flags: &[&str]| {
        let at = words.iter().position(|word| flags.contains(&word.as_str()))?;
        words.get(at + 1)
    };
    let body = after(&["-d", "--data", "--json"]);
    let method =
        after(&["-X", "--request"]).map_or(if body.is_some() { "POST" } else { "GET" }, String::as_str);
    let address = words.iter().skip(1).find_map(|word| word.find("/api/").map(|at| &word[at..]))?;
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let Some(route) = find(Some(method), path) else {
        return Some(format!("there is no route {method} {path}"));
    };
    let known: Vec<&str> = route.operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| text(&one["name"]))
        .collect();
    for name in query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()) {
        if !known.contains(&name) {
            return Some(format!("{} knows no {name:?} in its query", route.name()));
        }
    }
    let body = body.filter(|body| !body.starts_with('@'))?;
    let given: Value = match serde_json::from_str(body) {
        Ok(given) => given,
        Err(error) => return Some(format!("the body of {} is not JSON: {error}", route.name())),
    };
    let fields = fields(route.body()?);
    let given = given.as_object().map(|given| given.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let unknown: Vec<&String> = given.iter().filter(|name| !fields.contains(&name.as_str())).collect();
    (!unknown.is_empty()).then(|| format!("{} knows no {unknown:?} in its body", route.name()))
}

/// All fields that a type can have.
fn fields(schema: &'static Value) -> Vec<&'static str> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return fields(&description()["components"]["schemas"][name]);
    }
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    object(&schema["properties"]).map(|(name, _)| name).chain(variants.flat_map(fields)).collect()
}

#[test]
fn a_request_that_cannot_be_answered_is_found() {
    let fault = |line: &str| request_fault(&shell_words::split(line).expect("it is whole"));
    for wrong in [
        "api $T/api/nope",
        "api $T/api/sessions/$ID/start",
        "api $T/api/approvals?nope=1",
        "api $T/api/sessions -d '{\"nope\":1}'",
        "api $T/api/sessions -d '{nope'",
        "curl -X DELETE $T/api/sessions",
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
    for right in [
        "api $T/api/sessions -d '{\"directory\":\"/x\"}'",
        "api -N \"$T/api/events/sessions/$ID?since=0\"",
        "api $T/api/approvals/$P/answer -d '{\"decision\":\"deny\",\"message\":\"no\"}'",
        "curl -X DELETE $T/api/sessions/$ID",
        "curl https://example.org/",
        "ls /api/nope",
    ] {
        assert_eq!(fault(right), None, "{right}");
    }
}

#[test]
fn a_route_that_is_named_and_does_not_exist_is_found() {
    for wrong in ["/api/nope", "GET /nope", "PUT /api/sessions", "/api/sessions/{id}/nope"] {
        assert!(named_fault(wrong).is_some(), "{wrong}");
    }
    for right in [
        "/api/sessions/{id}/git",
        "GET /metrics",
        "/log",
        "/api/...",
        "GET",
        "/mcp",
        "/api/approvals?state=all",
    ] {
        assert_eq!(named_fault(right), None, "{right}");
    }
}

#[test]
fn every_route_is_in_the_reference_with_its_purpose() {
    let text = reference();
    for route in routes() {
        assert!(text.contains(&format!("### `{}`\n", route.name())), "{}", route.name());
        assert!(
            !super::routes::text(&route.operation["summary"]).is_empty(),
            "{} has no purpose",
            route.name()
        );
    }
}
