//! Figures of the built program beside their goals.
//!
//!     cargo bench --bench figures                   all of them
//!     cargo bench --bench figures -- ingest replay  some of them
//!     cargo bench --bench figures -- startup --quick
//!
//! They depend on the machine, so a missed goal is printed and fails nothing. The machine should have
//! nothing else to do meanwhile.

mod bridges;
mod elsewhere;
mod fanout;
mod ingest;
mod load;
mod memory;
mod overhead;
mod replay;
mod startup;
mod support;

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if wanted.iter().any(|name| name == ingest::EMPTY_HANDLER) {
        return ingest::serve_empty();
    }
    let all: [(&str, fn()); 9] = [
        ("ingest", ingest::run),
        ("fanout", fanout::run),
        ("replay", replay::run),
        ("startup", startup::run),
        ("memory", memory::run),
        ("demos", memory::demos),
        ("bridges", bridges::run),
        ("elsewhere", elsewhere::run),
        ("overhead", overhead::run),
    ];
    let known = |name: &String| all.iter().any(|(known, _)| known == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        eprintln!("no figure `{unknown}`; there are: {}", names.join(", "));
        std::process::exit(2);
    }
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
