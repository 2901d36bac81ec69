// The card of one approval: what would happen, whole, and the answer.

import { alarm, el, glyph, icon, state, visible } from './dom.js';
import { age, clock, deed, nameOf, object, place, who } from './words.js';

/// How long the end of what is asked must have been in sight before Allow counts.
const ARM = 500;

const SCOPES = {
  once: 'Allowed',
  tool: 'Allowed for this tool',
  all30m: 'Allowed, all for 30 minutes',
  directory: 'Allowed in this directory',
};

/// A card with `node` and `update(approval)`. `app`: `wire`, `store`, `open(session)`. `inline`: it stands in
/// its own session, so who asks and where need not be said.
export function card(app, approval, { inline = false } = {}) {
  const me = { approval, failure: null, sending: null, chosen: new Map(), drawn: approval.state };
  const foot = el('div', { class: 'foot-of-card' });
  const end = el('div', { class: 'end-of-content' });
  const shape = el('span');
  const since = el('span', { class: 'meta' });
  const head = inline ? null : [
    el('div', { class: 'who' }, shape, el('b', {}, el('button', { class: 'plain', on: { click: () => app.open(approval.session_id) } })), since),
    el('div', { class: 'where' }),
  ];
  const node = el('article', { class: inline ? 'card inline' : 'card', 'aria-label': deed(approval) }, ...(head ?? []), ...body(me, approval, inline ? shape : null), end, foot);

  const arm = armed(node, end, me);
  const answer = (words) => send(app, me, words, draw);

  function draw() {
    const current = me.approval;
    shape.replaceChildren(state(shapeOf(current), ''));
    if (head) {
      const session = app.store.sessions.get(current.session_id);
      head[0].querySelector('button').textContent = nameOf(session);
      head[1].textContent = place(current.directory);
      since.textContent = age(current.requested_at);
    }
    if (current.state !== 'open') {
      arm.stop();
      foot.replaceChildren(track(current, me.failure));
      node.classList.add('answered');
    } else if (me.sending) {
      foot.replaceChildren(sending(app, me));
    } else {
      foot.replaceChildren(...buttons(app, me, answer, arm, node));
    }
  }

  me.redraw = draw;
  draw();
  return {
    node,
    update(next) {
      me.approval = next;
      // An open card is drawn anew only when its answer row changes: nothing moves under a finger.
      if (next.state !== 'open' || me.drawn !== 'open') draw();
      me.drawn = next.state;
    },
    tick() { since.textContent = age(me.approval.requested_at); },
    /// The connection came or went.
    connection() { if (me.sending) draw(); },
    end() { arm.stop(); },
  };
}

function shapeOf(approval) {
  if (approval.state === 'open') return 'ask';
  return approval.state === 'allowed' ? 'good' : 'no';
}

// What would happen.

function body(me, approval, shape) {
  const input = approval.tool_input ?? {};
  const nodes = [];
  const said = approval.reason || (typeof input.description === 'string' && approval.tool_name === 'Bash' ? input.description : null);
  if (approval.subagent) nodes.push(el('p', { class: 'meta', text: 'A sub-agent asks' }));
  if (said && approval.kind !== 'question') nodes.push(el('p', { class: 'said' }, ...visible(said)));
  if (approval.kind === 'question') return [...nodes, ...questions(me, approval)];
  const title = approval.kind === 'plan' ? 'Start work on this plan' : deed(approval);
  nodes.push(el('h2', {}, shape, el('span', {}, ...visible(title)), approval.kind === 'unknown' ? el('span', { class: 'chip ask', text: 'Not understood: shown raw' }) : null));
  if (approval.kind === 'unknown') return [...nodes, well(JSON.stringify(input, null, 2))];
  if (approval.kind === 'plan' && typeof input.plan === 'string') {
    nodes.push(el('div', { class: 'plan' }, ...visible(input.plan)));
    return [...nodes, ...fields(input, ['plan'])];
  }
  if (typeof input.command === 'string') return [...nodes, command(input.command), ...fields(input, ['command', 'description'])];
  if (approval.diff) {
    nodes.push(diff(approval.diff));
    const whole = !/^… \d+ more lines are not shown$/m.test(approval.diff);
    return whole ? nodes : [...nodes, ...fields(input, [])];
  }
  return [...nodes, ...fields(input, [])];
}

const well = (text) => el('div', { class: 'well' }, ...visible(text));

/// A command, whole. Lines break between words, so that no flag is split.
function command(text) {
  const node = el('div', { class: 'well' }, el('span', { class: 'prompt', text: '$ ' }));
  for (const piece of text.split(/(\s+)/)) {
    if (piece === '') continue;
    if (/^\s+$/.test(piece)) node.append(...visible(piece));
    else node.append(el('span', { class: piece.length > 36 ? 'word long' : 'word' }, ...visible(piece)));
  }
  return node;
}

/// Every field of an input that is not shown otherwise; nothing that the agent would get is left out.
function fields(input, shown) {
  const rest = Object.entries(input).filter(([name]) => !shown.includes(name));
  const short = rest.filter(([, value]) => typeof value !== 'object' && String(value).length <= 40 && !String(value).includes('\n'));
  const long = rest.filter((entry) => !short.includes(entry));
  const nodes = long.flatMap(([name, value]) => [
    el('div', { class: 'field' }, ...visible(name)),
    well(typeof value === 'string' ? value : JSON.stringify(value, null, 2)),
  ]);
  if (short.length > 0) {
    nodes.push(el('div', { class: 'field' }, ...short.flatMap(([name, value], index) => [index > 0 ? ' · ' : '', ...visible(`${name}: ${value}`)])));
  }
  return nodes;
}

export function diff(text) {
  const node = el('div', { class: 'diff' });
  let [before, after] = [0, 0];
  const lines = text.replace(/\n$/, '').split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index];
    if (line.startsWith('--- ') && lines[index + 1]?.startsWith('+++ ')) {
      node.append(el('div', { class: 'file' }, icon('file'), el('span', { class: 'cut' }, ...visible(lines[index + 1].slice(4)))));
      index += 1;
      continue;
    }
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[2])];
      if (node.lastChild && !node.lastChild.classList.contains('file')) node.append(el('div', { class: 'gap', text: '⋯' }));
      continue;
    }
    const [kind, sign] = line.startsWith('+') ? ['l a', '+'] : line.startsWith('-') ? ['l d', '−'] : ['l', ''];
    const number = line.startsWith('-') ? before++ : line.startsWith('+') ? after++ : (before++, after++);
    node.append(el('div', { class: kind }, el('i', { text: number || '' }), el('i', { text: sign }), el('span', {}, ...visible(line.slice(1)))));
  }
  return node;
}

function questions(me, approval) {
  return approval.questions.flatMap((question, index) => {
    const chosen = { labels: new Set(), own: '' };
    me.chosen.set(question.question, chosen);
    const name = `q${index}`;
    const kind = question.multi_select ? 'checkbox' : 'radio';
    const own = el('input', { class: 'own', placeholder: 'Something else…', 'aria-label': `Another answer to: ${question.question}`, on: { input() {
      chosen.own = own.value.trim();
      if (chosen.own && !question.multi_select) {
        chosen.labels.clear();
        for (const row of rows) row.setAttribute('aria-checked', 'false');
      }
      me.chose?.();
    } } });
    const rows = question.options.map((option) => el('button', {
      class: 'option', role: kind, 'aria-checked': 'false', on: { click(event) {
        const row = event.currentTarget;
        const on = row.getAttribute('aria-checked') !== 'true';
        if (kind === 'radio') {
          chosen.labels.clear();
          own.value = chosen.own = '';
          for (const other of rows) other.setAttribute('aria-checked', 'false');
        }
        if (on || kind === 'radio') chosen.labels.add(option.label); else chosen.labels.delete(option.label);
        row.setAttribute('aria-checked', String(chosen.labels.has(option.label)));
        me.chose?.();
      } },
    }, el('span', { class: kind === 'radio' ? 'ring' : 'box' }), el('span', {}, el('span', {}, ...visible(option.label)), option.description ? el('small', {}, ...visible(option.description)) : null)));
    return [
      el('h2', {}, el('span', {}, ...visible(question.question)), question.multi_select ? el('span', { class: 'chip', text: 'Several' }) : null),
      el('div', { class: 'options', role: kind === 'radio' ? 'radiogroup' : 'group', 'aria-label': question.question, id: name }, ...rows, own),
    ];
  });
}

/// The answers of a question as the API takes them; null while one has none.
function answers(me) {
  const all = {};
  for (const [question, chosen] of me.chosen) {
    const labels = [...chosen.labels, ...(chosen.own ? [chosen.own] : [])];
    if (labels.length === 0) return null;
    all[question] = labels;
  }
  return all;
}

// The answer.

/// Watches whether the end of what is asked has been in sight for a while; until then Allow does nothing but
/// lead there. The answer row of a card that is taller than the screen sticks to its bottom.
function armed(node, end, me) {
  let [isArmed, inSight, timer] = [false, false, null];
  const redraw = () => { if (me.approval.state === 'open' && !me.sending && me.reason === undefined) me.redraw(); };
  const watcher = new IntersectionObserver((entries) => {
    clearTimeout(timer);
    const before = inSight;
    inSight = entries[entries.length - 1].isIntersecting;
    if (inSight) {
      timer = setTimeout(() => {
        isArmed = true;
        watcher.disconnect();
        redraw();
      }, ARM);
    }
    if (inSight !== before) redraw();
  }, { rootMargin: '0px 0px -72px 0px' });
  watcher.observe(end);
  const measure = new ResizeObserver(() => node.classList.toggle('tall', node.offsetHeight > innerHeight - 160));
  measure.observe(node);
  return {
    get ready() { return isArmed; },
    get inSight() { return inSight; },
    lead() { end.scrollIntoView({ block: 'center', behavior: 'smooth' }); },
    stop() {
      clearTimeout(timer);
      watcher.disconnect();
      measure.disconnect();
    },
  };
}

function buttons(app, me, answer, arm, node) {
  const { approval } = me;
  const [no, yes] = approval.kind === 'question' ? ['Skip', 'Send answer'] : approval.kind === 'plan' ? ['Keep planning', 'Start work'] : ['Deny', 'Allow'];
  const failure = me.failure ? el('p', { class: 'why', role: 'alert' }, glyph('failed'), el('span', { text: me.failure })) : null;
  if (me.reason !== undefined) return [failure, ...reasonField(me, answer)].filter(Boolean);
  const deny = el('button', { class: 'btn', text: no, on: { click: (event) => {
    if (!event.isTrusted) return;
    if (approval.kind === 'plan') askReason(me); else answer({ decision: 'deny' });
  } } });
  const seen = arm.ready;
  const allow = el('button', { class: seen ? 'btn main' : 'btn main unarmed', on: { click: (event) => {
    if (!event.isTrusted) return;
    if (!arm.ready) return arm.lead();
    if (approval.kind === 'question') {
      const chosen = answers(me);
      if (chosen) answer({ decision: 'allow', answers: chosen });
    } else {
      answer({ decision: 'allow' });
    }
  } } }, ...(seen || arm.inSight || !node.classList.contains('tall') ? [yes] : [icon('down'), 'Read to the end']));
  if (approval.kind === 'question') {
    me.chose = () => { allow.disabled = answers(me) === null; };
    me.chose();
  }
  const more = el('button', { class: 'btn more', 'aria-label': 'More ways to answer', on: { click: () => sheet(app, me, answer, arm) } }, icon('more'));
  return [failure, el('div', { class: 'acts' }, more, deny, allow)].filter(Boolean);
}

function askReason(me) {
  me.reason = '';
  me.redraw();
}

function reasonField(me, answer) {
  const field = el('textarea', { class: 'reason', rows: 2, placeholder: 'What should the agent do instead?', 'aria-label': 'Reason, which the agent reads', on: { input() { me.reason = field.value; } } });
  field.value = me.reason;
  requestAnimationFrame(() => field.focus());
  const back = el('button', { class: 'btn', text: 'Back', on: { click() { me.reason = undefined; me.redraw(); } } });
  const deny = el('button', { class: 'btn main', text: me.approval.kind === 'plan' ? 'Keep planning' : 'Deny', on: { click: (event) => {
    if (event.isTrusted) answer({ decision: 'deny', message: me.reason.trim() || undefined });
  } } });
  return [field, el('div', { class: 'acts' }, back, deny)];
}

function sheet(app, me, answer, arm) {
  const { approval } = me;
  const dialog = el('dialog', { class: 'sheet', 'aria-label': 'More ways to answer' });
  const row = (title, what, run, deciding = false) => el('button', { class: 'line', on: { click: (event) => {
    if (!event.isTrusted) return;
    dialog.close();
    if (deciding && !arm.ready) arm.lead(); else run();
  } } }, el('b', { text: title }), el('small', { text: what }));
  const tool = approval.kind === 'tool';
  dialog.append(...[
    el('h2', {}, ...visible(deed(approval))),
    tool && row('Allow for this session and tool', `${approval.tool_name} is allowed here until the session is deleted or you take it back.`, () => answer({ decision: 'allow', scope: 'tool' }), true),
    tool && row('Allow all for 30 minutes', 'Everything in this session, except questions and plans.', () => answer({ decision: 'allow', scope: 'all30m' }), true),
    tool && approval.is_edit && approval.paths?.length > 0 && row('Allow in this directory', 'File changes beside or below this file, in this session.', () => answer({ decision: 'allow', scope: 'directory' }), true),
    row('Deny with reason', 'The agent reads your words.', () => askReason(me)),
    row('Show raw input', 'Exactly what the agent sent.', () => raw(approval)),
    row('Open session', 'What led to this.', () => app.open(approval.session_id)),
    el('button', { class: 'btn', text: 'Close', on: { click: () => dialog.close() } }),
  ].filter(Boolean));
  show(dialog);
}

function raw(approval) {
  const dialog = el('dialog', { class: 'sheet', 'aria-label': 'Raw input' });
  dialog.append(el('h2', {}, ...visible(`${approval.tool_name} ${object(approval.tool_input)}`.slice(0, 80))), well(JSON.stringify(approval.tool_input, null, 2)), el('button', { class: 'btn', text: 'Close', on: { click: () => dialog.close() } }));
  show(dialog);
}

function show(dialog) {
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

function send(app, me, words, draw) {
  if (me.sending) return;
  me.failure = null;
  const { promise, takeBack } = app.wire.request({ type: 'answer', approval_id: me.approval.id, ...words }, { keep: true });
  me.sending = { words, takeBack };
  draw();
  promise.then(({ approval }) => {
    me.sending = null;
    me.reason = undefined;
    app.store.hear({ type: 'approval', approval });
  }, (error) => {
    me.sending = null;
    const winner = error.details?.approval;
    if (winner) {
      me.failure = 'Not counted';
      alarm(`Not counted: ${outcome(winner)}.`);
      app.store.hear({ type: 'approval', approval: winner });
    } else if (error.code !== 'TAKEN_BACK') {
      me.failure = error.message;
      alarm(error.message);
    }
    draw();
  });
}

function sending(app, me) {
  if (app.wire.online) return el('div', { class: 'track todo' }, glyph('todo'), 'Sending…');
  return el('div', { class: 'track todo' }, glyph('new'), 'Waits for connection', el('button', { class: 'do', text: 'Take back', on: { click: () => me.sending?.takeBack() } }));
}

/// `Denied by Ana in Telegram, 09:41`.
export function outcome(approval) {
  const by = approval.resolved_by ? ` by ${who(approval.resolved_by)}` : '';
  const at = approval.resolved_at ? `, ${clock(approval.resolved_at)}` : '';
  switch (approval.state) {
    case 'allowed': return `${approval.kind === 'question' ? 'Answered' : SCOPES[approval.answer?.scope] ?? 'Allowed'}${by}${at}`;
    case 'denied': return `Denied${by}${at}`;
    case 'cancelled': return 'Withdrawn: the agent went on';
    case 'expired': return `Denied: nobody answered in time${at}`;
    default: return approval.state;
  }
}

function track(approval, failure) {
  const good = approval.state === 'allowed';
  const words = el('span', { class: 'cut', text: failure === 'Not counted' ? `Not counted: ${outcome(approval)}` : outcome(approval) });
  const steps = [el('div', { class: good ? 'step good' : 'step' }, glyph(good ? 'good' : 'no'), words)];
  if (approval.run && approval.state !== 'cancelled') {
    const done = approval.delivered_at !== null;
    const end = { ran: ['good', good && approval.kind === 'tool' ? 'Ran' : 'Done'], failed: ['failed', 'Failed'], refused: ['good', 'Refused'], unknown: ['todo', 'Not known'] }[approval.outcome] ?? ['todo', good ? 'Ran' : 'Refused'];
    steps.push(el('div', { class: 'steps' },
      el('span', { class: done ? 'step good' : 'step todo' }, glyph(done ? 'good' : 'todo'), 'Delivered'),
      el('span', { class: 'rail-of-track' }),
      el('span', { class: `step ${approval.outcome ? end[0] : 'todo'}` }, glyph(approval.outcome ? end[0] : 'todo'), end[1])));
  }
  return el('div', { class: 'track' }, ...steps);
}
