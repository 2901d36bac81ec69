// What comes from below: a dialog with a title and rows. Escape, Close and a tap beside it close it, and the focus
// goes back to where it was (the browser's own `dialog` does that).

import { el } from './dom.js';
import { icon } from './icons.js';

/// Opens a sheet. Gives the dialog; `close()` closes it. `wide` gives it the room that a long text needs.
export function sheet(title, content, { wide = false, className = '' } = {}) {
  const dialog = el('dialog', { class: `sheet ${wide ? 'wide' : ''} ${className}`, 'aria-label': typeof title === 'string' ? title : title.textContent });
  const close = el('button', { class: 'icon', 'aria-label': 'Close', on: { click: () => dialog.close() } }, icon('close'));
  dialog.append(el('header', {}, el('h2', {}, title), close), el('div', { class: 'sheet-body' }, content));
  dialog.addEventListener('close', () => dialog.remove());
  // The press must begin beside it, too: a selection that ends there closes nothing.
  let began = false;
  dialog.addEventListener('pointerdown', (event) => { began = event.target === dialog; });
  dialog.addEventListener('click', (event) => { if (began && event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/// A row of a sheet: what it does, and a word about it.
export function line(title, about, run, { className = '' } = {}) {
  return el('button', { class: `line ${className}`, on: { click: run } }, el('b', { text: title }), about ? el('small', { text: about }) : null);
}

/// Asks before something that cannot be taken back. The safe way is the first and has the focus.
export function ask(title, text, { keep = 'Keep', go, danger = true }) {
  return new Promise((resolve) => {
    const finish = (answer) => () => { resolve(answer); dialog.close(); };
    const stay = el('button', { class: 'btn', text: keep, autofocus: true, on: { click: finish(false) } });
    const act = el('button', { class: danger ? 'btn bad' : 'btn main', text: go, on: { click: finish(true) } });
    const dialog = sheet(title, [el('p', { text }), el('div', { class: 'acts' }, stay, act)]);
    dialog.addEventListener('close', () => resolve(false));
    stay.focus();
  });
}

/// Asks for one line of text; null when it was left.
export function askText(title, { label, value = '', go = 'Save', most = 200 }) {
  return new Promise((resolve) => {
    const field = el('input', { 'aria-label': label, maxlength: most, autocomplete: 'off' });
    field.value = value;
    const form = el('form', { class: 'form', on: { submit(event) {
      event.preventDefault();
      resolve(field.value.trim() || null);
      dialog.close();
    } } }, field, el('button', { class: 'btn main', type: 'submit', text: go }));
    const dialog = sheet(title, form);
    dialog.addEventListener('close', () => resolve(null));
    field.focus();
    field.select();
  });
}
