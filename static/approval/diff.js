// A unified diff as a person reads it: files, numbers and signs in columns, changed words marked.

import { el, visible } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { plural } from '../words.js';

/// More files or lines than these begin as a list of files.
const MANY_FILES = 3;
const MANY_LINES = 80;
/// Of one file so many lines are drawn; more on request.
const MOST_LINES = 2000;

/// `[{path, from, what, added, removed, lines: [{kind: ' '|'+'|'-'|'gap', old, new, text}]}]`.
export function parse(text) {
  const files = [];
  let file = null;
  let [before, after] = [0, 0];
  let [left, right] = [0, 0];
  const begin = () => {
    file = { path: '', from: null, what: '', added: 0, removed: 0, lines: [] };
    files.push(file);
  };
  for (const line of text.replace(/\n$/, '').split('\n')) {
    // Inside a hunk its own counts say what a line is: a removed line may itself begin with "-- ".
    if (left > 0 || right > 0) {
      const kind = line[0] ?? ' ';
      if (kind === '\\') continue;
      if (kind === '+') { file.added += 1; right -= 1; file.lines.push({ kind, old: null, new: after++, text: line.slice(1) }); continue; }
      if (kind === '-') { file.removed += 1; left -= 1; file.lines.push({ kind, old: before++, new: null, text: line.slice(1) }); continue; }
      if (kind === ' ' || line === '') { left -= 1; right -= 1; file.lines.push({ kind: ' ', old: before++, new: after++, text: line.slice(1) }); continue; }
    }
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk) {
      if (!file) begin();
      [before, after] = [Number(hunk[1]), Number(hunk[3])];
      [left, right] = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
      if (file.lines.length > 0) file.lines.push({ kind: 'gap', old: null, new: null, text: '' });
    } else if (line.startsWith('diff --git ')) {
      begin();
      file.path = unquoted(/ (?:"?)b\/(.*?)"?$/.exec(line)?.[1] ?? '');
    } else if (line.startsWith('--- ')) {
      if (!file || file.lines.length > 0) begin();
      file.from = pathOf(line.slice(4), 'a/');
    } else if (line.startsWith('+++ ') && file) {
      const to = pathOf(line.slice(4), 'b/');
      if (to === null) { file.path = file.from ?? file.path; file.what ||= 'deleted'; } else { file.path = to; if (file.from === null) file.what ||= 'new'; }
    } else if (file) {
      if (line.startsWith('new file')) file.what = 'new';
      else if (line.startsWith('deleted file')) file.what = 'deleted';
      else if (line.startsWith('rename from ')) { file.from = line.slice(12); file.what = `renamed from ${file.from}`; }
      else if (line.startsWith('old mode ')) file.what = 'mode changed';
      else if (line.startsWith('Binary files ')) file.what = file.what ? `${file.what}, binary` : 'binary';
    }
  }
  return files;
}

function pathOf(text, prefix) {
  const path = unquoted(text.replace(/\t.*$/, ''));
  if (path === '/dev/null') return null;
  return path.startsWith(prefix) ? path.slice(2) : path;
}

const unquoted = (text) => (text.startsWith('"') ? text.slice(1).replace(/"$/, '').replace(/\\(["\\])/g, '$1') : text);

/// Where two lines differ: `[from, to of the first, to of the second]`, or null when they have little in common.
export function changed(a, b) {
  let from = 0;
  while (from < a.length && from < b.length && a[from] === b[from]) from += 1;
  let end = 0;
  while (end < a.length - from && end < b.length - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const same = from + end;
  if (same === 0 || same * 3 < Math.min(a.length, b.length) || a.trim() === '' || b.trim() === '') return null;
  return [from, a.length - end, b.length - end];
}

/// Notes in each changed line which part of it changed, where a removed and an added line stand for each other.
function pair(lines) {
  for (let index = 0; index < lines.length; index += 1) {
    if (lines[index].kind !== '-') continue;
    let middle = index;
    while (lines[middle]?.kind === '-') middle += 1;
    let end = middle;
    while (lines[end]?.kind === '+') end += 1;
    for (let step = 0; step < Math.min(middle - index, end - middle); step += 1) {
      const [gone, come] = [lines[index + step], lines[middle + step]];
      const marks = changed(gone.text, come.text);
      if (marks) {
        gone.mark = [marks[0], marks[1]];
        come.mark = [marks[0], marks[2]];
      }
    }
    index = end - 1;
  }
  return lines;
}

function words({ text, mark }) {
  if (!mark || mark[0] === mark[1]) return visible(text);
  return [...(mark[0] > 0 ? visible(text.slice(0, mark[0])) : []), el('mark', {}, visible(text.slice(...mark))), ...(mark[1] < text.length ? visible(text.slice(mark[1])) : [])];
}

const KINDS = { '+': ['l a', '+', 'added '], '-': ['l d', '−', 'removed '], ' ': ['l', '', ''] };

function row(line) {
  if (line.kind === 'gap') return el('div', { class: 'gap', text: '⋯' });
  const [kind, sign] = KINDS[line.kind];
  return el('div', { class: kind }, el('i', { text: line.new ?? line.old ?? '' }), el('i', { text: sign }), el('span', {}, words(line)));
}

/// Old to the left, new to the right.
function beside(lines) {
  const rows = [];
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index];
    if (line.kind === 'gap') { rows.push(el('div', { class: 'gap', text: '⋯' })); continue; }
    if (line.kind === ' ') { rows.push(two(line, line)); continue; }
    const [gone, come] = [[], []];
    while (lines[index]?.kind === '-') gone.push(lines[index++]);
    while (lines[index]?.kind === '+') come.push(lines[index++]);
    index -= 1;
    for (let step = 0; step < Math.max(gone.length, come.length); step += 1) rows.push(two(gone[step], come[step]));
  }
  return rows;
}

function two(left, right) {
  const half = (line, number) => (line
    ? [el('i', { text: number }), el('span', { class: line.kind === ' ' ? '' : KINDS[line.kind][0].slice(2) }, words(line))]
    : [el('i'), el('span', { class: 'nothing' })]);
  return el('div', { class: 'two' }, half(left, left?.old ?? ''), half(right, right?.new ?? ''));
}

function body(file, sideBySide) {
  const node = el('div', { class: sideBySide ? 'lines beside' : 'lines' });
  const lines = pair(file.lines);
  const draw = (part) => node.append(...(sideBySide ? beside(part) : part.map(row)));
  draw(lines.slice(0, MOST_LINES));
  if (lines.length > MOST_LINES) {
    node.append(el('button', { class: 'all', text: `Show ${plural(lines.length - MOST_LINES, 'more line')}`, on: { click(event) {
      event.currentTarget.remove();
      draw(lines.slice(MOST_LINES));
    } } }));
  }
  if (lines.length === 0) node.append(el('div', { class: 'gap', text: file.what ? `The file is ${file.what}.` : 'Nothing in it changes.' }));
  return node;
}

const counts = (file) => el('span', { class: 'n' }, file.added > 0 ? el('span', { class: 'plus', text: `+${file.added}` }) : null, file.removed > 0 ? el('span', { class: 'minus', text: `−${file.removed}` }) : null);

const head = (file) => [icon('file'), el('span', { class: 'path' }, visible(file.path || 'file')), file.what ? el('span', { class: 'chip', text: file.what }) : null, counts(file)];

/// `folded`: null decides by length; `sideBySide` where there is room.
export function diff(text, { sideBySide = false, folded = null } = {}) {
  const files = parse(text);
  const lines = files.reduce((sum, file) => sum + file.lines.length, 0);
  const list = folded ?? (files.length > MANY_FILES || lines > MANY_LINES);
  if (!list || files.length <= 1) {
    return el('div', { class: 'diff' }, files.map((file) => [el('div', { class: 'file' }, head(file)), body(file, sideBySide)]));
  }
  return el('div', { class: 'diff' }, files.map((file) => {
    const fold = el('details', { on: { toggle() { if (fold.open && fold.childElementCount === 1) fold.append(body(file, sideBySide)); } } }, el('summary', { class: 'file' }, icon('right'), el('span', { class: 'path' }, visible(file.path)), file.what ? el('span', { class: 'chip', text: file.what }) : null, counts(file)));
    return fold;
  }));
}
