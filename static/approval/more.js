// The other ways to answer, behind "more".

import { el, visible } from '../core/dom.js';
import { line, sheet } from '../core/sheet.js';
import { open } from '../context.js';
import { deed, object } from '../words.js';
import { riskOf } from './content.js';
import { hold, yes } from './hold.js';

/// `give(words)` sends the answer; `arm` says whether a yes counts yet.
export function more(approval, give, arm) {
  const { danger } = riskOf(approval);
  const ready = () => arm.state.peek() === 'armed';
  const answer = (words) => { dialog.close(); give(words); };
  const grant = (title, about, scope) => {
    const how = { ready, lead: () => { dialog.close(); arm.lead(); }, go: () => answer({ decision: 'allow', scope }), question: `${title}? ${about}`, className: 'line' };
    const button = danger ? hold(title, how) : yes(title, how);
    button.append(el('small', { text: danger ? `${about} Hold to allow.` : about }));
    return button;
  };
  const tool = approval.kind === 'tool';
  const rows = [
    tool && grant('Allow for this session and tool', `${approval.tool_name} is allowed here until the session is deleted or you take it back.`, 'tool'),
    tool && grant('Allow all for 30 minutes', 'Everything in this session, except questions and plans.', 'all30m'),
    tool && approval.is_edit && approval.paths?.length > 0 && grant('Allow in this directory', 'File changes beside or below this file, in this session.', 'directory'),
    tool && approval.can_change_input && line('Change and allow', 'Edit what runs, then allow it once.', () => { dialog.close(); change(approval, give); }),
    line(approval.kind === 'plan' ? 'Keep planning, with reason' : 'Deny with reason', 'The agent reads your words.', () => { dialog.close(); reason(approval, give); }),
    line('Show raw input', 'Exactly what the agent sent.', () => { dialog.close(); raw(approval); }),
    line('Open session', 'What led to this.', () => { dialog.close(); open(approval.session_id); }),
  ];
  const dialog = sheet(el('span', {}, visible(deed(approval))), rows.filter(Boolean));
}

/// Asks for a reason, then denies.
export function reason(approval, give) {
  const field = el('textarea', { rows: 3, placeholder: 'What should the agent do instead?', 'aria-label': 'Reason, which the agent reads' });
  const send = () => {
    dialog.close();
    give({ decision: 'deny', ...(field.value.trim() ? { message: field.value.trim() } : {}) });
  };
  const dialog = sheet(approval.kind === 'plan' ? 'Keep planning' : 'Deny with reason', el('form', { class: 'form', on: { submit: (event) => { event.preventDefault(); send(); } } },
    field, el('button', { class: 'btn main', type: 'submit', text: approval.kind === 'plan' ? 'Keep planning' : 'Deny' })));
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
  });
  field.focus();
}

export function raw(approval) {
  sheet(el('span', {}, visible(`${approval.tool_name} ${object(approval.tool_input)}`.slice(0, 60))), el('div', { class: 'well', tabindex: 0, role: 'group', 'aria-label': 'Raw input' }, visible(JSON.stringify(approval.tool_input, null, 2))), { wide: true });
}

/// Edits the input, then allows it once. What was changed was judged by nobody, so a command is held again.
export function change(approval, give) {
  const input = approval.tool_input;
  const text = ['command', 'content', 'new_string'].find((name) => typeof input?.[name] === 'string') ?? null;
  const field = el('textarea', { class: 'code', rows: 8, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', 'aria-label': text ? `Change ${text}` : 'Change the input (JSON)' });
  field.value = text ? input[text] : JSON.stringify(input, null, 2);
  const failure = el('p', { class: 'why', role: 'alert', hidden: true });
  const go = () => {
    let updated;
    try {
      updated = text ? { ...input, [text]: field.value } : JSON.parse(field.value);
    } catch (error) {
      failure.hidden = false;
      failure.textContent = `Not JSON: ${error.message}`;
      return;
    }
    dialog.close();
    give({ decision: 'allow', updated_input: updated });
  };
  const how = { ready: () => field.value.trim() !== '', lead: () => field.focus(), go, question: 'The changed input runs as you wrote it.' };
  const button = text === 'command' || riskOf(approval).danger ? hold('Hold to allow', how) : yes('Allow', how);
  const dialog = sheet('Change and allow', [text ? el('p', { class: 'meta', text: `${approval.tool_name}: ${text}` }) : null, field, failure, el('div', { class: 'acts' }, el('button', { class: 'btn', text: 'Cancel', on: { click: () => dialog.close() } }), button)], { wide: true });
  field.focus();
}
