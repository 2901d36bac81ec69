// How each kind of row of the transcript looks. `draw[kind](row, context)` gives the element's content; `context` holds
// `changed()`, to be called when a row's height will be another one.

import { copier, el, visible } from '../core/dom.js';
import { glyph, icon, state } from '../core/icons.js';
import { diff } from '../approval/diff.js';
import { rendered } from '../data/rendered.js';
import { clock, duration, object, plural, size, within } from '../words.js';
import { silentWords } from './model.js';
import { showText } from './text.js';

/// Characters of a tool's output that are shown in its row.
const SHORT = 4000;
/// While it streams, or where nothing renders it, a text is plain; longer than this it is cut into what can be laid out.
const PLAIN = 20_000;

const chevron = () => icon('right');

export const draw = {
  me(row) {
    const pictures = row.images.length > 0 ? row.images.map((image) => `${image.filename ?? 'picture'}${image.bytes ? ` (${size(image.bytes)})` : ''}`).join(', ') : null;
    return el('div', { class: row.waits ? 'me queued' : 'me' }, el('div', { class: 'words' }, visible(row.text)), el('small', { text: [row.waits, row.by, clock(row.at), pictures].filter(Boolean).join(' · ') }));
  },

  say(row, context) {
    const node = el('div', { class: 'say' });
    const html = row.done ? rendered('markdown', row.text, { done: () => context.again(row) }) : null;
    if (html) {
      node.classList.add('prose');
      node.append(html);
      for (const block of node.querySelectorAll('figure.code')) dress(block);
    } else {
      node.classList.add('raw');
      node.append(row.text.length > PLAIN && row.done ? el('span', {}, row.text.slice(0, PLAIN), el('button', { class: 'all', text: 'Show all', on: { click: () => showText('Text', row.text) } })) : row.text);
    }
    return node;
  },

  think(row, context) {
    const ms = Date.parse(row.until) - Date.parse(row.since);
    return fold('think', row, 'open', context, [icon('think'), el('span', { text: row.done ? `Thought${ms >= 1000 ? ` for ${Math.round(ms / 1000)} s` : ''}` : 'Thinks' }), chevron()], () => el('div', { class: 'thought' }, visible(row.text)));
  },

  tools(row, context) {
    const failed = row.tools.some((tool) => tool.result?.isError);
    const ended = row.tools.every((tool) => tool.result);
    const ms = row.tools.reduce((sum, tool) => sum + (tool.ms ?? 0), 0);
    if (row.tools.length === 1) return draw.tool({ ...row, tool: row.tools[0], get open() { return row.open; }, set open(value) { row.open = value; } }, context);
    const node = fold('tool run', row, 'open', context, [chevron(), el('span', { text: silentWords(row.tools) }), row.tools.some((tool) => tool.ask?.state === 'open') ? el('span', { class: 'end' }, state('ask', 'Needs answer')) : ending(failed, ended, ms)], () => el('div', { class: 'run-of' }, row.tools.map((tool) => draw.tool({ tool, get open() { return tool.open; }, set open(value) { tool.open = value; } }, context))));
    return node;
  },

  tool(row, context) {
    const { tool } = row;
    const shell = typeof tool.input?.command === 'string' ? tool.input.command : null;
    const file = ['file_path', 'filePath', 'notebook_path'].some((name) => typeof tool.input?.[name] === 'string');
    const change = changeOf(tool);
    const open = row.open ?? (tool.result?.isError ? true : undefined);
    const summary = [icon(shell !== null ? 'term' : file ? 'file' : 'task'), shell !== null || file ? null : el('span', { class: 'kind' }, visible(tool.name)), el('code', {}, visible((file ? within(tool.about, context.directory()) : tool.about) || (shell !== null || file ? tool.name : ''))), change ? el('span', { class: 'n' }, el('span', { class: 'plus', text: `+${change.added}` }), el('span', { class: 'minus', text: `−${change.removed}` })) : null, ending(tool.result?.isError, Boolean(tool.result), tool.ms, tool)];
    const holder = { get open() { return open; }, set open(value) { row.open = value; } };
    if (tool.ask) {
      // What waits, or was refused, says so; the card itself stands below or beside.
      summary.pop();
      summary.push(el('span', { class: 'end' }, tool.ask.state === 'open' ? el('button', { class: 'to-card', on: { click: (event) => { event.preventDefault(); context.show(tool.ask.approval); } } }, state('ask', tool.ask.words)) : state(tool.ask.state, tool.ask.words)));
    }
    return fold('tool', tool.ask ? row : holder, 'open', context, summary, () => inside(tool, shell, change));
  },

  asked(row, context) {
    const waits = row.state === 'open';
    const words = row.command ?? (row.about ? `${row.title}` : row.title);
    return el('div', { class: 'asked' },
      el('button', { class: 'asked-row', disabled: !waits || !row.approval, on: { click: () => context.show(row.approval) } }, row.command ? icon('term') : icon('ask'), el(row.command ? 'code' : 'span', { class: 'cut' }, visible(words.split('\n')[0].slice(0, 300))), el('span', { class: 'end' }, state(waits ? 'ask' : row.state, row.words))),
      row.said.map((text) => el('p', { class: 'reason-said' }, visible(text))));
  },

  note(row, context) {
    return el('div', { class: `note ${row.tone}` }, glyph(row.shape), el('div', {}, el('b', { text: row.title }), row.text ? el('p', {}, visible(row.text)) : null,
      row.lines.length > 0 ? el('details', {}, el('summary', { text: 'Last lines of its error output' }), el('div', { class: 'out' }, visible(row.lines.join('\n')))) : null),
    row.action && context.isLast(row) ? el('button', { class: 'do', text: 'Try again', on: { click: () => context.tryAgain() } }) : null);
  },

  stamp: (row) => el('div', { class: 'stamp' }, visible(row.text)),

  odd: (row, context) => fold('tool', row, 'open', context, [icon('task'), el('code', { text: 'The agent said something that was not understood' })], () => el('div', { class: 'out' }, visible(row.text.slice(0, SHORT)))),
};

/// Streaming text only grows: the new piece is put behind, nothing else is touched.
export function grow(node, row) {
  const text = node.firstElementChild;
  if (!text?.classList.contains('raw') || row.done || row.text.length < (node.shownLength ?? 0)) return false;
  text.append(row.text.slice(node.shownLength ?? 0));
  node.shownLength = row.text.length;
  return true;
}

/// What opens; what is inside is made when it is opened first.
function fold(kind, holder, name, context, summary, make) {
  const node = el('details', { class: kind, on: { toggle() {
    holder[name] = node.open;
    fill();
  } } }, el('summary', {}, summary));
  const fill = () => { if (node.open && node.childElementCount === 1) node.append(el('div', { class: 'inside' }, make())); };
  node.open = Boolean(holder[name]);
  fill();
  return node;
}

function ending(failed, ended, ms, tool) {
  const exit = tool?.result?.isError ? /^(?:Exit code|exit code:?) (\d+)/i.exec(tool.result.text)?.[1] : null;
  const word = failed ? (exit ? `exit ${exit}` : 'Failed') : ended && ms >= 1000 ? duration(ms) : '';
  const node = el('span', { class: 'end' }, state(failed ? 'failed' : ended ? 'good' : 'work', word));
  node.firstElementChild.append(el('span', { class: 'unseen', text: failed ? '' : ended ? 'done' : 'runs' }));
  return node;
}

/// The change that a tool makes to a file, from its input.
function changeOf(tool) {
  const input = tool.input ?? {};
  const lines = (text) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));
  const pairs = Array.isArray(input.edits) ? input.edits : typeof input.old_string === 'string' ? [input] : typeof input.content === 'string' && typeof input.file_path === 'string' ? [{ old_string: '', new_string: input.content }] : null;
  if (!pairs?.every((edit) => typeof edit.old_string === 'string' && typeof edit.new_string === 'string')) return null;
  let text = `--- a/${input.file_path ?? ''}\n+++ b/${input.file_path ?? ''}\n`;
  let [added, removed] = [0, 0];
  for (const edit of pairs) {
    const [gone, come] = [lines(edit.old_string), lines(edit.new_string)];
    added += come.length;
    removed += gone.length;
    text += `@@ -1,${gone.length} +1,${come.length} @@\n${gone.map((line) => `-${line}\n`).join('')}${come.map((line) => `+${line}\n`).join('')}`;
  }
  return { text, added, removed };
}

function inside(tool, shell, change) {
  const nodes = [];
  if (shell !== null) nodes.push(el('div', { class: 'out' }, visible(`$ ${shell}`)));
  else if (change) nodes.push(diff(change.text, { folded: false }));
  else if (tool.input && object(tool.input)) nodes.push(el('div', { class: 'out' }, visible(cut(JSON.stringify(tool.input, null, 2)))));
  if (tool.allowedBy || tool.said) nodes.push(el('p', { class: 'reason-said' }, visible([tool.allowedBy, tool.said].filter(Boolean).join(': '))));
  if (tool.result) nodes.push(output(tool.result));
  return nodes;
}

const cut = (text) => (text.length > SHORT ? `${text.slice(0, SHORT)}…` : text);

function output({ text, truncated }) {
  const node = el('div', { class: 'out result', tabindex: 0, role: 'group', 'aria-label': 'Output' });
  node.append(...visible(text === '' ? 'No output' : text.slice(0, SHORT)));
  const wrap = el('div', { class: 'output' }, node);
  if (text.length > SHORT) wrap.append(el('button', { class: 'all', text: `Show all ${plural(text.split('\n').length, 'line')}`, on: { click: () => showText('Output', text) } }));
  if (truncated) wrap.append(el('div', { class: 'meta pad', text: 'Cut: the rest was not kept.' }));
  return wrap;
}

/// A block of code gets a button that copies.
function dress(figure) {
  const body = figure.querySelector('.code-body');
  const head = figure.querySelector('.code-head');
  if (!body || !head) return;
  body.tabIndex = 0;
  head.append(copier(() => body.textContent));
}
