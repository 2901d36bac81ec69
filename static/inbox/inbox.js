// The Inbox, the home: every open approval over all sessions, oldest first.

import { card, alikeKey, lastHeard } from '../approval/card.js';
import { whenCalm } from '../core/calm.js';
import { el, setText } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { line, sheet } from '../core/sheet.js';
import { Part, part } from '../core/part.js';
import { effect, onEnd, signal, untracked } from '../core/reactive.js';
import { go, outbox, scrolled, selected, store, wide } from '../context.js';
import { agentOf, nameOf, plural } from '../words.js';
import { banner } from '../shell/banner.js';

/// Only these are shown: `{session?, agent?}`.
const filter = signal({});

const wanted = (approval) => {
  const { session, agent } = filter.value;
  return (!session || approval.session_id === session) && (!agent || agentOf(store.sessions.peek().get(approval.session_id)) === agent);
};

/// Keeps cards in a pane: new ones come at the end, answered ones stay in their place until they are cleared.
class Cards {
  #pane;
  #inline;
  #cards = new Map();
  /// Which approvals share a card, by approval.
  #group = new Map();

  constructor(pane, { inline = false } = {}) {
    this.#pane = pane;
    this.#inline = inline;
  }

  /// Brings them up to date with all approvals that are to be shown, oldest first.
  update(approvals) {
    const shown = new Set(approvals.map((approval) => approval.id));
    const gone = [...this.#cards].filter(([, made]) => made.approvals.peek().every((approval) => !shown.has(approval.id)));
    const fresh = approvals.filter((approval) => !this.#group.has(approval.id));
    // What is shown already is brought up to date at once and in its place; what would shift the rest waits.
    const byId = new Map(approvals.map((approval) => [approval.id, approval]));
    for (const made of this.#cards.values()) {
      const next = made.approvals.peek().map((approval) => byId.get(approval.id) ?? approval);
      if (next.some((approval, index) => approval !== made.approvals.peek()[index])) made.approvals.value = next;
    }
    if (gone.length === 0 && fresh.length === 0) return;
    const place = () => {
      for (const [key, made] of gone) {
        made.remove();
        this.#cards.delete(key);
        for (const approval of made.approvals.peek()) this.#group.delete(approval.id);
      }
      for (const approval of fresh) this.#place(approval);
    };
    // Something new at the end moves nothing that is there, unless it joins a card.
    if (gone.length === 0 && fresh.every((approval) => !this.#cards.has(alikeKey(approval)))) place();
    else whenCalm(this, place);
  }

  #place(approval) {
    if (this.#group.has(approval.id)) return;
    const key = alikeKey(approval);
    const alike = this.#cards.get(key);
    if (alike && alike.approvals.peek().every((one) => one.state === 'open' && !outbox.items.peek().has(`answer:${one.id}`))) {
      alike.approvals.value = [...alike.approvals.peek(), approval];
      this.#group.set(approval.id, key);
      return;
    }
    const own = alike ? approval.id : key;
    const made = card([approval], { inline: this.#inline });
    this.#cards.set(own, made);
    this.#group.set(approval.id, own);
    this.#pane.append(made);
  }

  get list() { return [...this.#pane.querySelectorAll('approval-card')]; }
}

class Inbox extends Part {
  build() {
    this.className = 'pane inbox';
    const count = el('span', { class: 'meta' });
    const clear = el('button', { class: 'quiet', on: { click: () => store.forgetAnswered() } });
    const filters = el('button', { class: 'icon', 'aria-label': 'Filter', on: { click: () => this.#filters() } }, icon('filter'));
    const cards = el('section', { class: 'cards', 'aria-label': 'Open approvals' });
    const empty = el('div', { class: 'empty' });
    const scroll = el('div', { class: 'scroll', data: { scroll: 'inbox' } }, cards, empty);
    this.append(el('header', { class: 'bar' }, el('div', { class: 'grow' }, el('h1', { text: 'Inbox' })), count, clear, filters), banner(), scroll);
    const shown = new Cards(cards);
    effect(() => {
      const all = [...store.approvals.value.values()].filter(wanted).sort((a, b) => a.requested_at.localeCompare(b.requested_at));
      untracked(() => shown.update(all));
      const open = all.filter((approval) => approval.state === 'open').length;
      setText(count, store.from.value === 'kept' ? lastHeard(store.keptAt) : open > 0 ? `${open} open` : '');
      const answered = all.length - open;
      clear.hidden = answered === 0;
      setText(clear, `Clear ${answered} answered`);
      filters.hidden = store.approvals.value.size < 2 && Object.keys(filter.value).length === 0;
      filters.classList.toggle('on', Object.keys(filter.value).length > 0);
      empty.hidden = all.length > 0;
      if (all.length === 0) this.#empty(empty);
    });
    scroll.scrollTop = scrolled.get('inbox') ?? 0;
    // Who comes back finds what is open.
    onEnd(() => { scrolled.set('inbox', scroll.scrollTop); store.forgetAnswered(); });
  }

  #empty(node) {
    const sessions = [...store.sessions.value.values()];
    const working = sessions.filter((session) => session.state === 'RUNNING').length;
    const filtered = Object.keys(filter.value).length > 0;
    const [title, text, button, run] = filtered ? ['Nothing here', 'The filter hides what else is open.', 'Show all', () => { filter.value = {}; }]
      : store.from.value === 'nothing' ? ['', '', null, null]
        : sessions.length === 0 ? ['No agents yet', 'Start a session here, or with tether new in a terminal.', 'Start session', () => go('/new')]
          : ['Nothing waits for you', working > 0 ? `${working === 1 ? '1 agent works' : `${working} agents work`}.` : 'No agent works.', 'See sessions', () => go('/sessions')];
    if (node.dataset.title === title + text) return;
    node.dataset.title = title + text;
    if (!title) {
      node.replaceChildren(el('div', { class: 'skeletons', 'aria-hidden': 'true' }, el('div', { class: 'skeleton card-size' }), el('div', { class: 'skeleton card-size' })));
      return;
    }
    node.replaceChildren(icon(sessions.length === 0 ? 'plus' : 'done'), el('h2', { text: title }), el('p', { text }), el('button', { class: 'btn', text: button, on: { click: run } }));
  }

  #filters() {
    const open = store.open.peek();
    const pick = (next) => () => { filter.value = next; dialog.close(); };
    const agents = [...new Set(open.map((approval) => agentOf(store.sessions.peek().get(approval.session_id))))];
    const sessions = [...new Set(open.map((approval) => approval.session_id))];
    const dialog = sheet('Show', [
      line('All', plural(open.length, 'open approval'), pick({})),
      ...(agents.length > 1 ? agents.map((agent) => line(agent, 'Of this agent', pick({ agent }))) : []),
      ...sessions.map((session) => line(nameOf(store.sessions.peek().get(session)), 'Of this session', pick({ session }))),
    ]);
  }
}

export const inbox = part('tether-inbox', Inbox);

/// Beside a session where there is room: the selected approval, and below it what else is open.
class AnswerPane extends Part {
  build() {
    this.className = 'answer-pane';
    const first = el('section', { class: 'cards', 'aria-label': 'Selected approval' });
    const rest = el('section', { class: 'cards', 'aria-label': 'Also open' });
    const title = el('h2', { class: 'also', text: 'Also open' });
    const empty = el('div', { class: 'empty' }, icon('done'), el('h2', { text: 'Nothing waits for you' }));
    const clear = el('button', { class: 'quiet', on: { click: () => store.forgetAnswered() } });
    this.append(first, title, rest, clear, empty);
    const made = new Map();
    effect(() => {
      const all = [...store.approvals.value.values()].sort((a, b) => a.requested_at.localeCompare(b.requested_at));
      const chosen = all.find((approval) => approval.id === selected.value) ?? null;
      untracked(() => {
        const ids = new Set(all.map((approval) => approval.id));
        for (const [id, one] of made) if (!ids.has(id)) { one.remove(); made.delete(id); }
        for (const approval of all) {
          let one = made.get(approval.id);
          if (!one) {
            one = card([approval]);
            made.set(approval.id, one);
          } else if (one.approvals.peek()[0] !== approval) one.approvals.value = [approval];
          const home = approval === chosen ? first : rest;
          if (one.parentElement !== home) {
            home.append(one);
            one.rearm();
          }
        }
      });
      const answered = all.filter((approval) => approval.state !== 'open').length;
      clear.hidden = answered === 0;
      setText(clear, `Clear ${answered} answered`);
      title.hidden = rest.childElementCount === 0 || !chosen;
      empty.hidden = all.length > 0;
    });
  }
}

export const answerPane = part('tether-answers', AnswerPane);

/// Selects the next (1) or the one before (-1) of the open approvals.
export function step(by) {
  const open = store.open.peek();
  if (open.length === 0) return;
  const at = open.findIndex((approval) => approval.id === selected.peek());
  const next = open[at < 0 ? 0 : Math.min(open.length - 1, Math.max(0, at + by))];
  selected.value = next.id;
  const node = document.querySelector(`approval-card[data-approval="${CSS.escape(next.id)}"]`);
  node?.scrollIntoView({ block: 'nearest' });
  node?.focus({ preventScroll: true });
}

/// While there is room for it, something open is always selected.
export function keepSelected() {
  effect(() => {
    const open = store.open.value;
    const current = store.approvals.value.get(selected.value);
    // One that was answered stays in sight until its end is known; the person goes on with "next".
    if (wide.value && open.length > 0 && !current) selected.value = open[0].id;
  });
}
