// Building elements. Foreign text only ever goes in as text; the one way in for markup is `cleaned`, which takes
// what the daemon has cleaned and lets through only what is on its own short list.

/// An element. `props`: `class`, `text`, `on` (listeners), `data`; all else is an attribute. Children that are
/// null or false are left out.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') node.className = value;
    else if (name === 'text') node.textContent = value;
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/// Sets a text only when it differs, so that nothing is laid out anew for nothing.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Control characters, those that turn the direction of writing, and those that cannot be seen: what a person is
// asked to allow must look like what it is.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/// The text as nodes, with every hidden character named.
export function visible(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) nodes.push(text.slice(from, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    nodes.push(el('span', { class: 'odd', text: `⟦U+${code}⟧` }));
    from = match.index + match[0].length;
  }
  if (from < text.length || nodes.length === 0) nodes.push(text.slice(from));
  return nodes;
}

/// Terminal colours and the like, taken out of a tool's output.
// eslint-disable-next-line no-control-regex
export const plain = (text) => text.replace(/\u001b(\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)|[@-_])/g, '').replace(/\r\n?/g, '\n');

const TAGS = new Set(['A', 'B', 'BLOCKQUOTE', 'BR', 'CODE', 'DD', 'DEL', 'DETAILS', 'DIV', 'DL', 'DT', 'EM', 'FIGCAPTION', 'FIGURE', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'HR', 'I', 'INPUT', 'INS', 'KBD', 'LI', 'MARK', 'OL', 'P', 'PRE', 'S', 'SECTION', 'SMALL', 'SPAN', 'STRONG', 'SUB', 'SUMMARY', 'SUP', 'TABLE', 'TBODY', 'TD', 'TH', 'THEAD', 'TR', 'U', 'UL']);
const ATTRIBUTES = new Set(['class', 'start', 'colspan', 'rowspan', 'align', 'open', 'title', 'lang', 'dir']);

/// What the daemon rendered, as nodes. It is clean already; this is the second lock on the same door.
export function cleaned(html) {
  const source = new DOMParser().parseFromString(html, 'text/html').body;
  const fragment = document.createDocumentFragment();
  for (const child of source.childNodes) copy(child, fragment);
  return fragment;
}

function copy(node, into) {
  if (node.nodeType === Node.TEXT_NODE) return void into.append(node.data);
  if (node.nodeType !== Node.ELEMENT_NODE || node.namespaceURI !== 'http://www.w3.org/1999/xhtml') return;
  if (node.tagName === 'SCRIPT' || node.tagName === 'STYLE' || node.tagName === 'TEMPLATE') return;
  let target = into;
  if (TAGS.has(node.tagName) && !(node.tagName === 'INPUT' && node.type !== 'checkbox')) {
    target = document.createElement(node.tagName);
    for (const { name, value } of node.attributes) if (ATTRIBUTES.has(name)) target.setAttribute(name, value);
    if (node.tagName === 'INPUT') Object.assign(target, { type: 'checkbox', checked: node.checked, disabled: true });
    if (node.tagName === 'A' && /^(https?:|mailto:)/i.test(node.getAttribute('href') ?? '')) {
      for (const [name, value] of [['href', node.getAttribute('href')], ['target', '_blank'], ['rel', 'noopener noreferrer nofollow']]) target.setAttribute(name, value);
    }
    into.append(target);
  }
  for (const child of node.childNodes) copy(child, target);
}

/// A button that copies a text, and says so.
export function copier(text, label = 'Copy') {
  const button = el('button', { class: 'copy', text: label, on: { async click() {
    try {
      await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy it yourself';
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  } } });
  return button;
}
