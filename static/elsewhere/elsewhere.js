// Sessions found on this machine: looked into, and taken over.

import { el, visible } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect, onEnd, untracked } from '../core/reactive.js';
import { sheet } from '../core/sheet.js';
import { VirtualList } from '../core/virtual.js';
import { back, go, now } from '../context.js';
import { attach, history } from '../data/api.js';
import { failed } from '../sessions/actions.js';
import { banner } from '../shell/banner.js';
import { age, agentName, place, plural } from '../words.js';
import { found, look } from './found.js';

class Elsewhere extends Part {
  build() {
    this.className = 'pane elsewhere';
    const empty = el('div', { class: 'empty' }, icon('link'), el('h2', { text: 'Nothing found' }), el('p', { text: 'No session of another program lies on this machine.' }));
    const scroll = el('div', { class: 'scroll' });
    const list = new VirtualList(scroll, { key: (item) => `${item.runner_type}:${item.id}`, guess: () => 64, make: row, refresh: (node, item) => node.refresh(item) });
    scroll.append(list.node, empty);
    this.append(el('header', { class: 'bar has-back' }, el('button', { class: 'icon back', 'aria-label': 'Back', on: { click: () => back('/sessions') } }, icon('back')), el('div', { class: 'grow' }, el('h1', { text: 'Elsewhere' })), el('button', { class: 'quiet', text: 'Look again', on: { click: () => look({ now: true }) } })), banner(), scroll);
    effect(() => {
      const items = found.value ?? [];
      now.value;
      untracked(() => { list.items = items; });
      empty.hidden = items.length > 0;
    });
    onEnd(() => list.end());
    look();
  }
}

function row() {
  let item = null;
  const node = el('button', { class: 'row', on: { click: () => preview(item) } });
  node.refresh = (next) => {
    item = next;
    node.replaceChildren(el('b', { text: next.first_prompt || next.last_prompt || 'No words yet' }), el('span', { class: 'meta', text: age(next.last_activity, now.peek()) }),
      el('span', { class: 'last' }, el('span', { class: 'cut', text: [agentName(next.runner_type), place(next.directory), plural(next.message_count, 'message'), next.is_running ? 'runs now' : null].filter(Boolean).join(' · ') })));
  };
  return node;
}

async function preview(item) {
  const body = el('div', { class: 't' }, el('p', { class: 'meta', text: 'Loading…' }));
  const take = el('button', { class: 'btn main', text: 'Attach', on: { async click() {
    take.disabled = true;
    try {
      const session = await attach(item);
      dialog.close();
      look({ now: true });
      go(`/s/${session.id}`);
    } catch (error) {
      dialog.close();
      failed('Not attached', error);
    }
  } } });
  const dialog = sheet(el('span', {}, visible((item.first_prompt ?? 'Session').slice(0, 80))), [el('p', { class: 'meta', text: place(item.directory, 60) }), body,
    el('div', { class: 'acts' }, el('button', { class: 'btn', text: 'Close', on: { click: () => dialog.close() } }), take)], { wide: true });
  try {
    const { messages } = await history(item.id, item.runner_type);
    body.replaceChildren(...messages.map((message) => el('div', { class: message.role === 'user' ? 'me' : 'say raw' }, visible(message.content ?? ''))));
    if (messages.length === 0) body.replaceChildren(el('p', { class: 'meta', text: 'It holds no words.' }));
  } catch (error) {
    body.replaceChildren(el('p', { class: 'why', text: error.message }));
  }
}

export const elsewhere = part('tether-elsewhere', Elsewhere);
