// A session's events as they come: first the newest stretch, older ones when they are asked for.

import { signal } from '../core/reactive.js';
import { keep, recall } from '../core/keep.js';
import { wire } from '../context.js';
import { Model } from './model.js';

/// So many events are read when a session is opened, and four times as many with each step back.
const STRETCH = 3000;
/// What came is drawn this often, in milliseconds.
const BEAT = 40;
/// So many raw events are kept for the Events tab.
const RAW = 5000;
/// So many are kept over a reload, for when the daemon does not answer.
const KEPT = 300;

export class Feed {
  /// Touched when its rows are others.
  model = signal(new Model());
  /// `loading`, `live`, `kept` (from the browser's memory), `gone`.
  state = signal('loading');
  /// Whether there are events before the first one here.
  earlier = signal(false);
  raw = [];
  /// Why it is gone.
  error = null;

  #id;
  #stop = null;
  #waiting = [];
  #timer = null;
  #stretch = STRETCH;
  #first = 0;
  /// What is being read anew, to take the place of what is shown once it is whole.
  #next = null;
  #keepTimer = null;
  #over = false;

  constructor(id) {
    this.#id = id;
    this.#recall();
    this.#follow(0, true);
  }

  end() {
    this.#over = true;
    this.#stop?.();
    clearTimeout(this.#timer);
    clearTimeout(this.#keepTimer);
    if (this.state.peek() === 'live') this.#keep();
  }

  /// Reads further back.
  readEarlier() {
    if (!this.earlier.peek() || this.#next) return;
    this.#stretch *= 4;
    this.#follow(0, true);
  }

  #follow(after, mayShorten) {
    this.#stop?.();
    // Who reads far back keeps more.
    const steps = this.#stretch / STRETCH;
    const next = { model: new Model(20_000 * steps, 8_000_000 * steps), raw: [], first: after, cut: false };
    this.#next = next;
    let mine = true;
    const stop = wire.follow(this.#id, after, {
      began: (last) => {
        // Of a long session only the newest stretch: the first answer tells how long it is.
        if (!mine || !mayShorten || this.#next !== next || last - after <= this.#stretch) return;
        mine = false;
        this.#follow(last - this.#stretch, false);
      },
      events: (events) => {
        if (!mine) return;
        if (this.#next === next) {
          // What did not fit can be asked for as well.
          if (next.model.add(events)) next.cut = true;
          next.raw.push(...events);
          if (next.raw.length > 2 * RAW) next.raw = next.raw.slice(-RAW);
        } else this.#hear(events);
      },
      caughtUp: () => {
        if (!mine || this.#next !== next) return;
        this.#next = null;
        this.#first = next.first;
        this.raw = next.raw;
        this.earlier.value = next.first > 0 || next.cut;
        this.model.value = next.model;
        this.state.value = 'live';
        this.#keepTimer ??= setTimeout(() => this.#keep(), 1000);
      },
      deleted: (error) => {
        if (!mine) return;
        this.error = error?.message ?? 'It was deleted.';
        this.state.value = 'gone';
      },
      again: () => { if (mine) this.#follow(0, true); },
    });
    this.#stop = () => { mine = false; stop(); };
  }

  #hear(events) {
    this.#waiting.push(...events);
    this.#timer ??= setTimeout(() => this.#draw(), BEAT);
  }

  #draw() {
    this.#timer = null;
    const events = this.#waiting;
    this.#waiting = [];
    this.raw.push(...events);
    if (this.raw.length > 2 * RAW) this.raw = this.raw.slice(-RAW);
    if (this.model.peek().add(events)) this.earlier.value = true;
    this.model.touch();
    this.#keepTimer ??= setTimeout(() => this.#keep(), 5000);
  }

  #keep() {
    this.#keepTimer = null;
    const events = this.raw.slice(-KEPT);
    if (events.length > 0) keep(`events:${this.#id}`, { at: Date.now(), events });
  }

  async #recall() {
    const kept = await recall(`events:${this.#id}`);
    if (!kept || this.#over || this.state.peek() !== 'loading') return;
    const model = new Model();
    model.add(kept.events);
    this.raw = kept.events;
    this.model.value = model;
    this.earlier.value = kept.events[0]?.seq > 1;
    this.state.value = 'kept';
  }
}
