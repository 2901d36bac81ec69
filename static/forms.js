// New session, and the door.

import { createSession, login, startSession } from './api.js';
import { alarm, el, glyph, icon } from './dom.js';

function failure() {
  const node = el('p', { class: 'why', role: 'alert', hidden: true });
  return {
    node,
    say(text) {
      node.hidden = !text;
      node.replaceChildren(...(text ? [glyph('failed'), el('span', { text })] : []));
      if (text) alarm(text);
    },
  };
}

export class NewSession {
  #app;
  #directory = el('input', { id: 'directory', list: 'known-directories', placeholder: '~/work/project', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', required: true });
  #prompt = el('textarea', { id: 'prompt', rows: 5, placeholder: 'What should the agent do?', required: true });
  #start = el('button', { class: 'btn main', type: 'submit', text: 'Start session' });
  #failure = failure();
  #known = el('datalist', { id: 'known-directories' });
  /// Made already, by a try that failed at the start.
  #made = null;

  constructor(app) {
    this.#app = app;
    const form = el('form', { class: 'form', novalidate: true, on: { submit: (event) => { event.preventDefault(); this.#submit(); } } },
      el('label', { for: 'directory', text: 'Directory' }), this.#directory, this.#known,
      el('label', { for: 'prompt', text: 'First message' }), this.#prompt,
      el('p', { class: 'meta', text: 'Every tool asks first. You can allow more from a question.' }),
      this.#failure.node, this.#start);
    this.node = el('main', { class: 'pane' },
      el('header', { class: 'bar has-back' }, el('button', { class: 'icon back', 'aria-label': 'Back', on: { click: () => app.go('/') } }, icon('back')), el('div', { class: 'grow' }, el('h1', { text: 'New session' }))),
      app.banner(), el('div', { class: 'scroll' }, form));
  }

  update() {
    const known = new Set([...this.#app.store.sessions.values()].map((session) => session.directory).filter(Boolean));
    if (this.#known.childElementCount !== known.size) this.#known.replaceChildren(...[...known].sort().map((value) => el('option', { value })));
    if (this.#directory.value === '' && document.activeElement !== this.#directory && !this.touched) {
      const newest = [...this.#app.store.sessions.values()].filter((session) => session.directory).sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at))[0];
      if (newest) {
        this.#directory.value = newest.directory;
        this.touched = true;
      }
    }
  }

  tick() {}
  connection() {}
  end() {}

  async #submit() {
    const [directory, prompt] = [this.#directory.value.trim(), this.#prompt.value.trim()];
    if (!directory) return this.#failure.say('Name the directory that the agent works in.');
    if (!prompt) return this.#failure.say('Say what the agent should do.');
    this.#failure.say(null);
    this.#start.disabled = true;
    this.#start.textContent = 'Starting…';
    try {
      if (this.#made?.directory !== directory) this.#made = { directory, session: await createSession(directory) };
      await startSession(this.#made.session.id, prompt);
      this.#app.open(this.#made.session.id);
    } catch (error) {
      this.#failure.say(error.message);
    } finally {
      this.#start.disabled = false;
      this.#start.textContent = 'Start session';
    }
  }
}

export class Login {
  #code = el('input', { id: 'code', autocomplete: 'one-time-code', autocapitalize: 'characters', spellcheck: 'false', placeholder: 'XXXXX-XXXXX' });
  #enter = el('button', { class: 'btn main', type: 'submit', text: 'Sign in' });
  #failure = failure();
  #name;

  /// With a code it signs in at once.
  constructor(code, name) {
    this.#name = name;
    this.#code.value = code ?? '';
    this.node = el('main', { class: 'pane' },
      el('header', { class: 'bar' }, el('div', { class: 'grow' }, el('h1', { text: 'Tether' }))),
      el('div', { class: 'scroll' }, el('form', { class: 'form', on: { submit: (event) => { event.preventDefault(); this.#submit(); } } },
        el('h2', { text: 'This browser is not signed in' }),
        el('p', {}, 'Run ', el('code', { text: 'tether open' }), ' on the machine where Tether runs: it prints a link and a code for this browser.'),
        el('label', { for: 'code', text: 'Code' }), this.#code, this.#failure.node, this.#enter)));
    if (code) this.#submit();
  }

  async #submit() {
    const code = this.#code.value.trim();
    if (!code) return this.#failure.say('Enter the code that tether open prints.');
    this.#failure.say(null);
    this.#enter.disabled = true;
    this.#enter.textContent = 'Signing in…';
    try {
      await login(code, this.#name);
      location.replace('/');
    } catch (error) {
      this.#failure.say(error.status === 401 || error.status === 403 ? 'This code is not good any more. Run tether open for a new one.' : error.message);
      this.#enter.disabled = false;
      this.#enter.textContent = 'Sign in';
    }
  }
}

/// What to call this browser in the list of devices: `Chrome on Android`.
export function browserName(agent = navigator.userAgent) {
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : 'Browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser} on ${system}` : browser;
}
