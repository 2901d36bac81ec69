// A command as it is shown before it runs: whole, no flag split, what is risky in it marked word by word.

import { el, visible } from '../core/dom.js';

/// A word longer than this may break.
const LONG = 36;

/// `marks`: `[{start, end, reason}]` in UTF-16 units, as the daemon found them.
export function command(text, marks = []) {
  const node = el('div', { class: 'well command', tabindex: 0, role: 'group', 'aria-label': 'Command' }, el('span', { class: 'prompt', text: '$ ' }));
  let at = 0;
  for (const piece of text.split(/([ \t\r\n]+)/)) {
    if (piece !== '') node.append(...(/^[ \t\r\n]+$/.test(piece) ? blanks(piece, text.length === at + piece.length) : [word(piece, at, marks)]));
    at += piece.length;
  }
  return node;
}

/// Tabs and trailing spaces can be seen.
function blanks(piece, isEnd) {
  return [...piece].map((blank) => {
    if (blank === '\t') return el('span', { class: 'blank', text: '→\t' });
    if (blank === '\r') return el('span', { class: 'odd', text: '⟦U+000D⟧' });
    if (blank === ' ' && isEnd) return el('span', { class: 'blank', text: '·' });
    return blank;
  });
}

/// Marks are drawn within words, so that an underline never looks like an underscore.
function word(piece, at, marks) {
  const node = el('span', { class: piece.length > LONG ? 'word long' : 'word' });
  let from = 0;
  while (from < piece.length) {
    const mark = marks.find(({ start, end }) => start <= at + from && at + from < end);
    const next = mark ? mark.end : Math.min(...marks.map(({ start }) => start).filter((start) => start > at + from), at + piece.length);
    const to = Math.min(piece.length, next - at);
    const part = visible(piece.slice(from, to));
    node.append(...(mark ? [el('span', { class: 'risk', title: mark.reason }, part)] : part));
    from = to;
  }
  return node;
}
