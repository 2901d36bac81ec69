// Markdown and code as the daemon renders them: asked for together, remembered, and shown as plain text until then (or
// for good, where the daemon does not answer).

import { cleaned } from '../core/dom.js';
import { render } from './api.js';

/// So many characters of rendered markup are remembered.
const MOST = 8_000_000;
/// One question holds at most so many items, and so many characters.
const ITEMS = 32;
const CHARACTERS = 200_000;
/// A single text longer than this stays plain.
const LONGEST = 100_000;

const known = new Map();
let size = 0;
let waiting = new Map();
let timer = null;
let works = true;

const keyOf = (kind, text, language) => `${kind}\u0000${language ?? ''}\u0000${text}`;

/// The rendered nodes, if they are known; otherwise null, and `done` is called once they are.
export function rendered(kind, text, { language, done } = {}) {
  const key = keyOf(kind, text, language);
  const html = known.get(key);
  if (html !== undefined) {
    // Used last, forgotten last.
    known.delete(key);
    known.set(key, html);
    return cleaned(html);
  }
  if (!done || !works || text.length > LONGEST) return null;
  const asked = waiting.get(key);
  if (asked) asked.done.push(done);
  else waiting.set(key, { item: { kind, text, ...(language ? { language } : {}) }, done: [done] });
  timer ??= setTimeout(send, 20);
  return null;
}

async function send() {
  timer = null;
  const batch = [];
  let characters = 0;
  for (const [key, asked] of waiting) {
    if (batch.length >= ITEMS || (batch.length > 0 && characters + asked.item.text.length > CHARACTERS)) break;
    batch.push([key, asked]);
    characters += asked.item.text.length;
    waiting.delete(key);
  }
  if (waiting.size > 0) timer = setTimeout(send, 20);
  try {
    const answer = await render(batch.map(([, asked]) => asked.item));
    if (answer === null) works = false;
    batch.forEach(([key, asked], index) => {
      const html = answer?.items?.[index]?.html;
      if (typeof html !== 'string') return;
      remember(key, html);
      for (const done of asked.done) done();
    });
  } catch {
    // Plain text it stays; whoever asks again later may have more luck.
  }
}

function remember(key, html) {
  known.set(key, html);
  size += key.length + html.length;
  for (const [oldest, was] of known) {
    if (size <= MOST) break;
    known.delete(oldest);
    size -= oldest.length + was.length;
  }
}
