// The session's events as they are in the log: filtered, opened, taken away as a file.

import { copier, el } from '../core/dom.js';
import { Part, part } from '../core/part.js';
import { effect, onEnd, signal, untracked } from '../core/reactive.js';
import { VirtualList } from '../core/virtual.js';
import { eventsAfter, exportLink } from '../data/api.js';
import { clock, number } from '../words.js';
import { sheet } from '../core/sheet.js';
import { showText } from './text.js';

class EventsTab extends Part {
  session = null;
  feed = null;

  build() {
    this.className = 'tab-pane events-tab';
    const filter = signal('');
    const field = el('input', { type: 'search', placeholder: 'Filter: a type or a word', 'aria-label': 'Filter events', autocomplete: 'off', on: { input: () => { filter.value = field.value.trim().toLowerCase(); } } });
    const count = el('span', { class: 'meta' });
    const scroll = el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Events' });
    const list = new VirtualList(scroll, { key: (event) => event.seq, guess: () => 44, make: row });
    scroll.append(list.node);
    this.append(el('div', { class: 'tools-bar' }, field, count, el('button', { class: 'quiet', text: 'Export', on: { click: () => this.#export() } })), scroll);
    let atEnd = true;
    scroll.addEventListener('scroll', () => { atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 48; }, { passive: true });
    effect(() => {
      this.feed.model.value;
      const wanted = filter.value;
      const all = this.feed.raw;
      const shown = wanted === '' ? all : all.filter((event) => event.type.includes(wanted) || JSON.stringify(event.data).toLowerCase().includes(wanted));
      untracked(() => { list.items = shown.slice(); });
      count.textContent = wanted === '' ? number(all.length) : `${number(shown.length)} of ${number(all.length)}`;
      if (atEnd) requestAnimationFrame(() => { scroll.scrollTop = scroll.scrollHeight; });
    });
    onEnd(() => list.end());
  }

  #export() {
    const dialog = sheet('Export', [['jsonl', 'JSONL', 'Every event as it is in the log'], ['md', 'Markdown', 'What was said and done, to read'], ['html', 'Web page', 'The same, in one file']].map(([format, title, about]) => el('button', { class: 'line', on: { click: () => { dialog.close(); this.#take(format); } } }, el('b', { text: title }), el('small', { text: about }))));
  }

  // The daemon makes the files; one that cannot yet still gives its events.
  async #take(format) {
    const link = exportLink(this.session, format);
    const answer = await fetch(link, { credentials: 'same-origin' }).catch(() => null);
    if (answer?.ok) return save(await answer.blob(), `${this.session}.${format}`);
    if (format === 'jsonl' && answer?.status === 404) {
      const text = await this.#readAll();
      return save(new Blob([text], { type: 'application/jsonl' }), `${this.session}.jsonl`);
    }
    return showText('Not exported', answer ? `The daemon answered ${answer.status}. Try again; details are in its log.` : 'The daemon cannot be reached.');
  }

  async #readAll() {
    const last = this.feed.raw[this.feed.raw.length - 1]?.seq ?? 0;
    const stop = new AbortController();
    const lines = [];
    const reader = (await eventsAfter(this.session, 0, stop.signal)).body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (let done = false; !done;) {
      const { value, done: ended } = await reader.read();
      if (ended) break;
      const parts = (rest + value).split('\n');
      rest = parts.pop();
      for (const text of parts) {
        if (!text.startsWith('data: ')) continue;
        lines.push(text.slice(6));
        if (JSON.parse(text.slice(6)).seq >= last) done = true;
      }
    }
    stop.abort();
    return `${lines.join('\n')}\n`;
  }
}

function save(blob, name) {
  const link = el('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function row(event) {
  const text = JSON.stringify(event.data);
  return el('button', { class: 'event', on: { click: () => {
    const all = JSON.stringify(event, null, 2);
    if (all.length > 20_000) showText(`${event.seq} ${event.type}`, all);
    else sheet(`${event.seq} ${event.type}`, [el('div', { class: 'sheet-tools' }, el('span', { class: 'meta', text: event.ts }), copier(all)), el('pre', { class: 'out full', text: all, tabindex: 0 })], { wide: true });
  } } }, el('span', { class: 'seq', text: event.seq }), el('b', { text: event.type }), el('span', { class: 'meta', text: clock(event.ts) }), el('code', { class: 'cut', text: text.length > 200 ? `${text.slice(0, 200)}…` : text }));
}

export const eventsTab = part('tether-events', EventsTab);
