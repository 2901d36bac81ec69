// Buttons that cannot be hit by accident: a press that began on the armed button and ended on it, or, for what is
// dangerous, a press that lasted. What no finger did (a script, a repeated key) counts for nothing.

import { ask } from '../core/sheet.js';
import { el } from '../core/dom.js';
import { alarm } from '../core/say.js';
import { buzz } from '../data/settings.js';

/// How long a dangerous yes is held, in milliseconds; the stylesheet's `--d-hold`.
const HOLD = 900;

/// A button for a yes. `ready()` says whether it counts now; `lead()` is what a tap does instead.
export function yes(label, { ready, lead, go, className = '' }) {
  let began = false;
  const button = el('button', { class: `btn main ${className}`, on: {
    pointerdown: (event) => { began = event.isPrimary && event.isTrusted && event.button === 0 && ready(); },
    pointercancel: () => { began = false; },
    click: (event) => {
      if (!event.isTrusted) return;
      // `detail` is 0 for a key or a switch: there was no press to begin.
      const counts = ready() && (began || event.detail === 0);
      began = false;
      if (counts) go();
      else lead();
    },
  } }, el('span', { text: label }));
  button.addEventListener('keydown', (event) => { if (event.repeat) event.preventDefault(); });
  return button;
}

/// A button that is held. By keyboard, switch or screen reader it asks once more instead. `question` says what.
export function hold(label, { ready, lead, go, question, className = '' }) {
  let timer = null;
  let done = false;
  const stop = (said) => {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    button.classList.remove('holding');
    if (said) {
      words.textContent = 'Keep holding';
      alarm('Keep holding to allow.');
      setTimeout(() => { if (words.textContent === 'Keep holding') words.textContent = label; }, 1500);
    }
  };
  const start = () => {
    if (timer !== null) return;
    if (!ready()) { lead(); return; }
    done = false;
    button.classList.add('holding');
    timer = setTimeout(() => {
      stop(false);
      done = true;
      buzz('held');
      go();
    }, HOLD);
  };
  const words = el('span', { text: label });
  const button = el('button', { class: `btn hold ${className}`, 'aria-description': 'Dangerous: hold to allow', on: {
    pointerdown: (event) => { if (event.isPrimary && event.isTrusted && event.button === 0) start(); },
    pointerup: () => stop(true),
    pointerleave: () => stop(true),
    pointercancel: () => stop(false),
    contextmenu: (event) => event.preventDefault(),
    click: async (event) => {
      if (!event.isTrusted || event.detail !== 0 || done) return;
      if (!ready()) return lead();
      if (await ask('Allow this?', question, { keep: 'Cancel', go: 'Allow' })) go();
    },
  } }, words);
  button.addEventListener('keydown', (event) => { if (event.repeat) event.preventDefault(); });
  /// For the key `a`, held.
  button.holdKey = { start, stop: () => stop(true) };
  return button;
}
