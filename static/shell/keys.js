// The keyboard. Single letters act when nobody types; `?` lists them.

import { el } from '../core/dom.js';
import { sheet } from '../core/sheet.js';
import { choose } from '../approval/question.js';
import { back, go, middle, path, selected, store } from '../context.js';
import { settings } from '../data/settings.js';
import { step } from '../inbox/inbox.js';

const KEYS = [
  ['j, k', 'Next, previous'], ['a', 'Allow; hold it for what is dangerous'], ['d', 'Deny'], ['r', 'Deny with reason'], ['e', 'Change and allow'], ['m', 'More ways to answer'],
  ['1 to 9', 'Choose an answer'], ['Enter', 'Open'], ['Esc', 'Back, or close'], ['/', 'Search sessions'], ['g i', 'Inbox'], ['g s', 'Sessions'], ['g n', 'New session'], ['x', 'Interrupt'], ['End', 'Latest'], ['?', 'This list'],
];

const typing = (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));

let going = null;

function card() {
  const focused = document.activeElement?.closest?.('approval-card');
  if (focused && !focused.classList.contains('answered')) return focused;
  return selected.peek() ? document.querySelector(`approval-card[data-approval="${CSS.escape(selected.peek())}"]`) : null;
}

/// To be called once. `screen()` gives the screen that is shown.
export function listen(screen) {
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) {
      if (typing(event.target)) event.target.blur();
      else if (path.peek().startsWith('/s/') && !middle.peek()) back('/sessions');
      return;
    }
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector('dialog[open]') || !event.isTrusted) return;
    if (event.key === 'End') { document.querySelector('tether-transcript')?.jump(); return; }
    if (!settings.keys.peek()) return;
    if (going) {
      clearTimeout(going);
      going = null;
      const to = { i: '/', s: '/sessions', n: '/new' }[event.key];
      if (to) { event.preventDefault(); go(to); }
      return;
    }
    const done = act(event, screen());
    if (done) event.preventDefault();
  });
  addEventListener('keyup', (event) => { if (event.key === 'a') card()?.key('a', false); });
  addEventListener('blur', () => card()?.key('a', false));
}

function act(event, screen) {
  const { key } = event;
  switch (key) {
    case '?': sheet('Keys', el('dl', { class: 'keys' }, KEYS.map(([keys, what]) => el('div', {}, el('dt', {}, el('kbd', { text: keys })), el('dd', { text: what }))))); return true;
    case 'g': going = setTimeout(() => { going = null; }, 1000); return true;
    case 'j': case 'k': {
      const by = key === 'j' ? 1 : -1;
      if (path.peek() !== '/sessions' && store.open.peek().length > 0) step(by);
      else document.querySelector('tether-sessions')?.step(by);
      return true;
    }
    case 'a': case 'd': case 'r': case 'e': case 'm': {
      const one = card();
      if (!one) return false;
      one.key(key, true);
      return true;
    }
    case 'Enter': {
      const one = card();
      if (!one || document.activeElement !== one) return false;
      go(`/s/${store.approvals.peek().get(one.dataset.approval)?.session_id}`);
      return true;
    }
    case '/': go('/sessions'); requestAnimationFrame(() => document.querySelector('tether-sessions')?.find()); return true;
    case 'x': screen?.interrupt?.({ asks: true }); return true;
    default:
      if (/^[1-9]$/.test(key) && card()) { choose(card(), Number(key) - 1); return true; }
      return false;
  }
}
