// A session's events as a transcript. Events that say nothing to a person, and types that a newer daemon
// may send, leave no row.

import { el, glyph, icon, plain, state, visible } from './dom.js';
import { clock, duration, object, who } from './words.js';

/// Rows that are kept; the oldest go. `tether watch` shows all.
export const MOST_ROWS = 2000;
/// Characters of a tool's output that are shown before "Show all".
const SHORT_OUTPUT = 4000;

const CAUSES = {
  clean: 'It ended by itself', stopped: 'It was stopped', crash: 'It crashed', out_of_memory: 'The system was out of memory',
  authentication: 'It is not signed in', usage_limit: 'The usage limit is reached', bad_configuration: 'It refused its settings', not_found: 'The program was not found',
};

export class Transcript {
  node = el('div', { class: 't', role: 'log', 'aria-live': 'off' });

  #tools = new Map();
  #asks = new Map();
  #inputs = new Map();
  /// The piece that a stream of text goes on in: `{kind, parent, node}`.
  #open = null;
  #said = '';
  #earlier = el('div', { class: 'stamp', text: 'Earlier parts are not shown here.' });

  add(events) {
    for (const event of events) {
      const handler = this[`on_${event.type}`];
      if (handler && event.data) handler.call(this, event.data, event);
    }
    const extra = this.node.childElementCount - MOST_ROWS;
    for (let count = 0; count < extra; count += 1) this.node.firstElementChild.remove();
    if (extra > 0) this.skipped();
  }

  /// Says at the top that it does not begin with the beginning.
  skipped() {
    if (this.node.firstElementChild !== this.#earlier) this.node.prepend(this.#earlier);
  }

  clear() {
    this.node.replaceChildren();
    this.#tools.clear();
    this.#asks.clear();
    this.#inputs.clear();
    this.#open = null;
  }

  #row(node, parent) {
    this.#open = null;
    if (parent) node.classList.add('nested');
    this.node.append(node);
    return node;
  }

  #note(kind, shape, title, text, lines = []) {
    this.#row(el('div', { class: `note ${kind}` }, glyph(shape), el('div', {}, el('b', { text: title }), text ? el('p', {}, ...visible(text)) : null,
      lines.length > 0 ? el('details', {}, el('summary', { text: 'Last lines of its error output' }), el('div', { class: 'out' }, ...visible(plain(lines.join('\n'))))) : null)));
  }

  #stamp(...words) {
    this.#row(el('div', { class: 'stamp', text: words.filter(Boolean).join(' · ') }));
  }

  /// Text goes on in the row before it as long as nothing else came in between.
  #stream(kind, text, parent, make) {
    if (this.#open?.kind !== kind || this.#open.parent !== (parent ?? null)) {
      const node = make();
      this.#row(node.row, parent);
      this.#open = { kind, parent: parent ?? null, text: node.text };
    }
    this.#open.text.append(text);
  }

  on_user_input(data, event) {
    this.#said = '';
    const pictures = data.images?.length ? `${data.images.length} picture${data.images.length > 1 ? 's' : ''}` : null;
    const note = el('small', { text: [data.by ? who(data.by) : null, clock(event.ts), pictures].filter(Boolean).join(' · ') });
    const row = this.#row(el('div', { class: 'me' }, el('div', { class: 'words', text: data.text ?? '' }), note));
    if (data.input_id) this.#inputs.set(data.input_id, { row, note, words: note.textContent });
  }

  on_input_queued(data) { this.#input(data.input_id, 'Queued', true); }
  on_input_sent(data) { this.#input(data.input_id, null, false); }
  on_input_withdrawn(data) { this.#input(data.input_id, `Taken back${data.by ? ` by ${who(data.by)}` : ''}`, true); }

  #input(id, word, waits) {
    const input = this.#inputs.get(id);
    if (!input) return;
    input.row.classList.toggle('queued', waits);
    input.note.textContent = [word, input.words].filter(Boolean).join(' · ');
  }

  on_turn_started() { this.#said = ''; }

  on_output(data) {
    if (!data.text) return;
    // The whole answer comes again as `output_final`.
    if (data.kind === 'final' && this.#said.includes(data.text.trim())) return;
    if (!data.parent_tool_use_id) this.#said += data.text;
    this.#stream('say', data.text, data.parent_tool_use_id, () => {
      const text = el('div', { class: 'say' });
      return { row: text, text };
    });
  }

  on_output_final(data) {
    const text = (data.text ?? '').trim();
    if (text === '' || this.#said.includes(text)) return;
    this.#said += text;
    this.#row(el('div', { class: 'say', text }));
  }

  on_thinking(data) {
    if (!data.text) return;
    this.#stream('think', data.text, data.parent_tool_use_id, () => {
      const text = el('div', { class: 'thought' });
      return { row: el('details', { class: 'think' }, el('summary', {}, icon('think'), 'Thought', icon('right')), text), text };
    });
  }

  on_tool_call(data) {
    const name = data.tool_name ?? 'tool';
    const shell = typeof data.input?.command === 'string';
    const file = typeof data.input?.file_path === 'string' || typeof data.input?.notebook_path === 'string';
    const end = el('span', { class: 'end' }, state('work', ''));
    const asked = () => el('div', { class: 'out' }, ...visible(shell ? `$ ${data.input.command}` : JSON.stringify(data.input, null, 2)));
    const tool = folded('tool', [icon(shell ? 'tool' : file ? 'file' : 'task'), shell ? null : el('span', { class: 'kind' }, ...visible(name)), el('code', {}, ...visible(object(data.input).slice(0, 300))), end], asked);
    this.#row(tool.row, data.parent_tool_use_id);
    if (data.tool_use_id) this.#tools.set(data.tool_use_id, { ...tool, end });
  }

  on_tool_result(data) {
    const text = plain(data.text ?? '');
    const tool = this.#tools.get(data.tool_use_id);
    const result = () => output(text, data.truncated);
    if (!tool) {
      this.#row(folded('tool', [icon('tool'), el('code', { text: 'Result' }), ending(data)], result).row, data.parent_tool_use_id);
      return;
    }
    this.#tools.delete(data.tool_use_id);
    tool.end.replaceWith(ending(data));
    tool.more(result);
    if (data.is_error) tool.row.open = true;
  }

  on_permission_request(data) {
    const words = el('span', { class: 'cut' }, ...visible(data.title ?? data.tool_name ?? 'Asks'));
    const end = el('span', { class: 'end' }, state('ask', 'Needs answer'));
    const row = this.#row(el('div', { class: 'asked' }, words, end));
    if (data.approval_id) this.#asks.set(data.approval_id, { row, end, title: data.title });
  }

  on_permission_resolved(data) {
    const by = data.by ? ` by ${who(data.by)}` : '';
    const word = data.resolved_by === 'cancelled' ? 'Withdrawn' : data.allowed ? `Allowed${by}` : `Denied${by}`;
    const end = el('span', { class: 'end' }, state(data.allowed ? 'good' : 'no', word));
    const ask = this.#asks.get(data.approval_id);
    if (ask) {
      ask.end.replaceWith(end);
      ask.end = end;
      if (data.message) ask.row.append(el('p', { class: 'reason-said' }, ...visible(data.message)));
    } else if (data.resolved_by !== 'cancelled') {
      this.#row(el('div', { class: 'asked' }, el('span', { class: 'cut' }, ...visible(data.title ?? data.tool_name ?? 'A question')), end));
    }
    if (data.answers) {
      const text = Object.entries(data.answers).map(([question, labels]) => `${question} ${labels.join(', ')}`).join('\n');
      (ask?.row ?? this.node.lastElementChild)?.append(el('p', { class: 'reason-said' }, ...visible(text)));
    }
  }

  on_permission_outcome(data) {
    const ask = this.#asks.get(data.approval_id);
    if (!ask) return;
    const word = { ran: 'Ran', failed: 'Ran and failed', refused: 'Refused', unknown: 'The agent ended before it told' }[data.outcome];
    if (word) ask.end.title = word;
    if (data.outcome === 'unknown') ask.row.append(el('p', { class: 'reason-said', text: word }));
    this.#asks.delete(data.approval_id);
  }

  on_grant_added({ grant = {} }) {
    const what = grant.covers === 'tool' ? `${grant.tool_name} is allowed in this session` : grant.covers === 'directory' ? `File changes below ${grant.path} are allowed` : 'Everything is allowed';
    this.#stamp(`${what}${grant.expires_at ? ` until ${clock(grant.expires_at)}` : ''}`, grant.created_by ? who(grant.created_by) : null);
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
    const cost = typeof data.cost_usd === 'number' && data.cost_usd > 0 ? `$${data.cost_usd.toFixed(data.cost_usd < 0.1 ? 4 : 2)}` : null;
    const end = data.interrupted ? 'Interrupted' : data.ok ? 'Done' : `Ended: ${data.reason ?? 'failed'}`;
    this.#stamp(end, typeof data.duration_ms === 'number' ? duration(data.duration_ms) : null, cost);
  }

  on_error(data) { this.#note('bad', 'failed', 'It failed', data.message); }
  on_warning(data) { this.#note('ask', 'ask', 'Warning', data.message); }
  on_retry(data) { this.#note('again', 'again', `Tries again (${data.attempt} of ${data.max_attempts})`, [data.error, data.delay_ms ? `in ${duration(data.delay_ms)}` : null].filter(Boolean).join(', ')); }

  on_agent_started(data) {
    if (data.resumed) this.#note('again', 'again', 'Agent started again', 'It goes on with its conversation.');
    else this.#stamp(['Agent started', data.agent, data.version].filter(Boolean).join(' '));
  }

  on_agent_exited(data) {
    if (data.cause === 'clean' || data.cause === 'stopped') return this.#stamp(CAUSES[data.cause]);
    return this.#note('bad', 'failed', 'Agent ended', `${CAUSES[data.cause] ?? data.cause ?? 'It ended'}${data.message ? `: ${data.message}` : ''}`, data.stderr ?? []);
  }

  on_agent_restarting(data) { this.#note('again', 'again', 'Agent restarts', `Try ${data.attempt}${data.delay_ms ? ` in ${duration(data.delay_ms)}` : ''}. ${data.message ?? ''}`.trim()); }
  on_agent_held(data) { this.#note('held', 'held', `Held${data.until ? ` until ${clock(data.until)}` : ''}`, data.message); }

  on_agent_unparsed(data) {
    const said = () => el('div', { class: 'out' }, ...visible(`${data.message ?? ''}\n${data.line ?? ''}`));
    this.#row(folded('tool', [icon('task'), el('code', { text: 'The agent said something that was not understood' })], said).row);
  }

  on_checkpoint(data) { this.#stamp('Work tree saved', data.message); }
}

/// A row that opens; what is inside is made when it is opened first. `more` puts another part inside.
function folded(kind, summary, ...makers) {
  const inside = el('div', { class: 'inside' });
  const fill = () => { for (const make of makers.splice(0)) inside.append(make()); };
  const row = el('details', { class: kind, on: { toggle: () => { if (row.open) fill(); } } }, el('summary', {}, ...summary.filter(Boolean)), inside);
  const more = (make) => {
    makers.push(make);
    if (row.open) fill();
  };
  return { row, more };
}

function ending(data) {
  return el('span', { class: 'end' }, data.is_error ? state('failed', 'Failed') : state('good', ''));
}

function output(text, truncated) {
  const node = el('div', { class: 'out result' });
  const lines = text.split('\n').length;
  if (text.length <= SHORT_OUTPUT) {
    node.append(...visible(text || 'No output'));
  } else {
    node.append(...visible(text.slice(0, SHORT_OUTPUT)));
    node.append(el('button', { class: 'all', text: `Show all ${lines.toLocaleString()} lines`, on: { click: () => node.replaceChildren(...visible(text)) } }));
  }
  if (truncated) node.append(el('div', { class: 'meta', text: 'Cut by the agent.' }));
  return node;
}
