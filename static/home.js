// The first screen: what waits for an answer, then all sessions.

import { card } from './approval.js';
import { el, glyph, icon, state } from './dom.js';
import { age, deed, nameOf, place, stateOf } from './words.js';

export class Home {
  #app;
  #cards = new Map();
  #rows = new Map();
  #count = el('span', { class: 'meta' });
  #clear = el('button', { class: 'quiet', on: { click: () => this.#app.store.forgetAnswered() } });
  #inbox = el('section', { 'aria-label': 'Open approvals' });
  #list = el('section', { 'aria-label': 'Sessions' });
  #empty = el('div', { class: 'empty' });
  #scroll = el('div', { class: 'scroll' });
  #selected = null;

  constructor(app) {
    this.#app = app;
    this.#scroll.append(this.#inbox, this.#list, this.#empty);
    this.node = el('main', { class: 'pane home' },
      el('header', { class: 'bar' }, el('div', { class: 'grow' }, el('h1', { text: 'Tether' })), this.#count, this.#clear,
        el('button', { class: 'icon', 'aria-label': 'New session', on: { click: () => app.go('/new') } }, icon('plus'))),
      app.banner(), this.#scroll);
  }

  select(session) {
    this.#selected = session;
    for (const [id, row] of this.#rows) row.node.setAttribute('aria-current', String(id === session));
  }

  update() {
    const { store } = this.#app;
    const open = store.open();
    this.#count.textContent = open.length > 0 ? `${open.length} open` : '';
    const answered = store.approvals.size - open.length;
    this.#clear.hidden = answered === 0;
    this.#clear.textContent = `Clear ${answered} answered`;
    this.#drawCards(store);
    this.#drawRows(store, open);
    this.#drawEmpty(store);
  }

  // Cards keep their place: new ones come at the end, answered ones stay until they are cleared.
  #drawCards(store) {
    for (const [id, shown] of this.#cards) {
      if (!store.approvals.has(id)) {
        shown.end();
        shown.node.remove();
        this.#cards.delete(id);
      }
    }
    const all = [...store.approvals.values()].sort((a, b) => a.requested_at.localeCompare(b.requested_at));
    for (const approval of all) {
      const shown = this.#cards.get(approval.id);
      if (shown) {
        shown.update(approval);
      } else {
        const made = card(this.#app, approval);
        this.#cards.set(approval.id, made);
        this.#inbox.append(made.node);
      }
    }
  }

  #drawRows(store, open) {
    for (const [id, row] of this.#rows) {
      if (!store.sessions.has(id)) {
        row.node.remove();
        this.#rows.delete(id);
      }
    }
    const sessions = [...store.sessions.values()].sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at));
    let place = null;
    for (const session of sessions) {
      let row = this.#rows.get(session.id);
      if (!row) {
        row = this.#makeRow(session.id);
        this.#rows.set(session.id, row);
      }
      row.update(session, open.filter((approval) => approval.session_id === session.id));
      // Moved only when it must be: a row under a finger stays.
      const expected = place ? place.nextElementSibling : this.#list.firstElementChild;
      if (expected !== row.node) this.#list.insertBefore(row.node, expected);
      place = row.node;
    }
  }

  #makeRow(id) {
    const [name, when, shape, last, count] = [el('b'), el('span', { class: 'meta' }), el('span', { class: 'last' }), el('span', { class: 'cut' }), el('span', { class: 'count' })];
    const node = el('button', { class: 'row', 'aria-current': String(id === this.#selected), on: { click: () => this.#app.open(id) } }, name, when, shape, count);
    const row = { node, stamp: null };
    row.update = (session, open) => {
      name.textContent = nameOf(session);
      row.stamp = session.last_activity_at;
      when.textContent = age(row.stamp);
      const [glyphName, word] = stateOf(session, open.length > 0);
      last.textContent = open.length > 0 ? deed(open[0]) : place(session.directory);
      shape.replaceChildren(state(glyphName, word), last);
      count.hidden = open.length === 0;
      count.textContent = open.length;
      count.setAttribute('aria-label', `${open.length} open approvals`);
    };
    row.tick = () => { when.textContent = age(row.stamp); };
    return row;
  }

  #drawEmpty(store) {
    const none = store.loaded && store.sessions.size === 0;
    this.#empty.hidden = !none;
    if (none && this.#empty.childElementCount === 0) {
      this.#empty.append(glyph('new'), el('h2', { text: 'No agents yet' }), el('p', { text: 'Start a session here, or with tether new in a terminal.' }),
        el('button', { class: 'btn main', text: 'Start session', on: { click: () => this.#app.go('/new') } }));
    }
  }

  tick() {
    for (const row of this.#rows.values()) row.tick();
    for (const shown of this.#cards.values()) shown.tick();
  }

  connection() {
    for (const shown of this.#cards.values()) shown.connection();
  }
}
