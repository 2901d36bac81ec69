// A text of any length, read in a sheet: only what is in sight is laid out, and a line that is endless is cut into pieces.

import { copier, el, visible } from '../core/dom.js';
import { sheet } from '../core/sheet.js';
import { VirtualList } from '../core/virtual.js';
import { plural } from '../words.js';

/// So many lines stand together, and no piece is longer than this.
const LINES = 60;
const LINE = 2000;

/// Pieces of at most `LINES` lines of at most `LINE` characters.
export function pieces(text) {
  const all = [];
  let from = 0;
  let [lines, start] = [0, 0];
  while (from < text.length) {
    let to = text.indexOf('\n', from);
    to = to < 0 ? text.length : to + 1;
    to = Math.min(to, from + LINE);
    lines += 1;
    from = to;
    if (lines >= LINES || from - start > LINES * 200 || from >= text.length) {
      all.push({ key: start, text: text.slice(start, from), lines });
      start = from;
      lines = 0;
    }
  }
  return all;
}

export function showText(title, text) {
  const scroll = el('div', { class: 'scroll long-text', tabindex: 0 });
  const list = new VirtualList(scroll, { key: (piece) => piece.key, guess: (piece) => piece.lines * 20, make: (piece) => el('div', { class: 'piece' }, visible(piece.text)) });
  scroll.append(list.node);
  const dialog = sheet(title, [el('div', { class: 'sheet-tools' }, el('span', { class: 'meta', text: plural(text.split('\n').length, 'line') }), copier(text)), scroll], { wide: true, className: 'tall' });
  list.items = pieces(text);
  dialog.addEventListener('close', () => list.end());
}
