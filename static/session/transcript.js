// The transcript: the rows of the model, drawn as they come into sight; it sticks to the end until the person scrolls.

import { card } from '../approval/card.js';
import { whenCalm } from '../core/calm.js';
import { el, setText } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, onEnd, signal, untracked } from '../core/reactive.js';
import { VirtualList } from '../core/virtual.js';
import { scrolled, selected, store, wide } from '../context.js';
import { restart } from '../sessions/actions.js';
import { plural } from '../words.js';
import { draw, grow } from './rows.js';

/// As near to the end as this counts as reading along.
const NEAR = 48;
/// Long enough to read what came of an answer, in milliseconds.
const READ = 4000;

const GUESS = { me: 80, say: 120, think: 56, tools: 56, tool: 56, asked: 56, note: 72, stamp: 30, odd: 56 };

class Transcript extends Part {
  /// The session's id and its feed.
  session = null;
  feed = null;

  #follows = true;
  #scroll;
  #list;

  build() {
    this.className = 'transcript';
    const { session, feed } = this;
    const earlier = el('button', { class: 'quiet earlier', hidden: true, text: 'Show earlier', on: { click: () => feed.readEarlier() } });
    const loading = el('div', { class: 'skeletons', hidden: true, 'aria-hidden': 'true' }, [1, 2, 3].map(() => el('div', { class: 'skeleton row-size' })));
    const gone = el('div', { class: 'note bad', hidden: true });
    const asks = el('section', { class: 'asks', 'aria-label': 'Open approvals of this session' });
    const live = el('div', { class: 'live', hidden: true });
    const scroll = el('div', { class: 'scroll', tabindex: 0, 'aria-label': 'Transcript', role: 'region', data: { scroll: session } });
    this.#scroll = scroll;
    const context = {
      again: (row) => { row.v += 1; this.#list.draw(); },
      show: (id) => this.#show(id),
      directory: () => store.sessions.peek().get(session)?.directory,
      isLast: (row) => feed.model.peek().rows.slice(-4).includes(row) && store.sessions.peek().get(session)?.state === 'ERROR',
      tryAgain: () => restart(store.sessions.peek().get(session)),
    };
    const list = new VirtualList(scroll, {
      key: (row) => row.key,
      guess: (row) => (row.kind === 'say' ? 30 + Math.ceil(row.text.length / 50) * 22 : GUESS[row.kind] ?? 56),
      make: () => el('div', { class: 'entry' }),
      refresh: (node, row) => {
        if (node.row === row && node.shownVersion === row.v) return;
        const growing = node.row === row && row.kind === 'say' && grow(node, row);
        node.row = row;
        node.shownVersion = row.v;
        if (growing) return;
        node.className = row.nested ? 'entry nested' : 'entry';
        node.dataset.kind = row.kind;
        node.replaceChildren(draw[row.kind](row, context));
        node.shownLength = row.text?.length ?? 0;
      },
      follows: () => this.#follows,
      settled: () => this.#stick(),
    });
    this.#list = list;
    list.node.classList.add('t');
    list.node.setAttribute('role', 'log');
    list.node.setAttribute('aria-live', 'off');
    list.node.setAttribute('aria-label', 'Transcript');
    const jump = el('button', { class: 'jump', hidden: true, on: { click: () => this.jump() } });
    scroll.append(el('div', { class: 't-head' }, earlier, loading), list.node, live, asks, gone);
    this.append(this.#plan(), scroll, jump);
    this.jumpButton = jump;

    effect(() => {
      const rows = feed.model.value.rows;
      untracked(() => { list.items = rows; });
    });
    effect(() => { earlier.hidden = !feed.earlier.value || feed.state.value === 'kept'; });
    effect(() => {
      const from = feed.state.value;
      gone.hidden = from !== 'gone';
      if (from === 'gone') gone.replaceChildren(el('div', {}, el('b', { text: 'This session is gone' }), el('p', { text: feed.error })));
      clearTimeout(this.skeletonTimer);
      loading.hidden = true;
      if (from === 'loading') this.skeletonTimer = setTimeout(() => { loading.hidden = feed.state.peek() !== 'loading'; }, 150);
    });
    // What runs now, with its seconds.
    const tick = signal(0);
    const clockTimer = setInterval(() => { tick.value += 1; }, 1000);
    effect(() => {
      tick.value;
      const { running, working } = feed.model.value;
      const at = store.session(session).value;
      const busy = at?.state === 'RUNNING' && !store.openBySession.value.has(session) && working && feed.state.value === 'live';
      live.hidden = !busy;
      if (!busy) return;
      const seconds = running ? Math.max(0, Math.round((Date.now() - running.since) / 1000)) : 0;
      const words = running ? `${running.name}${seconds > 1 ? ` · ${seconds} s` : ''}` : 'Working';
      if (live.dataset.text === words) return;
      live.dataset.text = words;
      if (live.firstElementChild) setText(live.lastElementChild, words);
      else live.append(state('work', ''), el('span', { text: words }));
      this.#stick();
    });
    this.#cards(asks);
    const reach = () => { if (scroll.scrollTop < 200 && feed.earlier.peek() && feed.state.peek() === 'live' && !this.#follows) feed.readEarlier(); };
    // The first upward move lets go.
    let before = 0;
    scroll.addEventListener('scroll', () => {
      const end = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
      if (scroll.scrollTop < before - 2 && end > NEAR) this.#follows = false;
      else if (end <= NEAR) this.#follows = true;
      before = scroll.scrollTop;
      reach();
      this.#drawJump();
    }, { passive: true });
    // Who is still at the top when a stretch has come gets the next one: nothing scrolls that would tell of it.
    effect(() => { feed.model.value; requestAnimationFrame(() => requestAnimationFrame(reach)); });
    scroll.addEventListener('wheel', (event) => { if (event.deltaY < 0 && scroll.scrollHeight > scroll.clientHeight) this.#follows = false; }, { passive: true });
    effect(() => { store.open.value; this.#drawJump(); });
    // Where it was left.
    const left = scrolled.get(session);
    if (left !== undefined) {
      this.#follows = false;
      requestAnimationFrame(() => { scroll.scrollTop = left; });
    }
    onEnd(() => {
      if (this.#follows) scrolled.delete(session);
      else scrolled.set(session, scroll.scrollTop);
      clearInterval(clockTimer);
      clearTimeout(this.skeletonTimer);
      list.end();
    });
  }

  /// The plan or to-do list, pinned; one line until it is opened.
  #plan() {
    const node = el('details', { class: 'plan-pin', hidden: true });
    const head = el('summary');
    const items = el('ol');
    node.append(head, items);
    const plan = computed(() => this.feed.model.value.plan);
    effect(() => {
      const steps = plan.value;
      node.hidden = !steps || steps.length === 0;
      if (node.hidden) return;
      const done = steps.filter((step) => step.state === 'completed').length;
      const current = steps.find((step) => step.state === 'in_progress' || step.state === 'inProgress') ?? steps.find((step) => step.state !== 'completed');
      head.replaceChildren(icon('plan'), el('span', { class: 'cut', text: current ? current.text : 'All done' }), el('span', { class: 'meta', text: `${done} of ${steps.length}` }), icon('down'));
      items.replaceChildren(...steps.map((step) => el('li', { class: step.state }, state(step.state === 'completed' ? 'good' : step.state === 'pending' ? 'todo' : 'work', ''), el('span', { text: step.text }))));
    });
    return node;
  }

  /// The open approvals of this session stand below what is said; where there is room they stand beside.
  #cards(asks) {
    const cards = new Map();
    const leaving = new Map();
    const drop = (id) => {
      leaving.delete(id);
      whenCalm(`card ${id}`, () => { cards.get(id)?.remove(); cards.delete(id); });
    };
    effect(() => {
      const all = [...store.approvals.value.values()].filter((approval) => approval.session_id === this.session);
      const beside = wide.value;
      untracked(() => {
        for (const approval of beside ? [] : all) {
          const made = cards.get(approval.id);
          if (made) { if (made.approvals.peek()[0] !== approval) made.approvals.value = [approval]; }
          else if (approval.state === 'open') {
            const fresh = card([approval], { inline: true });
            cards.set(approval.id, fresh);
            asks.append(fresh);
          }
          // An answered one stays until what came of it could be read; the transcript tells it, too.
          if (approval.state !== 'open' && cards.has(approval.id)) {
            clearTimeout(leaving.get(approval.id));
            const settled = approval.outcome || approval.state === 'cancelled' || !approval.run;
            leaving.set(approval.id, setTimeout(() => drop(approval.id), settled ? READ : 5 * READ));
          }
        }
        for (const id of cards.keys()) if (beside || !all.some((approval) => approval.id === id)) drop(id);
      });
      this.#stick();
    });
    onEnd(() => { for (const timer of leaving.values()) clearTimeout(timer); });
  }

  #show(id) {
    selected.value = id;
    const node = document.querySelector(`approval-card[data-approval="${CSS.escape(id)}"]`);
    if (!node) return;
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
  }

  #stick() {
    if (this.#follows) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#drawJump();
  }

  /// To the end, and along with it from now on.
  jump() {
    this.#follows = true;
    this.#stick();
  }

  #drawJump() {
    const open = wide.peek() ? 0 : (store.openBySession.peek().get(this.session)?.length ?? 0);
    const what = this.#follows ? '' : open > 0 ? `${plural(open, 'needs answer', 'need answer')}` : 'Latest';
    if (this.jumpButton.dataset.text === what) return;
    this.jumpButton.dataset.text = what;
    this.jumpButton.hidden = what === '';
    this.jumpButton.replaceChildren(...(open > 0 ? [state('ask', what)] : [el('span', { text: what })]), icon('down'));
  }
}

export const transcript = part('tether-transcript', Transcript);
