// One session: its transcript, live, what it asks, and the field to speak to it.

import { startSession } from './api.js';
import { card } from './approval.js';
import { alarm, el, icon, state } from './dom.js';
import { MOST_ROWS, Transcript } from './transcript.js';
import { nameOf, place, stateOf } from './words.js';

/// As near to the end as this counts as reading along.
const NEAR_END = 48;
/// Streamed words are drawn this often, in milliseconds.
const BEAT = 40;
/// Long enough to read what came of an answer.
const READ = 4000;

const drafts = new Map();

export class SessionView {
  #app;
  #id;
  #transcript = new Transcript();
  #cards = new Map();
  #asks = el('section', { class: 'asks', 'aria-label': 'Open approvals of this session' });
  #title = el('h1');
  #sub = el('div', { class: 'sub' });
  #stop = el('button', { class: 'icon', 'aria-label': 'Interrupt', on: { click: () => this.#interrupt() } }, icon('stop'));
  #field;
  #send = el('button', { class: 'send', 'aria-label': 'Send', on: { click: () => this.#say() } }, icon('send'));
  #failure = el('p', { class: 'why', role: 'alert', hidden: true });
  #latest = el('button', { class: 'jump', hidden: true, on: { click: () => this.#toEnd() } });
  #scroll;
  #follows = true;
  #unfollow;
  #loading = el('div', { class: 'stamp', text: 'Loading…' });
  /// Events that are not drawn yet: the backlog until it is whole, then what comes within one beat.
  #waiting = [];
  #timer = null;
  #caughtUp = false;

  constructor(app, id) {
    this.#app = app;
    this.#id = id;
    this.#field = el('textarea', { rows: 1, 'aria-label': 'Message', enterkeyhint: 'enter', on: { input: () => this.#typed(), keydown: (event) => this.#key(event) } });
    this.#field.value = drafts.get(id) ?? '';
    this.#scroll = el('div', { class: 'scroll', tabindex: 0, on: { scroll: () => this.#scrolled() } }, this.#loading, this.#transcript.node, this.#asks);
    this.node = el('main', { class: 'pane session' },
      el('header', { class: 'bar has-back' }, el('button', { class: 'icon back', 'aria-label': 'Back', on: { click: () => app.go('/') } }, icon('back')),
        el('div', { class: 'grow' }, this.#title, this.#sub), this.#stop),
      app.banner(), this.#scroll,
      el('footer', { class: 'foot' }, this.#latest, this.#failure, el('div', { class: 'in' }, this.#field, this.#send)));
    this.#unfollow = app.wire.follow(id, {
      events: (events) => this.#hear(events),
      caughtUp: () => {
        this.#caughtUp = true;
        this.#loading.hidden = true;
        this.#draw();
      },
      deleted: (error) => this.#gone(error),
      again: () => {
        this.#waiting = [];
        this.#transcript.clear();
      },
    });
    this.#typed();
  }

  end() {
    this.#unfollow();
    clearTimeout(this.#timer);
    for (const shown of this.#cards.values()) shown.end();
  }

  update() {
    const { store } = this.#app;
    const session = store.sessions.get(this.#id);
    if (!session) return;
    const open = store.open(this.#id);
    this.#title.textContent = nameOf(session);
    const [glyphName, word] = stateOf(session, open.length > 0);
    this.#sub.replaceChildren(state(glyphName, word), el('span', { class: 'meta cut', text: place(session.directory, 30) }));
    this.#stop.hidden = session.state !== 'RUNNING';
    const queues = session.state === 'RUNNING' || session.state === 'INTERRUPTING';
    this.#field.placeholder = queues ? 'Queue a message' : 'Message';
    this.#send.setAttribute('aria-label', queues ? 'Queue' : 'Send');
    for (const approval of store.approvals.values()) {
      if (approval.session_id !== this.#id) continue;
      const shown = this.#cards.get(approval.id);
      if (shown) shown.update(approval);
      else if (approval.state === 'open') {
        const made = card(this.#app, approval, { inline: true });
        this.#cards.set(approval.id, made);
        this.#asks.append(made.node);
      }
    }
    for (const [id, shown] of this.#cards) {
      if (this.#isOver(shown, store.approvals.get(id))) {
        shown.end();
        shown.node.remove();
        this.#cards.delete(id);
      }
    }
    this.#stick();
    this.#jump();
  }

  /// An answered card stays until what came of it could be read; the transcript tells it, too.
  #isOver(shown, approval) {
    if (!approval) return true;
    if (approval.state === 'open') return false;
    if (!shown.answeredAt) {
      shown.answeredAt = Date.now();
      for (const wait of [READ, 5 * READ]) setTimeout(() => this.update(), wait + 50);
    }
    const passed = Date.now() - shown.answeredAt;
    const settled = approval.outcome !== null || approval.state === 'cancelled' || approval.run === null;
    return passed >= (settled ? READ : 5 * READ);
  }

  connection() {
    for (const shown of this.#cards.values()) shown.connection();
  }

  tick() {}

  #hear(events) {
    this.#waiting.push(...events);
    if (!this.#caughtUp && this.#waiting.length > 2 * MOST_ROWS) {
      this.#transcript.skipped();
      this.#waiting = this.#waiting.slice(-MOST_ROWS);
    }
    if (this.#caughtUp) this.#timer ??= setTimeout(() => this.#draw(), BEAT);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#waiting.length > MOST_ROWS) this.#transcript.skipped();
    this.#transcript.add(this.#waiting.slice(-MOST_ROWS));
    this.#waiting = [];
    this.#stick();
  }

  #gone(error) {
    this.#loading.hidden = true;
    this.#transcript.node.append(el('div', { class: 'note bad' }, el('div', {}, el('b', { text: 'This session is gone' }), el('p', { text: error?.message ?? 'It was deleted.' }))));
    this.#stick();
  }

  #key(event) {
    // On a keyboard Enter sends; on touch it breaks the line. Ctrl or Cmd with Enter sends everywhere.
    const sends = event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey || (!event.shiftKey && matchMedia('(pointer: fine)').matches));
    if (!sends) return;
    event.preventDefault();
    this.#say();
  }

  #typed() {
    drafts.set(this.#id, this.#field.value);
    this.#send.disabled = this.#field.value.trim() === '';
    this.#field.rows = Math.min(6, Math.max(1, this.#field.value.split('\n').length));
  }

  async #say() {
    const text = this.#field.value;
    if (text.trim() === '') return;
    this.#field.value = '';
    this.#typed();
    this.#fail(null);
    this.#follows = true;
    try {
      // The same id again is the same input, so it may be sent anew after a lost connection.
      const session = this.#app.store.sessions.get(this.#id);
      if (session?.state === 'CREATED') await startSession(this.#id, text);
      else await this.#app.wire.request({ type: 'input', session_id: this.#id, text, input_id: uuid() }, { keep: true }).promise;
    } catch (error) {
      if (this.#field.value === '') {
        this.#field.value = text;
        this.#typed();
      }
      this.#fail(`Not sent: ${error.message}`);
    }
  }

  async #interrupt() {
    this.#stop.disabled = true;
    this.#fail(null);
    try {
      await this.#app.wire.request({ type: 'interrupt', session_id: this.#id }).promise;
    } catch (error) {
      this.#fail(`Not interrupted: ${error.message}`);
    } finally {
      this.#stop.disabled = false;
    }
  }

  #fail(text) {
    this.#failure.hidden = text === null;
    this.#failure.textContent = text ?? '';
    if (text) alarm(text);
  }

  #scrolled() {
    this.#follows = this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END;
    this.#jump();
  }

  #stick() {
    if (this.#follows) this.#toEnd();
    else this.#jump();
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #jump() {
    const open = this.#app.store.open(this.#id).length;
    this.#latest.hidden = this.#follows;
    this.#latest.replaceChildren(open > 0 ? state('ask', `${open} need${open === 1 ? 's' : ''} answer`) : 'Latest', icon('down'));
  }
}

/// `crypto.randomUUID` is not there on plain http beyond this machine.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
