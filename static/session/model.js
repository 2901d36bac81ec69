// A session's events made into rows, without drawing any: what `transcript.js` shows. Events that say nothing to a
// person, and types that a newer daemon may send, leave no row.
//
// A row: `{key, kind, v, ...}`; `v` rises with each change, so that what is drawn knows when it is old.

import { plain } from '../core/dom.js';
import { clock, duration, grantWords, money, object, who } from '../words.js';

/// A text longer than this goes on in a new row, so that none grows for ever.
const TEXT = 12_000;
/// Tools that only look: a run of them is one row.
const SILENT = { Read: 'read', Grep: 'search', Glob: 'search', LS: 'look', NotebookRead: 'read', WebSearch: 'web search', TodoWrite: 'plan', TaskList: 'look', read: 'read', grep: 'search', glob: 'search', list: 'look', ls: 'look', find: 'search' };
const TODO = new Set(['TodoWrite', 'todowrite', 'update_plan']);

const CAUSES = {
  clean: 'It ended by itself', stopped: 'It was stopped', crash: 'It crashed', out_of_memory: 'The system was out of memory',
  authentication: 'It is not signed in', usage_limit: 'The usage limit is reached', bad_configuration: 'It refused its settings', not_found: 'The program was not found',
};

/// How much text there is in an event, in it and one level below.
function characters(data) {
  let sum = 0;
  for (const value of Object.values(data)) {
    if (typeof value === 'string') sum += value.length;
    else if (value && typeof value === 'object') for (const inner of Object.values(value)) if (typeof inner === 'string') sum += inner.length;
  }
  return sum;
}

export class Model {
  rows = [];
  /// The newest plan or to-do list: `[{text, state}]`.
  plan = null;
  /// The tool that runs now: `{name, object, since}`.
  running = null;
  /// Whether a turn is at work, as far as the events tell.
  working = false;
  last = 0;

  #tools = new Map();
  #asks = new Map();
  #inputs = new Map();
  /// The row that a stream of text goes on in.
  #open = null;
  /// What was said in this turn, to know when a final text only repeats it.
  #said = '';
  #silent = null;
  #count = 0;
  #key = null;
  /// Characters of all rows.
  #size = 0;

  /// `most`: so many rows are kept, and so many characters of text in them; the oldest go.
  constructor(most = 20_000, text = 8_000_000) { this.most = most; this.text = text; }

  /// Takes events in; tells whether the oldest rows went for it.
  add(events) {
    for (const event of events) {
      this.last = event.seq;
      const handler = this[`on_${event.type}`];
      if (!handler || !event.data) continue;
      handler.call(this, event.data, event);
      const row = this.rows.at(-1);
      if (!row) continue;
      const size = characters(event.data);
      row.size = (row.size ?? 0) + size;
      this.#size += size;
    }
    return this.#trim();
  }

  /// Rarely, and then many at once: a list that loses its first row with every event is drawn anew with each.
  #trim() {
    if (this.rows.length <= this.most * 1.1 && this.#size <= this.text * 1.1) return false;
    let drop = 0;
    while (drop < this.rows.length - 1 && (this.rows.length - drop > this.most || this.#size > this.text)) this.#size -= this.rows[drop++].size ?? 0;
    this.rows.splice(0, drop);
    return drop > 0;
  }

  #row(kind, rest, { keepsStream = false } = {}) {
    if (!keepsStream) this.#close();
    // By the event that began it: the same row has the same key when more is read before it.
    const key = this.#key === this.last ? `${this.last}.${this.#count++}` : `${this.last}`;
    this.#key = this.last;
    const row = { key, kind, v: 0, ...rest };
    this.rows.push(row);
    return row;
  }

  /// The text that streamed is whole now.
  #close() {
    this.#silent = null;
    if (!this.#open) return;
    this.#open.done = true;
    this.#open.v += 1;
    this.#open = null;
  }

  #stamp(...words) { this.#row('stamp', { text: words.filter(Boolean).join(' · ') }); }

  #note(tone, shape, title, text, lines = [], action = null) { this.#row('note', { tone, shape, title, text: text ?? '', lines, action }); }

  #stream(kind, text, parent, ts) {
    const nested = Boolean(parent);
    let open = this.#open;
    if (!open || open.kind !== kind || open.parent !== (parent ?? null) || (open.text.length > TEXT && /\n\s*$/.test(open.text) && !fenced(open.text))) {
      this.#close();
      open = this.#row(kind, { text: '', parent: parent ?? null, nested, done: false, since: ts, until: ts });
      this.#open = open;
    }
    open.text += text;
    open.until = ts;
    open.v += 1;
  }

  on_user_input(data, event) {
    this.#said = '';
    const row = this.#row('me', { text: data.text ?? '', by: data.by ? who(data.by) : null, at: event.ts, images: data.images ?? [], waits: null });
    if (data.input_id) this.#inputs.set(data.input_id, row);
  }

  on_input_queued(data) { this.#input(data.input_id, 'Queued'); }
  on_input_sent(data) { this.#input(data.input_id, null); }
  on_input_withdrawn(data) { this.#input(data.input_id, `Taken back${data.by ? ` by ${who(data.by)}` : ''}`); }

  #input(id, word) {
    const row = this.#inputs.get(id);
    if (!row) return;
    row.waits = word;
    row.v += 1;
  }

  on_turn_started() {
    this.#said = '';
    this.working = true;
  }

  on_session_state(data) {
    if (data.state === 'RUNNING') this.working = true;
    else if (data.state === 'AWAITING_INPUT' || data.state === 'ERROR') {
      this.working = false;
      this.running = null;
      this.#close();
    }
  }

  on_output(data, event) {
    if (!data.text) return;
    // Reasoning of a conversation that was begun elsewhere.
    if (data.thinking) { this.on_thinking(data, event); return; }
    // The whole answer comes again at its end.
    if (data.kind === 'final' && this.#said.includes(data.text.trim())) return;
    if (!data.parent_tool_use_id) this.#say(data.text);
    this.#stream('say', data.text, data.parent_tool_use_id, event.ts);
  }

  on_output_final(data) {
    const text = (data.text ?? '').trim();
    if (text === '' || this.#said.includes(text)) { this.#close(); return; }
    this.#say(text);
    this.#row('say', { text, nested: false, parent: null, done: true });
  }

  // Cut rarely: each cut copies it.
  #say(text) {
    this.#said += text;
    if (this.#said.length > 400_000) this.#said = this.#said.slice(-200_000);
  }

  on_thinking(data, event) {
    if (data.text) this.#stream('think', data.text, data.parent_tool_use_id, event.ts);
  }

  on_tool_call(data, event) {
    const name = data.tool_name ?? 'tool';
    const input = data.input ?? {};
    if (TODO.has(name)) this.#todo(input);
    const tool = { name, input, about: object(input), result: null, since: Date.parse(event.ts), ms: null };
    this.running = { name, object: tool.about, since: tool.since };
    const silent = SILENT[name];
    if (silent) {
      if (this.#silent && this.#silent === this.rows[this.rows.length - 1] && this.#silent.nested === Boolean(data.parent_tool_use_id)) {
        this.#silent.tools.push(tool);
        this.#silent.v += 1;
      } else {
        this.#silent = this.#row('tools', { tools: [tool], nested: Boolean(data.parent_tool_use_id) });
      }
      if (data.tool_use_id) this.#tools.set(data.tool_use_id, { tool, row: this.#silent });
      return;
    }
    const row = this.#row('tool', { tool, nested: Boolean(data.parent_tool_use_id) });
    if (data.tool_use_id) this.#tools.set(data.tool_use_id, { tool, row });
  }

  on_tool_result(data, event) {
    const result = { text: plain(data.text ?? ''), isError: Boolean(data.is_error), truncated: Boolean(data.truncated) };
    const known = this.#tools.get(data.tool_use_id);
    if (!known) {
      this.#row('tool', { tool: { name: 'Result', input: null, about: '', result, since: null, ms: null }, nested: Boolean(data.parent_tool_use_id) });
      return;
    }
    this.#tools.delete(data.tool_use_id);
    known.tool.result = result;
    known.tool.ms = Math.max(0, Date.parse(event.ts) - known.tool.since);
    known.row.v += 1;
    this.running = null;
  }

  #todo(input) {
    const items = input.todos ?? input.plan ?? input.items;
    if (!Array.isArray(items)) return;
    this.plan = items.slice(0, 100).map((item) => ({ text: String(item.content ?? item.step ?? item.text ?? item.title ?? ''), state: String(item.status ?? 'pending') }));
  }

  on_permission_request(data) {
    // The call that it is about stands there already: one row says both.
    const known = this.#tools.get(data.tool_use_id);
    if (known && data.approval_id) {
      known.tool.ask = { approval: data.approval_id, state: 'open', words: 'Needs answer' };
      known.row.v += 1;
      this.running = null;
      this.#asks.set(data.approval_id, { tool: known.tool, row: known.row });
      return;
    }
    const row = this.#row('asked', { approval: data.approval_id ?? null, title: data.title ?? data.tool_name ?? 'Asks', about: object(data.tool_input), command: data.tool_input?.command ?? null, state: 'open', words: 'Needs answer', said: [] });
    if (data.approval_id) this.#asks.set(data.approval_id, row);
  }

  on_permission_resolved(data, event) {
    const by = data.by ? ` by ${who(data.by)}` : '';
    const words = data.resolved_by === 'cancelled' ? 'Withdrawn' : data.allowed ? `Allowed${by}` : `Denied${by}`;
    let row = this.#asks.get(data.approval_id);
    if (row?.tool) {
      const { tool } = row;
      tool.ask = data.resolved_by === 'cancelled' || data.allowed ? null : { approval: null, state: 'no', words };
      if (data.allowed) tool.allowedBy = words;
      if (data.message) tool.said = data.message;
      tool.since = Date.parse(event.ts);
      if (data.allowed) this.running = { name: tool.name, object: tool.about, since: tool.since };
      row.row.v += 1;
      return;
    }
    if (!row) {
      if (data.resolved_by === 'cancelled') return;
      row = this.#row('asked', { approval: data.approval_id ?? null, title: data.title ?? data.tool_name ?? 'A question', about: object(data.tool_input), command: null, state: 'open', words: '', said: [] });
      if (data.approval_id) this.#asks.set(data.approval_id, row);
    }
    row.state = data.allowed ? 'good' : 'no';
    row.words = words;
    if (data.message) row.said.push(data.message);
    if (data.answers) row.said.push(...Object.entries(data.answers).map(([question, labels]) => `${question} ${[].concat(labels).join(', ')}`));
    row.v += 1;
  }

  on_permission_outcome(data) {
    const row = this.#asks.get(data.approval_id);
    if (!row) return;
    this.#asks.delete(data.approval_id);
    if (row.tool) {
      if (data.outcome === 'unknown') row.tool.ask = { approval: null, state: 'todo', words: 'Not known: the agent ended' };
      row.row.v += 1;
      return;
    }
    if (data.outcome === 'unknown') row.said.push('The agent ended before it told what came of it.');
    row.v += 1;
  }

  on_grant_added({ grant = {} }) {
    this.#stamp(`${grantWords(grant)}${grant.expires_at ? ` until ${clock(grant.expires_at)}` : ' in this session'}`, grant.created_by ? who(grant.created_by) : null);
  }

  on_grant_ended(data) { this.#stamp(data.reason === 'expired' ? 'A permission ended' : `A permission was taken back${data.by ? ` by ${who(data.by)}` : ''}`); }

  on_approval_mode_changed(data) {
    this.#stamp({ 1: 'File changes are allowed without asking', 2: 'Everything is allowed without asking' }[data.approval_mode] ?? 'Every tool asks first', data.by ? who(data.by) : null);
  }

  on_task(data) {
    if (data.state === 'progress') return;
    const words = { started: 'began', completed: 'is done', failed: 'failed', stopped: 'was stopped' }[data.state] ?? data.state;
    this.#stamp(`${data.kind || 'A task'} ${words}`, (data.text ?? '').split('\n')[0].slice(0, 200));
  }

  on_turn_finished(data) {
    this.working = false;
    this.running = null;
    const end = data.interrupted ? 'Interrupted' : data.ok ? 'Done' : `Ended: ${data.reason ?? 'failed'}`;
    this.#stamp(end, typeof data.duration_ms === 'number' ? duration(data.duration_ms) : null, typeof data.cost_usd === 'number' ? money(data.cost_usd) : null);
  }

  on_error(data) { this.#note('bad', 'failed', 'It failed', data.message, [], 'again'); }
  on_warning(data) { this.#note('ask', 'ask', 'Warning', data.message); }
  on_retry(data) { this.#note('again', 'again', `Tries again (${data.attempt} of ${data.max_attempts})`, [data.error, data.delay_ms ? `in ${duration(data.delay_ms)}` : null].filter(Boolean).join(', ')); }

  on_agent_started(data) {
    if (data.resumed) this.#note('again', 'again', 'Agent started again', 'It goes on with its conversation.');
    else this.#stamp(['Agent started', data.agent, data.version].filter(Boolean).join(' '));
  }

  on_agent_exited(data) {
    this.running = null;
    if (data.cause === 'clean' || data.cause === 'stopped') return this.#stamp(CAUSES[data.cause]);
    return this.#note('bad', 'failed', 'Agent ended', `${CAUSES[data.cause] ?? data.cause ?? 'It ended'}${data.message ? `: ${data.message}` : ''}`, data.stderr ?? []);
  }

  on_agent_restarting(data) { this.#note('again', 'again', 'Agent restarts', `Try ${data.attempt}${data.delay_ms ? ` in ${duration(data.delay_ms)}` : ''}. ${data.message ?? ''}`.trim()); }
  on_agent_held(data) { this.#note('held', 'held', `Held${data.until ? ` until ${clock(data.until)}` : ''}`, data.message, [], data.until ? null : 'again'); }
  on_agent_unparsed(data) { this.#row('odd', { text: `${data.message ?? ''}\n${data.line ?? ''}`.trim() }); }
  on_checkpoint(data) { this.#stamp('Work tree saved', data.message); }
}

/// Whether a text ends within a block of code.
function fenced(text) {
  let open = false;
  for (const line of text.split('\n')) if (/^\s*(```|~~~)/.test(line)) open = !open;
  return open;
}

/// `4 reads, 2 searches` of a run of tools that only looked.
export function silentWords(tools) {
  const counts = new Map();
  for (const { name } of tools) {
    const word = SILENT[name] ?? 'step';
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${count} ${count === 1 ? word : word.endsWith('ch') ? `${word}es` : `${word}s`}`).join(', ');
}
