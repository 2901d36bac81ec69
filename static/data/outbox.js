// What the person said and decided, on its way to the daemon. It waits for a connection and over a reload, and is
// sent again when the line was lost: an input has its own id and an approval is answered once, so twice is once.

import { forget, keep, recall } from '../core/keep.js';
import { signal } from '../core/reactive.js';

/// Events: `refused` (detail: `{item, error}`), `done` (detail: `{item, result}`).
export class Outbox extends EventTarget {
  /// What waits or is under way, by key. Items: `{key, kind: 'answer'|'input', frame, at, sent}`.
  items = signal(new Map());

  #wire;

  constructor(wire) {
    super();
    this.#wire = wire;
    wire.addEventListener('back', () => this.#sendAll());
  }

  async recall() {
    const kept = await recall('outbox');
    for (const item of kept ?? []) if (!this.items.peek().has(item.key)) this.items.peek().set(item.key, { ...item, sent: false });
    if (kept?.length) this.items.touch();
    if (this.#wire.online.peek()) this.#sendAll();
  }

  answer(approval, words) {
    return this.#put({ key: `answer:${approval}`, kind: 'answer', frame: { type: 'answer', approval_id: approval, ...words } });
  }

  /// `images` as the API takes them.
  input(session, text, images, id = uuid()) {
    return this.#put({ key: `input:${id}`, kind: 'input', session, frame: { type: 'input', session_id: session, text, input_id: id, ...(images?.length ? { images } : {}) } });
  }

  /// Takes back what was not sent yet. False if it is on its way.
  takeBack(key) {
    const item = this.items.peek().get(key);
    if (!item || item.sent) return false;
    this.#drop(item);
    return true;
  }

  #put(item) {
    const items = this.items.peek();
    if (items.has(item.key)) return items.get(item.key);
    items.set(item.key, { ...item, at: Date.now(), sent: false });
    this.items.touch();
    this.#keep();
    this.#send(items.get(item.key));
    return items.get(item.key);
  }

  #sendAll() {
    // In the order in which they were given.
    for (const item of this.items.peek().values()) this.#send(item);
  }

  async #send(item) {
    if (item.sent || !this.#wire.online.peek()) return;
    item.sent = true;
    this.items.touch();
    try {
      const result = await this.#wire.request(item.frame);
      this.#drop(item);
      this.dispatchEvent(new CustomEvent('done', { detail: { item, result } }));
    } catch (error) {
      if (error.code === 'OFFLINE') {
        item.sent = false;
        this.items.touch();
        return;
      }
      this.#drop(item);
      this.dispatchEvent(new CustomEvent('refused', { detail: { item, error } }));
    }
  }

  #drop(item) {
    if (this.items.peek().get(item.key) !== item) return;
    this.items.peek().delete(item.key);
    this.items.touch();
    this.#keep();
  }

  #keep() {
    const items = [...this.items.peek().values()];
    if (items.length === 0) forget('outbox');
    else keep('outbox', items);
  }
}

/// `crypto.randomUUID` is not there on plain http beyond this machine.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
