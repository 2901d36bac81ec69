// A long list of which only what is in sight stands in the page. Rows may be of any height: unknown ones are
// guessed, seen ones are measured, and what is read stays where it is while heights above it become known.

import { el } from './dom.js';

/// So many pixels above and below the pane are drawn too.
const MARGIN = 700;

export class VirtualList {
  node = el('div', { class: 'virtual' });

  #scroller;
  #options;
  #items = [];
  #keys = [];
  /// Where each row begins, from the top of the list; one more than rows, the last is the whole height.
  #tops = new Float64Array(1);
  #heights = new Map();
  #rows = new Map();
  #inner = el('div', { class: 'virtual-rows' });
  #range = [0, 0];
  #frame = null;
  #sizes;
  #width = 0;

  /// `options`: `key(item)`, `make(item)` gives a row's element, `refresh(element, item, index)` brings one up to date
  /// (optional), `guess(item)` its likely height, `moved()` is told after each drawing (optional).
  constructor(scroller, options) {
    this.#scroller = scroller;
    this.#options = options;
    this.node.append(this.#inner);
    this.#sizes = new ResizeObserver((entries) => this.#measured(entries));
    scroller.addEventListener('scroll', () => this.#draw(), { passive: true });
    const panes = new ResizeObserver(() => this.draw());
    panes.observe(scroller);
    this.end = () => {
      cancelAnimationFrame(this.#frame);
      this.#sizes.disconnect();
      panes.disconnect();
    };
  }

  get items() { return this.#items; }
  get height() { return this.#tops[this.#items.length] ?? 0; }
  /// How many rows stand in the page.
  get drawn() { return this.#rows.size; }

  set items(items) {
    const anchor = this.#anchor();
    this.#items = items;
    this.#keys = items.map(this.#options.key);
    if (this.#heights.size > 4 * items.length + 1000) this.#heights = new Map(this.#keys.filter((key) => this.#heights.has(key)).map((key) => [key, this.#heights.get(key)]));
    this.#layOut();
    this.#draw(true);
    this.#settle(anchor);
  }

  /// Draws at the next frame.
  draw() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#draw(true);
    });
  }

  /// The row that stands in the page for this key.
  row(key) { return this.#rows.get(key) ?? null; }

  indexOf(key) { return this.#keys.indexOf(key); }

  /// Brings a row into sight.
  show(index, block = 'start') {
    const top = this.#offset() + (this.#tops[index] ?? 0);
    const height = (this.#tops[index + 1] ?? 0) - (this.#tops[index] ?? 0);
    const [from, room] = [this.#scroller.scrollTop, this.#scroller.clientHeight];
    if (block === 'nearest') {
      if (top < from) this.#scroller.scrollTop = top - 40;
      else if (top + height > from + room) this.#scroller.scrollTop = top + height - room + 8;
    } else {
      this.#scroller.scrollTop = top - 60;
    }
    this.#draw(true);
  }

  /// The index of the first row that is in sight.
  first() { return this.#at(this.#scroller.scrollTop - this.#offset()); }

  /// How far the list begins below the top of what is scrolled.
  #offset() { return this.node.offsetTop; }

  #layOut() {
    const { guess } = this.#options;
    const tops = new Float64Array(this.#items.length + 1);
    let top = 0;
    for (let index = 0; index < this.#items.length; index += 1) {
      tops[index] = top;
      top += this.#heights.get(this.#keys[index]) ?? guess(this.#items[index]);
    }
    tops[this.#items.length] = top;
    this.#tops = tops;
    this.node.style.height = `${top}px`;
  }

  #at(y) {
    let [low, high] = [0, Math.max(0, this.#items.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #draw(anew = false) {
    if (!this.node.isConnected) return;
    const from = this.#scroller.scrollTop - this.#offset();
    const to = from + this.#scroller.clientHeight;
    const count = this.#items.length;
    const first = count === 0 ? 0 : this.#at(from - MARGIN);
    const last = count === 0 ? 0 : Math.min(count, this.#at(to + MARGIN) + 1);
    const [was, until] = this.#range;
    if (!anew && first >= was && last <= until && from - MARGIN / 2 >= this.#tops[was] && (to + MARGIN / 2 <= this.#tops[until] || until === count)) return;
    if (!anew && first === was && last === until) return;
    this.#range = [first, last];
    this.#inner.style.top = `${this.#tops[first] ?? 0}px`;
    const kept = new Set();
    let place = this.#inner.firstChild;
    for (let index = first; index < last; index += 1) {
      const [key, item] = [this.#keys[index], this.#items[index]];
      kept.add(key);
      let row = this.#rows.get(key);
      if (!row) {
        row = this.#options.make(item, index);
        row.virtualKey = key;
        this.#rows.set(key, row);
        this.#sizes.observe(row);
      }
      this.#options.refresh?.(row, item, index);
      if (row === place) place = place.nextSibling;
      else this.#inner.insertBefore(row, place);
    }
    for (const [key, row] of this.#rows) {
      if (kept.has(key)) continue;
      this.#sizes.unobserve(row);
      this.#rows.delete(key);
      row.remove();
    }
    this.#options.moved?.();
  }

  #measured(entries) {
    const anchor = this.#anchor();
    let changed = false;
    const width = this.node.clientWidth;
    if (width !== this.#width) {
      // Another width is another height for all.
      if (this.#width !== 0) this.#heights.clear();
      this.#width = width;
      changed = true;
    }
    for (const { target, borderBoxSize } of entries) {
      const height = borderBoxSize[0].blockSize;
      if (!target.isConnected || height === 0 || this.#heights.get(target.virtualKey) === height) continue;
      this.#heights.set(target.virtualKey, height);
      changed = true;
    }
    if (!changed) return;
    this.#layOut();
    this.#draw(true);
    this.#settle(anchor);
  }

  /// The row at the top of the pane, and where it stands.
  #anchor() {
    if (!this.node.isConnected || this.#options.follows?.()) return null;
    const top = this.#scroller.getBoundingClientRect().top;
    for (let index = this.#range[0]; index < this.#range[1]; index += 1) {
      const row = this.#rows.get(this.#keys[index]);
      const box = row?.getBoundingClientRect();
      if (box && box.bottom > top + 1) return { key: this.#keys[index], y: box.top };
    }
    return null;
  }

  /// Puts the row of before back to where it stood.
  #settle(anchor) {
    if (anchor) {
      const row = this.#rows.get(anchor.key);
      if (row?.isConnected) {
        const moved = row.getBoundingClientRect().top - anchor.y;
        if (Math.abs(moved) >= 1) this.#scroller.scrollTop += moved;
      } else {
        const index = this.indexOf(anchor.key);
        if (index >= 0) this.#scroller.scrollTop += this.#tops[index] + this.node.getBoundingClientRect().top - anchor.y;
      }
    }
    this.#options.settled?.();
  }
}
