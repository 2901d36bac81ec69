// What became of an answer, in the place of its buttons: recorded, delivered, ran.

import { el } from '../core/dom.js';
import { glyph, icon } from '../core/icons.js';
import { outcome } from '../words.js';

const next = (go) => (go ? el('button', { class: 'next', 'aria-label': 'Next open approval', on: { click: go } }, icon('down')) : null);

const step = (shape, word, kind) => el('span', { class: `step ${kind}` }, glyph(shape), word);

/// It is on its way. `waits`: there is no connection; `late`: no reply for a while.
export function underWay({ waits, late, takeBack }) {
  if (!waits) return el('div', { class: 'track todo', role: 'status' }, glyph('todo'), late ? 'Still sending' : 'Sending…');
  return el('div', { class: 'track todo', role: 'status' }, glyph('new'), el('span', { text: 'Waits for connection' }), el('button', { class: 'do', text: 'Take back', on: { click: takeBack } }));
}

/// It was answered. `lost`: the person's own other answer was not counted.
export function answered(approval, { lost = false, goOn }) {
  const good = approval.state === 'allowed';
  const said = el('div', { class: good && !lost ? 'step good' : 'step' }, glyph(lost ? 'failed' : good ? 'good' : 'no'), el('span', { text: lost ? `Not counted: ${outcome(approval)}` : outcome(approval) }));
  const rows = [said];
  if (approval.run && approval.state !== 'cancelled') rows.push(steps(approval, good));
  return el('div', { class: 'track', role: 'status' }, el('div', { class: 'told' }, rows), next(goOn));
}

function steps(approval, good) {
  const delivered = Boolean(approval.delivered_at);
  const reached = step(delivered ? 'good' : 'todo', 'Delivered', delivered ? 'good' : 'todo');
  // What belongs to no tool call has no result that would ever be told.
  if (!approval.tool_use_id && (!approval.outcome || approval.outcome === 'unknown')) return el('div', { class: 'steps' }, reached);
  const [shape, word, kind] = {
    ran: ['good', good && approval.kind === 'tool' ? 'Ran' : 'Done', 'good'],
    failed: ['failed', 'Failed', 'failed'],
    refused: ['good', 'Refused', 'good'],
    unknown: ['todo', 'Not known', 'todo'],
  }[approval.outcome] ?? ['todo', good ? (approval.kind === 'tool' ? 'Ran' : 'Done') : 'Refused', 'todo'];
  return el('div', { class: 'steps' },
    reached,
    el('span', { class: approval.outcome ? 'way' : 'way todo' }),
    step(shape, word, kind));
}
