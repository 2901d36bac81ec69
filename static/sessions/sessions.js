// All sessions, by directory: state, name, last line; search and filters; what can be done with one by gesture and menu.

import { el, setText } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect, onEnd, signal, untracked } from '../core/reactive.js';
import { line, sheet } from '../core/sheet.js';
import { VirtualList } from '../core/virtual.js';
import { go, now, open, path, scrolled, store } from '../context.js';
import { settings } from '../data/settings.js';
import { banner } from '../shell/banner.js';
import { age, agentOf, costOf, lastLine, money, nameOf, place, plural, stateOf } from '../words.js';
import { found } from '../elsewhere/found.js';
import { menu, remove, rename } from './actions.js';

const ROW = 64;
const HEAD = 32;

const search = signal('');
const filter = signal({ state: null, agent: null, archived: false });

/// What is shown, as rows of the list: a head for each directory, then its sessions, the newest first.
function rowsOf(sessions, openBySession, { text = '', state: wanted = null, agent = null, archived = false } = {}) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map();
  for (const session of sessions) {
    if (Boolean(session.archived) !== archived) continue;
    const waits = openBySession.get(session.id);
    if (wanted && stateOf(session, waits)[1] !== wanted) continue;
    if (agent && agentOf(session) !== agent) continue;
    if (words.length > 0) {
      const hay = `${nameOf(session)} ${session.directory} ${agentOf(session)} ${session.last_line ?? ''}`.toLowerCase();
      if (!words.every((word) => hay.includes(word))) continue;
    }
    const group = groups.get(session.directory ?? '');
    if (group) group.push(session);
    else groups.set(session.directory ?? '', [session]);
  }
  // What waits comes first, then what happened last.
  const rank = (session) => (openBySession.has(session.id) ? '1' : '0') + session.last_activity_at;
  const sorted = [...groups].map(([directory, list]) => [directory, list.sort((a, b) => rank(b).localeCompare(rank(a)))]);
  sorted.sort(([, a], [, b]) => rank(b[0]).localeCompare(rank(a[0])));
  return sorted.flatMap(([directory, list]) => [{ key: `d:${directory}`, directory, count: list.length }, ...list.map((session) => ({ key: session.id, session, waits: openBySession.get(session.id) ?? null }))]);
}

class Sessions extends Part {
  build() {
    this.className = 'pane sessions';
    const field = el('input', { type: 'search', placeholder: 'Search sessions', 'aria-label': 'Search sessions', enterkeyhint: 'search', autocomplete: 'off', on: { input: () => { search.value = field.value; }, keydown: (event) => { if (event.key === 'Escape') { field.value = search.value = ''; this.#searching(false); } } } });
    field.value = search.peek();
    this.field = field;
    this.searchBar = el('div', { class: 'search' }, field);
    const filters = el('button', { class: 'icon', 'aria-label': 'Filter', on: { click: () => this.#filters() } }, icon('filter'));
    const title = el('h1', { text: 'Sessions' });
    const sticky = el('div', { class: 'group sticky', hidden: true, 'aria-hidden': 'true' });
    const elsewhere = el('button', { class: 'row elsewhere', hidden: true, on: { click: () => go('/elsewhere') } }, el('b', { text: 'Elsewhere' }), icon('right'), el('span', { class: 'last' }));
    const empty = el('div', { class: 'empty', hidden: true });
    const scroll = el('div', { class: 'scroll', data: { scroll: 'sessions' } });
    const list = new VirtualList(scroll, {
      key: (item) => item.key,
      guess: (item) => (item.session ? ROW : HEAD),
      make: (item) => (item.session ? row() : head()),
      refresh: (node, item, index) => node.refresh(item, index),
      moved: () => stick(),
    });
    list.node.setAttribute('role', 'list');
    list.node.setAttribute('aria-label', 'Sessions');
    this.list = list;
    const stick = () => {
      // The directory of what is at the top.
      const items = list.items;
      if (items.length === 0 || scroll.scrollTop <= list.node.offsetTop) { sticky.hidden = true; return; }
      let index = list.first();
      while (index > 0 && items[index].session) index -= 1;
      sticky.hidden = false;
      const text = place(items[index].directory);
      if (sticky.dataset.text !== text) {
        sticky.dataset.text = text;
        sticky.replaceChildren(icon('folder'), text);
      }
    };
    scroll.addEventListener('scroll', stick, { passive: true });
    scroll.append(elsewhere, list.node, empty);
    this.append(el('header', { class: 'bar' }, el('div', { class: 'grow' }, title),
      el('button', { class: 'icon', 'aria-label': 'Search', on: { click: () => this.#searching(this.searchBar.hidden) } }, icon('find')), filters,
      el('button', { class: 'icon new', 'aria-label': 'New session', on: { click: () => go('/new') } }, icon('plus'))), this.searchBar, banner(), el('div', { class: 'stick-here' }, sticky), scroll);
    this.searchBar.hidden = search.peek() === '';

    effect(() => {
      const rows = rowsOf(store.sessions.value.values(), store.openBySession.value, { text: search.value, ...filter.value });
      untracked(() => { list.items = rows; });
      const hasAny = store.sessions.value.size > 0;
      empty.hidden = rows.length > 0;
      const filtered = search.value !== '' || filter.value.state || filter.value.agent || filter.value.archived;
      filters.classList.toggle('on', Boolean(filter.value.state || filter.value.agent || filter.value.archived));
      setText(title, filter.value.archived ? 'Archived' : 'Sessions');
      if (rows.length === 0) {
        if (store.from.value === 'nothing') empty.replaceChildren(el('div', { class: 'skeletons', 'aria-hidden': 'true' }, [1, 2, 3, 4].map(() => el('div', { class: 'skeleton row-size' }))));
        else if (filtered && hasAny) empty.replaceChildren(icon('find'), el('h2', { text: 'Nothing found' }), el('p', { text: 'No session fits the search and the filters.' }), el('button', { class: 'btn', text: 'Show all', on: { click: () => { field.value = search.value = ''; filter.value = { state: null, agent: null, archived: false }; } } }));
        else empty.replaceChildren(icon('plus'), el('h2', { text: 'No agents yet' }), el('p', { text: 'Start a session here, or with tether new in a terminal.' }), el('button', { class: 'btn main', text: 'Start session', on: { click: () => go('/new') } }));
      }
    });
    // Ages, and which one is shown.
    effect(() => { now.value; path.value; settings.seen.value; untracked(() => list.draw()); });
    effect(() => {
      const list = found.value;
      elsewhere.hidden = !list || list.length === 0;
      if (list) setText(elsewhere.lastElementChild, `${list.length} found on this machine`);
    });
    requestAnimationFrame(() => { scroll.scrollTop = scrolled.get('sessions') ?? 0; });
    onEnd(() => { scrolled.set('sessions', scroll.scrollTop); list.end(); });
  }

  /// Opens the search.
  find() { this.#searching(true); }

  #searching(on) {
    this.searchBar.hidden = !on;
    if (on) this.field.focus();
    else { this.field.value = ''; search.value = ''; }
  }

  #filters() {
    const sessions = [...store.sessions.peek().values()];
    const words = [...new Set(sessions.map((session) => stateOf(session, store.openBySession.peek().get(session.id))[1]))].sort();
    const agents = [...new Set(sessions.map(agentOf))].sort();
    const archived = sessions.filter((session) => session.archived).length;
    const pick = (change) => () => { filter.value = { state: null, agent: null, archived: false, ...change }; dialog.close(); };
    const dialog = sheet('Show', [
      line('All', plural(sessions.length - archived, 'session'), pick({})),
      ...words.map((word) => line(word, 'In this state', pick({ state: word }))),
      ...(agents.length > 1 ? agents.map((agent) => line(agent, 'Of this agent', pick({ agent }))) : []),
      archived > 0 ? line('Archived', plural(archived, 'session'), pick({ archived: true })) : null,
    ]);
  }

  /// Selects and opens the next (1) or the one before (-1).
  step(by) {
    const rows = this.list.items.filter((item) => item.session);
    const at = rows.findIndex((item) => `/s/${item.key}` === path.peek());
    const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (!next) return;
    open(next.key);
    this.list.show(this.list.indexOf(next.key), 'nearest');
  }
}

function head() {
  const node = el('div', { class: 'group', role: 'listitem' });
  node.refresh = ({ directory }) => {
    if (node.dataset.text === directory) return;
    node.dataset.text = directory;
    node.replaceChildren(icon('folder'), el('span', { class: 'cut', text: place(directory), title: directory }));
  };
  return node;
}

/// A session's row. Swiped to the left it shows Rename and Delete, which the menu has, too.
function row() {
  const [name, when, mark, words, cost, count] = [el('b'), el('span', { class: 'meta' }), el('span', { class: 'mark' }), el('span', { class: 'cut' }), el('span', { class: 'meta cost' }), el('span', { class: 'count' })];
  let session = null;
  const button = el('a', { class: 'row', on: { click: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (node.classList.contains('swiped')) node.classList.remove('swiped');
    else open(session.id);
  } } }, name, el('span', { class: 'ends' }, cost, when), el('span', { class: 'last' }, mark, words), count);
  const more = el('button', { class: 'row-more', on: { click: () => menu(session) } }, icon('more'));
  const behind = el('div', { class: 'behind' }, el('button', { text: 'Rename', on: { click: () => { node.classList.remove('swiped'); rename(session); } } }), el('button', { class: 'bad', text: 'Delete', on: { click: () => { node.classList.remove('swiped'); remove(session); } } }));
  const node = el('div', { class: 'session-row', role: 'listitem' }, behind, button, more);
  swipe(node, button);
  button.addEventListener('contextmenu', (event) => { event.preventDefault(); menu(session); });
  let shown = '';
  node.refresh = ({ session: next, waits }) => {
    session = next;
    const at = now.peek();
    const here = path.peek() === `/s/${next.id}`;
    const [shape, word] = stateOf(next, waits);
    const running = next.state === 'RUNNING' && next.running_since ? age(next.running_since, at) : null;
    const unread = !here && next.last_activity_at > (settings.seen.peek()[next.id] ?? next.last_activity_at);
    const what = [nameOf(next), age(next.last_activity_at, at), shape, word, lastLine(next, waits), running, money(costOf(next)), waits?.length ?? 0, here, unread].join('\u0000');
    if (what === shown) return;
    shown = what;
    button.href = `/s/${next.id}`;
    setText(name, nameOf(next));
    setText(when, age(next.last_activity_at, at));
    mark.replaceChildren(state(shape, word));
    setText(words, [running, lastLine(next, waits)].filter(Boolean).join(' · '));
    setText(cost, money(costOf(next)) ?? '');
    count.hidden = !waits;
    setText(count, String(waits?.length ?? ''));
    count.setAttribute('aria-label', plural(waits?.length ?? 0, 'open approval'));
    if (here) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
    node.classList.toggle('unread', unread);
    more.setAttribute('aria-label', `More for ${nameOf(next)}`);
  };
  return node;
}

/// A swipe to the left, with a finger only.
function swipe(node, surface) {
  let start = null;
  surface.addEventListener('pointerdown', (event) => { start = event.pointerType === 'touch' ? { x: event.clientX, y: event.clientY } : null; });
  surface.addEventListener('pointermove', (event) => {
    if (!start) return;
    const [x, y] = [event.clientX - start.x, event.clientY - start.y];
    if (Math.abs(y) > 12) { start = null; return; }
    if (x < -40) { node.classList.add('swiped'); start = null; }
    else if (x > 40) { node.classList.remove('swiped'); start = null; }
  });
}

export const sessions = part('tether-sessions', Sessions);
