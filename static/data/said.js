// What an agent said just before it asked: read from the session's newest events.

import { effect } from '../core/reactive.js';
import { wire } from '../context.js';
import { feeds } from '../session/feed.js';

/// So many events back is looked.
const BACK = 120;
/// So many sessions are asked at once, and so long, in milliseconds.
const AT_ONCE = 3;
const PATIENCE = 5000;
/// So much of it is shown.
const LONGEST = 400;

const known = new Map();
const waiting = [];
let busy = 0;

/// A promise of the words; null if there are none.
export function saidBefore(approval) {
  let told = known.get(approval.id);
  if (!told) {
    told = new Promise((resolve) => { waiting.push({ approval, resolve }); });
    known.set(approval.id, told);
    if (known.size > 500) known.delete(known.keys().next().value);
    next();
  }
  return told;
}

async function next() {
  if (busy >= AT_ONCE || waiting.length === 0) return;
  busy += 1;
  const { approval, resolve } = waiting.shift();
  const words = await read(approval).catch(() => null);
  // What was not heard may be heard another time.
  if (words === null) known.delete(approval.id);
  resolve(words || null);
  busy -= 1;
  next();
}

function read(approval) {
  return new Promise((resolve) => {
    const events = [];
    let stop = null;
    const done = (value) => {
      clearTimeout(timer);
      // Not before it was begun.
      queueMicrotask(() => stop?.());
      resolve(value);
    };
    const timer = setTimeout(() => done(null), PATIENCE);
    const feed = feeds.get(approval.session_id);
    if (feed) {
      // It is followed already, or will be in a moment.
      stop = effect(() => { if (feed.state.value === 'live') done(before(feed.raw, approval.id)); });
      return;
    }
    stop = wire.glance(approval.session_id, BACK, { events: (list) => events.push(...list), end: () => done(before(events, approval.id)) });
    if (!stop) done(null);
  });
}

/// The last words of the agent itself before the question, from its turn.
export function before(events, approval) {
  let end = events.findIndex((event) => event.type === 'permission_request' && event.data?.approval_id === approval);
  if (end < 0) end = events.length;
  let text = '';
  for (let index = end - 1; index >= 0; index -= 1) {
    const { type, data } = events[index];
    if (type === 'user_input' || type === 'turn_started' || type === 'tool_result') break;
    if ((type === 'output' || type === 'output_final') && typeof data?.text === 'string' && !data.parent_tool_use_id) text = data.text + text;
  }
  const words = text.trim().split(/\n\s*\n/).pop() ?? '';
  return words.length > LONGEST ? `…${words.slice(-LONGEST)}` : words;
}
