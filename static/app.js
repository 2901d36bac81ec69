// The page: which screen stands where.

import { door } from './login/login.js';
import { el, setText } from './core/dom.js';
import { icon } from './core/icons.js';
import { computed, effect, untracked } from './core/reactive.js';
import { forgetAll } from './core/keep.js';
import { approval } from './data/api.js';
import { settings } from './data/settings.js';
import { watch as notify } from './data/notify.js';
import { go, middle, outbox, path, selected, store, wide, wire } from './context.js';
import { elsewhere } from './elsewhere/elsewhere.js';
import { found, look } from './elsewhere/found.js';
import { inbox, keepSelected } from './inbox/inbox.js';
import { newSession } from './new/new.js';
import { sessionScreen } from './session/session.js';
import { sessions } from './sessions/sessions.js';
import { settingsScreen } from './settings/settings.js';
import { listen } from './shell/keys.js';
import { register } from './shell/install.js';
import { watchLine } from './shell/banner.js';

const root = document.getElementById('app');

/// What a path shows: `[kind, session?]`.
function screenOf(text) {
  const session = /^\/s\/(sess_[0-9a-f]{12})\/?$/.exec(text)?.[1];
  if (session) return ['session', session];
  const kind = { '/sessions': 'sessions', '/new': 'new', '/settings': 'settings', '/elsewhere': 'elsewhere' }[text.replace(/(.)\/$/, '$1')];
  return [kind ?? 'inbox', null];
}

const MAKE = { inbox, sessions, new: newSession, settings: settingsScreen, elsewhere };

function item(kind, to, sign, word) {
  const node = el('a', { href: to, on: { click: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(to);
  } } }, icon(sign), el('span', { text: word }));
  if (kind === 'inbox') {
    const count = el('span', { class: 'count', hidden: true });
    const words = el('span', { class: 'unseen', hidden: true, text: ' open' });
    node.append(' ', count, words);
    effect(() => {
      const open = store.open.value.length;
      count.hidden = words.hidden = open === 0;
      setText(count, String(open));
    });
  }
  if (kind === 'elsewhere') effect(() => { node.hidden = !found.value?.length; });
  effect(() => {
    const [shown] = screenOf(path.value);
    const current = shown === kind || (kind === 'sessions' && (shown === 'session' || (shown === 'elsewhere' && !wide.value)));
    if (current) node.setAttribute('aria-current', 'page');
    else node.removeAttribute('aria-current');
  });
  return node;
}

function start() {
  const items = [['inbox', '/', 'inbox', 'Inbox'], ['sessions', '/sessions', 'list', 'Sessions'], ['new', '/new', 'plus', 'New'], ['elsewhere', '/elsewhere', 'link', 'Elsewhere'], ['settings', '/settings', 'gear', 'Settings']];
  const rail = el('nav', { class: 'rail', 'aria-label': 'Main' }, items.map((one) => item(...one)));
  const nav = el('nav', { class: 'nav', 'aria-label': 'Main' }, items.filter(([kind]) => kind !== 'elsewhere').map((one) => item(...one)));
  const list = el('div', { class: 'slot list-slot' });
  const main = el('main', { class: 'slot main-slot-app', id: 'main' });
  root.replaceChildren(rail, list, main, nav);

  let screen = null;
  let shown = null;
  let started = false;
  const place = computed(() => {
    const [kind, session] = screenOf(path.value);
    // With room, the Inbox is the session that asks, and its approval beside it.
    if (wide.value && kind === 'inbox') {
      const asks = store.approvals.value.get(selected.value)?.session_id;
      if (asks && store.sessions.value.has(asks)) return `session ${asks}`;
    }
    return `${kind} ${session ?? ''}`;
  });
  effect(() => {
    const [kind, session] = place.value.split(' ');
    const [isWide, isMiddle] = [wide.value, middle.value];
    untracked(() => {
      const key = `${kind} ${session}`;
      const beside = isMiddle && kind !== 'sessions';
      // The list stands beside whatever else is shown, once there is room.
      if (isMiddle) { if (!list.firstElementChild) list.append(sessions()); } else list.replaceChildren();
      root.classList.toggle('with-list', isMiddle);
      root.classList.toggle('with-detail', isWide && kind === 'session');
      root.classList.toggle('in-session', kind === 'session');
      const want = isMiddle && kind === 'sessions' ? 'blank ' : key;
      if (want === shown) return;
      shown = want;
      screen = want === 'blank ' ? el('div', { class: 'pane blank' }, el('div', { class: 'empty' }, icon('list'), el('h2', { text: 'Choose a session' }), el('p', { text: 'Its transcript is shown here.' }))) : kind === 'session' ? sessionScreen({ session }) : MAKE[kind]();
      main.replaceChildren(screen);
      main.classList.toggle('beside', beside);
      // Where the focus was, nothing is any more: it goes on with the new screen's name.
      const title = main.querySelector('h1');
      if (title && document.activeElement === document.body && started) {
        title.tabIndex = -1;
        title.focus({ preventScroll: true });
      }
      started = true;
    });
  });

  keepSelected();
  notify();
  watchLine();
  listen(() => screen);
  store.addEventListener('missed', async ({ detail }) => {
    try {
      store.put(detail.id, await approval(detail.id));
    } catch (error) {
      if (error.status === 404) store.put(detail.id, null);
    }
  });
  wire.addEventListener('back', () => look());
  wire.addEventListener('signed-out', async () => {
    wire.stop();
    await forgetAll();
    root.className = 'app at-the-door';
    root.replaceChildren(door({ removed: store.from.peek() !== 'nothing' }));
  });
  store.recall();
  outbox.recall();
  wire.start();
}

effect(() => {
  const theme = settings.theme.value;
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});

register();

if (location.pathname === '/login') {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  // The code is good once, and no business of the history.
  history.replaceState(null, '', '/login');
  root.className = 'app at-the-door';
  root.replaceChildren(door({ code }));
} else {
  start();
}
