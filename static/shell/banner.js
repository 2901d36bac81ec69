// What must be known about the connection and the daemon, under the bar of every screen.

import { whenCalm } from '../core/calm.js';
import { el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, signal } from '../core/reactive.js';
import { outbox, store, wire } from '../context.js';
import { clock, duration, plural } from '../words.js';

/// A gap shorter than this is not worth a word, in milliseconds.
const SHORT_GAP = 3000;
/// How long it is told that the line is back.
const TOLD = 4000;

const offline = signal(false);
const returned = signal(null);
let timer = null;

/// To be called once: watches the line.
export function watchLine() {
  effect(() => {
    clearTimeout(timer);
    if (wire.online.value) {
      offline.value = false;
      return;
    }
    timer = setTimeout(() => { offline.value = !wire.online.peek(); }, Math.max(0, SHORT_GAP - (Date.now() - (wire.since ?? Date.now()))));
  });
  let first = true;
  wire.addEventListener('back', ({ detail: gap }) => {
    if (!first && gap > SHORT_GAP) {
      returned.value = gap;
      setTimeout(() => { returned.value = null; }, TOLD);
    }
    first = false;
  });
}

const words = computed(() => {
  if (offline.value) {
    const waiting = outbox.items.value.size;
    return { kind: 'ask', sign: 'offline', text: `Offline since ${clock(wire.since)}. ${waiting > 0 ? `${plural(waiting, 'action waits', 'actions wait')}.` : 'Answers wait.'}`, retry: true };
  }
  const condition = store.condition.value;
  if (condition.state && condition.state !== 'healthy') return { kind: 'bad', sign: 'warn', text: condition.message ?? 'The daemon is in trouble. Look at its log.', retry: false };
  if (returned.value !== null) return { kind: 'good', sign: 'done', text: `Reconnected after ${duration(returned.value)}. Nothing was lost.`, retry: false };
  return null;
});

class Banner extends Part {
  build() {
    this.setAttribute('role', 'status');
    this.hidden = true;
    effect(() => {
      const told = words.value;
      const draw = () => {
        this.hidden = told === null;
        this.className = `banner ${told?.kind ?? ''}`;
        this.replaceChildren(...(told ? [icon(told.sign), el('span', { text: told.text }), told.retry ? el('button', { class: 'end', text: 'Retry', on: { click: () => wire.retry() } }) : null].filter(Boolean) : []));
      };
      // It takes room, and so moves what is below it.
      if (this.hidden !== (told === null)) whenCalm(this, draw);
      else draw();
    });
  }
}

export const banner = part('tether-banner', Banner);
