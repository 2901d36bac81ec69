// New session: where, who, how much it may do, and what is to be done. The last choice is remembered.

import { el, setText } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect, signal } from '../core/reactive.js';
import { ask } from '../core/sheet.js';
import { alarm } from '../core/say.js';
import { back, fine, go, store } from '../context.js';
import { agents, checkDirectory, completeDirectory, createSession, recentDirectories, startSession } from '../data/api.js';
import { banner } from '../shell/banner.js';
import { MODES, place } from '../words.js';

const LAST = 'tether.last-choice';
/// How long typing must rest before a path is looked at, in milliseconds.
const REST = 150;

const lastChoice = () => {
  try { return JSON.parse(localStorage.getItem(LAST)) ?? {}; } catch { return {}; }
};

class NewSession extends Part {
  /// Made already, by a try that failed at the start.
  #made = null;

  build() {
    this.className = 'pane new';
    const kept = lastChoice();
    this.directory = el('input', { id: 'directory', placeholder: '~/work/project', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'directories', 'aria-autocomplete': 'list', 'aria-describedby': 'directory-told' });
    this.directory.value = kept.directory ?? '';
    this.prompt = el('textarea', { id: 'prompt', rows: 5, placeholder: 'What should the agent do?' });
    this.model = el('input', { id: 'model', list: 'models', placeholder: 'The agent’s default', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
    this.model.value = kept.model ?? '';
    this.agent = signal(kept.agent ?? null);
    this.mode = signal(kept.mode === 1 ? 1 : 0);
    this.start = el('button', { class: 'btn main', type: 'submit', text: 'Start session' });
    this.failure = el('p', { class: 'why', role: 'alert', hidden: true });
    const told = el('p', { class: 'meta told', id: 'directory-told' });
    this.told = told;
    const list = el('div', { class: 'choices-list', id: 'directories', role: 'listbox', 'aria-label': 'Directories', hidden: true });
    const recent = el('div', { class: 'chips', hidden: true });
    const who = el('div', { class: 'options', role: 'radiogroup', 'aria-label': 'Agent' });
    const models = el('datalist', { id: 'models' });
    const modes = el('div', { class: 'options', role: 'radiogroup', 'aria-label': 'Approval mode' });
    const form = el('form', { class: 'form', novalidate: true, on: { submit: (event) => { event.preventDefault(); this.#submit(); } } },
      el('label', { for: 'directory', text: 'Directory' }), el('div', { class: 'with-list' }, this.directory, list), told, recent,
      el('span', { class: 'label', text: 'Agent' }), who,
      el('label', { for: 'model', text: 'Model' }), this.model, models,
      el('span', { class: 'label', text: 'Approval mode' }), modes,
      el('label', { for: 'prompt', text: 'Prompt' }), this.prompt, this.failure, this.start);
    this.append(el('header', { class: 'bar has-back' }, el('button', { class: 'icon back', 'aria-label': 'Back', on: { click: () => back('/') } }, icon('back')), el('div', { class: 'grow' }, el('h1', { text: 'New session' }))), banner(), el('div', { class: 'scroll' }, form));
    this.prompt.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.#submit(); } });
    this.#completion(list);
    this.#recent(recent);
    this.#agents(who, models);
    effect(() => {
      const chosen = this.mode.value;
      modes.replaceChildren(...MODES.map(([value, title, about]) => el('button', { type: 'button', class: 'option', role: 'radio', 'aria-checked': String(value === chosen), data: { mode: value }, on: { click: () => this.#setMode(value) } }, el('span', { class: 'ring' }), el('span', {}, title, el('small', { text: about })))));
    });
    if (this.directory.value) this.#check();
    if (fine.peek()) (this.directory.value ? this.prompt : this.directory).focus();
  }

  async #setMode(value) {
    if (value === 2 && !await ask('Allow everything?', 'Whatever the agent wants to run runs without a question.', { keep: 'Keep asking', go: 'Allow everything' })) return;
    this.mode.value = value;
    this.querySelector(`[data-mode="${value}"]`)?.focus();
  }

  #completion(list) {
    let timer = null;
    let at = -1;
    let newest = 0;
    const close = () => {
      list.hidden = true;
      at = -1;
      this.directory.setAttribute('aria-expanded', 'false');
      this.directory.removeAttribute('aria-activedescendant');
    };
    const take = (path) => {
      this.directory.value = path.endsWith('/') ? path : `${path}/`;
      this.directory.focus();
      look();
      this.#check();
    };
    const look = async () => {
      const mine = ++newest;
      const text = this.directory.value.trim();
      const found = text === '' ? null : await completeDirectory(text).catch(() => null);
      if (mine !== newest) return;
      const names = (Array.isArray(found) ? found : found?.directories ?? found?.entries ?? found?.items ?? []).map((entry) => (typeof entry === 'string' ? entry : entry.path)).filter((path) => typeof path === 'string');
      if (names.length === 0 || document.activeElement !== this.directory) { close(); return; }
      list.replaceChildren(...names.slice(0, 50).map((path, index) => el('div', { role: 'option', id: `directory-${index}`, 'aria-selected': 'false', on: { pointerdown: (event) => { event.preventDefault(); take(path); } } }, icon('folder'), el('span', { class: 'cut', text: place(path, 60) }))));
      list.hidden = false;
      this.directory.setAttribute('aria-expanded', 'true');
    };
    this.directory.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => { look(); this.#check(); }, REST);
    });
    this.directory.addEventListener('focus', look);
    this.directory.addEventListener('blur', () => { close(); this.#check(); });
    this.directory.addEventListener('keydown', (event) => {
      const rows = [...list.children];
      if (list.hidden || rows.length === 0) return;
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        at = (at + (event.key === 'ArrowDown' ? 1 : -1) + rows.length) % rows.length;
        rows.forEach((row, index) => row.setAttribute('aria-selected', String(index === at)));
        rows[at].scrollIntoView({ block: 'nearest' });
        this.directory.setAttribute('aria-activedescendant', rows[at].id);
      } else if (event.key === 'Enter' && at >= 0) {
        event.preventDefault();
        take(rows[at].querySelector('.cut').textContent);
      } else if (event.key === 'Escape') {
        event.stopPropagation();
        close();
      }
    });
  }

  async #check() {
    const path = this.directory.value.trim();
    if (path === '') { setText(this.told, ''); return; }
    try {
      const { exists, is_git: git, path: real } = await checkDirectory(path);
      if (this.directory.value.trim() !== path) return;
      setText(this.told, exists ? `${place(real, 60)}${git ? ', a git work tree' : ''}` : 'No such directory on the daemon’s machine.');
      this.told.classList.toggle('bad', !exists);
    } catch {
      setText(this.told, '');
    }
  }

  async #recent(node) {
    const answer = await recentDirectories().catch(() => null);
    const told = (Array.isArray(answer) ? answer : answer?.directories ?? []).map((entry) => (typeof entry === 'string' ? entry : entry.path));
    const known = [...store.sessions.peek().values()].sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at)).map((session) => session.directory);
    const paths = [...new Set([...told, ...known].filter(Boolean))].slice(0, 8);
    node.hidden = paths.length === 0;
    node.replaceChildren(...paths.map((path) => el('button', { type: 'button', class: 'chip-button', title: path, on: { click: () => { this.directory.value = path; this.#check(); } } }, icon('folder'), place(path, 26))));
  }

  async #agents(node, models) {
    node.replaceChildren(el('p', { class: 'meta', text: 'Looking which agents are here…' }));
    const answer = await agents().catch(() => null);
    if (!Array.isArray(answer)) {
      node.replaceChildren(el('p', { class: 'meta', text: 'The daemon did not tell which agents it has: its default is taken.' }));
      return;
    }
    // What is ready comes first; the default before the others.
    const rank = (agent) => (agent.ready ? 0 : 2) + (agent.default ? 0 : 1);
    const list = answer.sort((a, b) => rank(a) - rank(b)).map((agent) => ({
      id: agent.adapter, name: agent.title, ready: agent.ready, model: agent.model,
      about: agent.problem ?? agent.notice ?? (agent.version ? `Version ${agent.version}` : ''), models: agent.models ?? [],
    }));
    effect(() => {
      const chosen = list.find((agent) => agent.id === this.agent.value) ?? list.find((agent) => agent.ready) ?? list[0];
      this.chosenAgent = chosen ?? null;
      node.replaceChildren(...list.map((agent) => el('button', { type: 'button', class: 'option', role: 'radio', 'aria-checked': String(agent === chosen), on: { click: () => { this.agent.value = agent.id; } } }, el('span', { class: 'ring' }), el('span', {}, agent.name, agent.about ? el('small', { text: agent.about }) : null), agent.ready ? null : state('failed', 'Not ready'))));
      this.model.placeholder = chosen?.model ?? 'The agent’s default';
      models.replaceChildren(...(chosen?.models ?? []).map((model) => el('option', { value: model.id ?? model.name ?? model })));
    });
  }

  #fail(text) {
    this.failure.hidden = !text;
    this.failure.textContent = text ?? '';
    if (text) {
      alarm(text);
      this.failure.scrollIntoView({ block: 'nearest' });
    }
  }

  async #submit() {
    this.#fail(null);
    const directory = this.directory.value.trim();
    const prompt = this.prompt.value.trim();
    if (directory === '') { this.#fail('Name a directory on the daemon’s machine.'); this.directory.focus(); return; }
    if (prompt === '') { this.#fail('Say what the agent should do.'); this.prompt.focus(); return; }
    this.start.disabled = true;
    try {
      const adapter = this.chosenAgent?.id ?? null;
      const wanted = { directory, ...(adapter ? { adapter } : {}), ...(this.model.value.trim() ? { model: this.model.value.trim() } : {}), approval_mode: this.mode.peek() };
      const key = JSON.stringify(wanted);
      if (this.#made?.key !== key) this.#made = { key, session: await createSession(wanted) };
      const { session } = this.#made;
      await startSession(session.id, prompt, null, this.mode.peek());
      // Allowing everything is chosen anew each time.
      try { localStorage.setItem(LAST, JSON.stringify({ directory, agent: adapter, model: this.model.value.trim(), mode: this.mode.peek() === 1 ? 1 : 0 })); } catch { /* A private window keeps nothing. */ }
      go(`/s/${session.id}`, { replace: true });
    } catch (error) {
      this.#fail(`Not started: ${error.message}`);
    } finally {
      this.start.disabled = false;
    }
  }
}

export const newSession = part('tether-new', NewSession);
