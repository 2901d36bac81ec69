// What would happen, whole: the part of a card between who asks and the answer.

import { el, visible } from '../core/dom.js';
import { glyph, icon } from '../core/icons.js';
import { rendered } from '../data/rendered.js';
import { commandOf, deed } from '../words.js';
import { command } from './command.js';
import { diff } from './diff.js';
import { questions } from './question.js';

/// What the daemon found risky. What it did not judge (an approval of an older daemon) is held like what is dangerous.
export function riskOf(approval) {
  const risk = approval.risk ?? {};
  return { danger: approval.risk ? risk.level !== 'normal' : commandOf(approval) !== null, marks: risk.marks ?? [], reasons: risk.reasons ?? [], invisible: risk.invisible ?? [] };
}

/// The nodes. `choices` takes what is chosen of a question.
export function content(approval, choices, shape, { inline = false } = {}) {
  const input = approval.tool_input && typeof approval.tool_input === 'object' ? approval.tool_input : {};
  const risk = riskOf(approval);
  const nodes = [];
  // In its own session what was said stands right above.
  const said = approval.kind === 'trust' ? null : (inline ? null : approval.said) || approval.reason || (commandOf(approval) !== null && typeof input.description === 'string' ? input.description : null);
  if (said && approval.kind !== 'question') nodes.push(el('p', { class: 'said' }, visible(String(said).trim())));
  if (approval.subagent) nodes.push(el('p', { class: 'meta', text: 'A sub-agent asks' }));
  if (approval.kind === 'question') return [...nodes, ...questions(approval, choices, shape)];
  if (approval.kind === 'trust') return [...nodes, ...trust(approval, input, shape)];
  const chip = approval.kind === 'unknown' ? el('span', { class: 'chip ask', text: 'Not understood: shown raw' })
    : risk.danger ? el('span', { class: 'chip bad' }, icon('warn'), 'Dangerous') : null;
  nodes.push(el('h2', {}, shape, el('span', {}, visible(deed(approval))), chip));
  nodes.push(...what(approval, input, risk));
  const reasons = risk.reasons.length > 0 ? risk.reasons : [...new Set(risk.marks.map((mark) => mark.reason).filter(Boolean))];
  if (reasons.length > 0) nodes.push(el('p', { class: 'why' }, glyph('failed'), el('span', {}, visible(sentence(reasons)))));
  return nodes;
}

const sentence = (reasons) => {
  const text = reasons.slice(0, 4).join('; ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${reasons.length > 4 ? '; and more' : ''}.`;
};

function what(approval, input, risk) {
  if (approval.kind === 'unknown') return [well(JSON.stringify(approval.tool_input, null, 2))];
  if (approval.kind === 'plan') {
    const told = typeof input.plan === 'string' && input.plan.trim() !== '';
    const file = typeof input.planFilePath === 'string' ? [el('div', { class: 'field' }, 'written to ', visible(input.planFilePath))] : [];
    const text = told ? plan(input.plan) : el('p', { class: 'trust', text: 'The agent wrote no plan down. Keep planning to ask it for one.' });
    return [text, ...file, ...fields(input, file.length > 0 ? ['plan', 'planFilePath'] : ['plan'])];
  }
  const shell = commandOf(approval);
  if (shell !== null) return [command(shell, risk.marks), ...fields(input, ['command', 'cmd', 'description'])];
  if (approval.diff) {
    const whole = !/^… \d+ more lines are not shown$/m.test(approval.diff);
    return [diff(approval.diff), ...(whole ? [] : fields(input, []))];
  }
  return fields(input, []);
}

/// What a directory brings along for agents, which would count.
function trust(approval, input, shape) {
  // In full where it lies elsewhere: what is trusted must be seen.
  const named = (file) => (file.startsWith(`${approval.directory}/`) ? file.slice(approval.directory.length + 1) : file);
  return [
    el('h2', {}, shape, el('span', { text: deed(approval) })),
    el('p', { class: 'trust' }, approval.reason ? 'It brings something along for agents. ' : '', visible(approval.reason || approval.title)),
    el('div', { class: 'field' }, 'in ', visible(approval.directory)),
    ...(Array.isArray(input.files) ? [well(input.files.map((file) => named(String(file))).join('\n'))] : []),
    ...fields(input, ['directory', 'files']),
  ];
}

const well = (text) => el('div', { class: 'well', tabindex: 0, role: 'group', 'aria-label': 'Input' }, visible(text));

function plan(text) {
  const node = el('div', { class: 'plan prose' });
  const html = rendered('markdown', text, { done: () => {
    const later = rendered('markdown', text);
    if (later) { node.classList.remove('raw'); node.replaceChildren(later); }
  } });
  if (html) node.append(html);
  else { node.classList.add('raw'); node.append(...visible(text)); }
  return node;
}

/// Every field of an input that is not shown otherwise; nothing that the agent would get is left out.
function fields(input, shown) {
  const rest = Object.entries(input).filter(([name]) => !shown.includes(name));
  const short = rest.filter(([, value]) => typeof value !== 'object' && String(value).length <= 40 && !String(value).includes('\n'));
  const long = rest.filter((entry) => !short.includes(entry));
  const nodes = long.flatMap(([name, value]) => [
    el('div', { class: 'field' }, visible(name)),
    well(typeof value === 'string' ? value : JSON.stringify(value, null, 2)),
  ]);
  if (short.length > 0) {
    nodes.push(el('div', { class: 'field' }, short.flatMap(([name, value], index) => [index > 0 ? ' · ' : '', ...visible(`${name}: ${value}`)])));
  }
  return nodes;
}
