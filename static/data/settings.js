// What a person chose in this browser. None of it is a secret.

import { signal } from '../core/reactive.js';

const DEFAULTS = { theme: 'system', keys: true, haptics: true, notify: false, sound: false, lastSession: null, seen: {}, drafts: {} };

const kept = (() => {
  try { return JSON.parse(localStorage.getItem('tether.settings')) ?? {}; } catch { return {}; }
})();

/// Each a signal; set its value and it is kept.
export const settings = {};
for (const [name, value] of Object.entries(DEFAULTS)) {
  const one = signal(kept[name] ?? value);
  settings[name] = {
    get value() { return one.value; },
    peek: () => one.peek(),
    set value(next) {
      one.value = next;
      save();
    },
  };
}

let timer = null;

function save() {
  timer ??= setTimeout(() => {
    timer = null;
    const all = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, settings[name].peek()]));
    try { localStorage.setItem('tether.settings', JSON.stringify(all)); } catch { /* A private window keeps nothing. */ }
  }, 100);
}

/// The draft of a session's next input.
export const draft = {
  of: (session) => settings.drafts.peek()[session] ?? '',
  set(session, text) {
    const drafts = { ...settings.drafts.peek() };
    if (text) drafts[session] = text.slice(0, 20_000);
    else delete drafts[session];
    settings.drafts.value = drafts;
  },
};

/// A buzz where the device has one: `done`, `held` or `refused`.
export function buzz(kind) {
  if (!settings.haptics.peek() || !navigator.vibrate) return;
  try { navigator.vibrate({ done: 10, held: 30, refused: [10, 40, 10] }[kind]); } catch { /* Not before the first touch. */ }
}
