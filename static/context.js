// What all screens share: the line, what it told, what waits to be said, and the time that passes.

import { signal } from './core/reactive.js';
import { Outbox } from './data/outbox.js';
import { Store } from './data/store.js';
import { Wire } from './data/wire.js';

export const wire = new Wire();
export const store = new Store(wire);
export const outbox = new Outbox(wire);

/// The time, told every ten seconds: ages are shown by it.
export const now = signal(Date.now());
setInterval(() => { now.value = Date.now(); }, 10_000);

/// The path that is shown.
export const path = signal(location.pathname);

/// Where each path was scrolled to.
export const scrolled = new Map();

export function go(to, { replace = false } = {}) {
  if (to !== location.pathname) history[replace ? 'replaceState' : 'pushState']({ depth: (history.state?.depth ?? 0) + (replace ? 0 : 1) }, '', to);
  path.value = to;
}

/// Back to where the person came from; to `otherwise` when the page began here.
export function back(otherwise) {
  if ((history.state?.depth ?? 0) > 0) history.back();
  else go(otherwise, { replace: true });
}

addEventListener('popstate', () => { path.value = location.pathname; });

export const open = (session) => go(`/s/${session}`);

const media = (text) => {
  const list = matchMedia(text);
  const one = signal(list.matches);
  list.addEventListener('change', () => { one.value = list.matches; });
  return one;
};

/// Room for list, session and detail side by side; for list and session; a mouse.
export const wide = media('(min-width: 1100px)');
export const middle = media('(min-width: 720px)');
export const fine = media('(pointer: fine)');

/// The approval that the keys act on.
export const selected = signal(null);
