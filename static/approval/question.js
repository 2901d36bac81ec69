// A question of the agent: its choices as rows, and a field for something else.

import { el, visible } from '../core/dom.js';

/// What is chosen so far; `changed` is called when it is another.
export class Choices {
  changed = () => {};
  /// Called when one tap is the whole answer.
  answered = () => {};
  #chosen = new Map();

  of(question) {
    let chosen = this.#chosen.get(question);
    if (!chosen) {
      chosen = { labels: new Set(), own: '' };
      this.#chosen.set(question, chosen);
    }
    return chosen;
  }

  /// As the API takes them; null while a question has none.
  get answers() {
    const all = {};
    for (const [question, { labels, own }] of this.#chosen) {
      const answers = [...labels, ...(own ? [own] : [])];
      if (answers.length === 0) return null;
      all[question] = answers;
    }
    return this.#chosen.size > 0 ? all : null;
  }
}

/// Chooses the nth row of the first question (the keys 1 to 9).
export const choose = (card, index) => card.querySelectorAll('.option')[index]?.click();

export function questions(approval, choices, shape) {
  return (approval.questions ?? []).flatMap((question, index) => [
    el('h2', {}, index === 0 ? shape : null, el('span', {}, visible(question.question)), question.multi_select ? el('span', { class: 'chip', text: 'Several' }) : null),
    options(question, choices),
  ]);
}

function options(question, choices) {
  const chosen = choices.of(question.question);
  const several = question.multi_select;
  const role = several ? 'checkbox' : 'radio';
  const mark = () => { for (const [row, label] of rows) row.setAttribute('aria-checked', String(chosen.labels.has(label))); };
  const tick = (label) => () => {
    if (several && chosen.labels.has(label)) chosen.labels.delete(label);
    else {
      if (!several) { chosen.labels.clear(); own.value = chosen.own = ''; }
      chosen.labels.add(label);
    }
    mark();
    choices.changed();
  };
  const rows = question.options.map((option) => {
    // A description that only repeats the name says nothing.
    const about = option.description && option.description !== option.label ? option.description : null;
    return [el('button', { class: 'option', role, 'aria-checked': String(chosen.labels.has(option.label)), on: { click: tick(option.label) } },
      el('span', { class: several ? 'box' : 'ring' }), el('span', {}, el('span', {}, visible(option.label)), about ? el('small', {}, visible(about)) : null)), option.label];
  });
  const own = el('input', { class: 'own', placeholder: 'Something else…', autocomplete: 'off', 'aria-label': `Another answer to: ${question.question}`, on: { input() {
    chosen.own = own.value.trim();
    if (chosen.own && !several) { chosen.labels.clear(); mark(); }
    choices.changed();
  } } });
  own.value = chosen.own;
  return el('div', { class: 'options', role: several ? 'group' : 'radiogroup', 'aria-label': question.question }, rows.map(([row]) => row), own);
}
