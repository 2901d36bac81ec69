//! A page of Markdown as the checks want it: headings, links, blocks of code, words in code, and made parts.

use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::root;

/// Begins a part that is made from the program; its name and ` -->` follow.
const BEGIN: &str = "<!-- made from the program: ";
/// Ends it.
const END: &str = "<!-- end -->";

/// A piece of a page, and the line that it begins in (from 1).
#[derive(Debug)]
pub struct Piece {
    pub line: usize,
    pub text: String,
}

/// A fenced block of code; `line` is that of the fence.
#[derive(Debug)]
pub struct Block {
    pub line: usize,
    pub language: String,
    pub text: String,
}

/// A page, taken apart.
#[derive(Debug, Default)]
pub struct Page {
    /// From the root of the repository.
    pub path: PathBuf,
    pub text: String,
    /// What links and pictures lead to, as it is written.
    pub links: Vec<Piece>,
    pub blocks: Vec<Block>,
    /// Words in code within text.
    pub spans: Vec<Piece>,
    /// What can be written after `#` in a link to this page.
    pub anchors: Vec<String>,
    /// The first heading, and the first paragraph behind it.
    pub title: String,
    pub summary: String,
}

impl Page {
    /// Reads a page of the repository.
    pub fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root().join(&path)).expect("a page of the docs");
        Self::parse(path, text)
    }

    /// Takes a text apart.
    pub fn parse(path: PathBuf, text: String) -> Self {
        let mut page = Self { path, ..Self::default() };
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let mut paragraph = false;
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text.get(..range.start).unwrap_or_default().matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let words = heading.take().unwrap_or_default();
                    page.add_anchor(&words);
                    if page.title.is_empty() {
                        page.title = words;
                    }
                }
                Event::Start(Tag::Paragraph) => paragraph = page.summary.is_empty() && !page.title.is_empty(),
                Event::End(TagEnd::Paragraph) => paragraph = false,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(Piece { line, text: dest_url.to_string() });
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some(Block { line, language: language.to_string(), text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                    if paragraph {
                        page.summary.push_str(&format!("`{words}`"));
                    }
                    page.spans.push(Piece { line, text: words.to_string() });
                }
                Event::Text(words) => match (&mut block, &mut heading) {
                    (Some(block), _) => block.text.push_str(&words),
                    (None, Some(heading)) => heading.push_str(&words),
                    (None, None) if paragraph => page.summary.push_str(&words),
                    (None, None) => {}
                },
                Event::SoftBreak if paragraph => page.summary.push(' '),
                _ => {}
            }
        }
        page.text = text;
        page
    }

    /// The anchor of a heading as GitHub makes it; the second of a name gets `-1`, and so on.
    fn add_anchor(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let plain: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let taken = |name: &str| self.anchors.iter().any(|anchor| anchor == name);
        let numbered = (1..).map(|number| format!("{plain}-{number}"));
        let anchor = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name));
        self.anchors.extend(anchor);
    }

    /// Where a line is, for people.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// Where a link of a page leads within the repository: the path from its root and the anchor. `None` for addresses
/// elsewhere; an error says that it leads out of the repository.
fn target(page: &Path, link: &str) -> Result<Option<(PathBuf, Option<String>)>, String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (link, None),
    };
    if file.is_empty() {
        return Ok(Some((page.to_owned(), anchor)));
    }
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return Err(format!("`{link}` leads out of the repository")),
        }
    }
    Ok(Some((path, anchor)))
}

/// The files that a page links to.
pub fn targets(page: &Page) -> Vec<PathBuf> {
    let found = page.links.iter().filter_map(|link| target(&page.path, &link.text).ok().flatten());
    found.map(|(path, _)| path).collect()
}

/// What is wrong with the links of a page.
pub fn broken_links(page: &Page) -> Vec<String> {
    let fault = |link: &str| -> Option<String> {
        let (path, anchor) = match target(&page.path, link) {
            Ok(found) => found?,
            Err(why) => return Some(why),
        };
        if path != page.path && !root().join(&path).exists() {
            return Some(format!("there is no {}", path.display()));
        }
        let anchor = anchor?;
        let anchors = if path == page.path { &page.anchors } else { &Page::read(path.clone()).anchors };
        (!anchors.contains(&anchor)).then(|| format!("{} has no heading for #{anchor}", path.display()))
    };
    let links = page.links.iter();
    links.filter_map(|link| Some(format!("{}: {}", page.place(link.line), fault(&link.text)?))).collect()
}

/// The text with its made parts made anew. `make` gives the content of a part; `None` = it does not know it.
pub fn with_made(text: &str, mut make: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").ok_or("a made part has no name")?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("the part {name:?} does not end"))?;
        let content = make(name).ok_or_else(|| format!("nobody makes the part {name:?}"))?;
        made.push_str(&format!("{before}{BEGIN}{name} -->\n\n{}\n\n{END}", content.trim_end()));
        rest = after;
    }
    Ok(made + rest)
}

/// Text that stands in a cell of a table.
pub fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn page(text: &str) -> Page {
    Page::parse("docs/x.md".into(), text.into())
}

#[test]
fn a_page_is_taken_apart() {
    let page =
        page("# The `x` of it\n\nA word\nin `code`.\n\n```sh\nls\n```\n\n## Twice\n## Twice\n[a](b.md)\n");
    assert_eq!((page.title.as_str(), page.summary.as_str()), ("The x of it", "A word in `code`."));
    assert_eq!(page.anchors, ["the-x-of-it", "twice", "twice-1"]);
    assert_eq!((page.blocks[0].language.as_str(), page.blocks[0].line), ("sh", 6));
    assert_eq!((page.links[0].text.as_str(), page.links[0].line), ("b.md", 12));
}

#[test]
fn a_link_to_nothing_is_found() {
    for (text, faults) in [
        ("[a](nowhere.md)", 1),
        ("[a](../README.md#no-such-heading)", 1),
        ("[a](../../outside.md)", 1),
        ("[a](#b)", 1),
        ("# B\n[a](#b) [c](../README.md) [d](https://example.org/x) [e](../src)", 0),
    ] {
        assert_eq!(broken_links(&page(text)).len(), faults, "{text}");
    }
}

#[test]
fn a_made_part_is_replaced_and_the_rest_stays() {
    let text = format!("a\n{BEGIN}x -->\nold\n{END}\nb\n");
    let new = with_made(&text, |_| Some("new\n".into())).expect("it is whole");
    assert_eq!(new, format!("a\n{BEGIN}x -->\n\nnew\n\n{END}\nb\n"));
    assert!(with_made(&text, |_| None).is_err());
    assert!(with_made(&format!("{BEGIN}x -->\nno end"), |_| Some(String::new())).is_err());
}
