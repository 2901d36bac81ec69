// Building elements. Foreign text only ever goes in as text: nothing here takes markup.

const SVG = 'http://www.w3.org/2000/svg';

/// An element. `props`: `class`, `text`, `on` (listeners), `hidden`; all else is an attribute.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') node.className = value;
    else if (name === 'text') node.textContent = value;
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// 20x20, drawn with a 1.75 stroke.
const ICONS = {
  back: ['M12 4.5 6.5 10l5.5 5.5'],
  down: ['m5 8 5 5 5-5'],
  right: ['m8 5 5 5-5 5'],
  plus: ['M10 4v12M4 10h12'],
  stop: ['M7 5.5h6A1.5 1.5 0 0 1 14.5 7v6a1.5 1.5 0 0 1-1.5 1.5H7A1.5 1.5 0 0 1 5.5 13V7A1.5 1.5 0 0 1 7 5.5z'],
  send: ['M10 16V4.5M5 9.5l5-5 5 5'],
  more: ['M4.5 10h.1M10 10h.1M15.5 10h.1'],
  tool: ['m4 6 4 4-4 4M10 14h6'],
  file: ['M5.5 3.5h6l3 3v10h-9z', 'M11.5 3.5v3h3'],
  task: ['M6 6.8v6.4M14 8.8c0 3-5 2-7.4 4.6', 'M6 3.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM6 13.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM14 5.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z'],
  think: ['M7.5 13.5c-2-1-3-2.6-3-4.5a5.5 5.5 0 0 1 11 0c0 1.9-1 3.5-3 4.5v1.5h-5zM8 17.5h4'],
  offline: ['M3 3l14 14M4.5 9a8 8 0 0 1 2-1.2M15.5 9A8 8 0 0 0 10 7M7.3 12a4 4 0 0 1 4.6-.6M10 15v.1'],
  done: ['m4.5 10.5 3.5 3.5 7.5-8'],
};

export function icon(name) {
  const node = svg('svg', { viewBox: '0 0 20 20', class: 'i', 'aria-hidden': 'true' });
  for (const d of ICONS[name] ?? []) node.append(svg('path', { d }));
  return node;
}

// 14x14: one shape a state, so that colour is never the only difference.
const RING = 'M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2z';
const GLYPHS = {
  new: [[RING, 'line dashed']],
  work: [['M7 2a5 5 0 1 0 5 5', 'line spin']],
  ready: [[RING, 'line'], ['M7 5.6a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8z', 'solid']],
  ask: [['M7 .8 13.2 7 7 13.2.8 7z', 'solid'], ['M7 4v3.4M7 9.6v.1', 'cut']],
  stopping: [['M3.5 2h7A1.5 1.5 0 0 1 12 3.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 2 10.5v-7A1.5 1.5 0 0 1 3.5 2z', 'line'], ['M5 5h4v4H5z', 'solid']],
  failed: [['M7 1a6 6 0 1 0 0 12A6 6 0 0 0 7 1z', 'solid'], ['m5 5 4 4M9 5 5 9', 'cut']],
  held: [['M2 2h10v10H2z', 'solid'], ['M5.4 4.6v4.8M8.6 4.6v4.8', 'cut']],
  again: [['M11.8 7a4.8 4.8 0 1 1-1.5-3.5', 'line'], ['M11.9 1.2v3.2H8.7z', 'solid']],
  good: [['m2 7.5 3.4 3.4L12 3.5', 'line']],
  no: [[RING, 'line'], ['m3.5 10.5 7-7', 'line']],
  todo: [[RING, 'line']],
};

export function glyph(name) {
  const node = svg('svg', { viewBox: '0 0 14 14', class: 's', 'aria-hidden': 'true' });
  for (const [d, kind] of GLYPHS[name] ?? GLYPHS.new) node.append(svg('path', { d, class: kind }));
  return node;
}

/// A state: its shape, its word and its colour together.
export function state(name, word) {
  return el('span', { class: `state ${name}` }, glyph(name), el('span', { text: word }));
}

// Control characters, and those that turn the direction of writing or cannot be seen: what a person is
// asked to allow must look like what it is.
// eslint-disable-next-line no-control-regex
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\u{e0000}-\u{e0fff}]/gu;

/// The text as nodes, with every hidden character named.
export function visible(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    nodes.push(text.slice(from, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    nodes.push(el('span', { class: 'odd', text: `⟦U+${code}⟧` }));
    from = match.index + match[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

/// Terminal colours and the like, taken out of a tool's output.
// eslint-disable-next-line no-control-regex
export const plain = (text) => text.replace(/\u001b(\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)|[@-_])/g, '').replace(/\r\n?/g, '\n');

let lastSaid = 0;
let toSay = '';

/// Tells people who listen rather than look; at most one sentence in three seconds, the newest.
export function announce(text) {
  if (toSay) {
    toSay = text;
    return;
  }
  toSay = text;
  setTimeout(() => {
    document.getElementById('polite').textContent = toSay;
    toSay = '';
    lastSaid = Date.now();
  }, Math.max(0, 3000 - (Date.now() - lastSaid)));
}

/// Tells at once that something which the person did has failed.
export const alarm = (text) => { document.getElementById('assertive').textContent = text; };
