// The door: a browser that may not come in yet, or not any more.

import { el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { alarm } from '../core/say.js';
import { login } from '../data/api.js';

/// What a browser calls itself, for the list of devices.
function browserName(agent = navigator.userAgent) {
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox|FxiOS/.test(agent) ? 'Firefox' : /Chrome|CriOS/.test(agent) ? 'Chrome' : /Safari/.test(agent) ? 'Safari' : 'Browser';
  const system = /iPhone/.test(agent) ? 'iPhone' : /iPad/.test(agent) ? 'iPad' : /Android/.test(agent) ? 'Android' : /Mac OS/.test(agent) ? 'Mac' : /Windows/.test(agent) ? 'Windows' : /Linux/.test(agent) ? 'Linux' : null;
  return system ? `${browser} on ${system}` : browser;
}

class Login extends Part {
  code = null;
  /// Whether it was in before and is not any more.
  removed = false;

  build() {
    this.className = 'pane login';
    this.field = el('input', { id: 'code', placeholder: 'XXXXX-XXXXX', autocomplete: 'one-time-code', autocapitalize: 'characters', spellcheck: 'false', maxlength: 64 });
    this.field.value = this.code ?? '';
    this.named = el('input', { id: 'name', maxlength: 80, autocomplete: 'off' });
    this.named.value = browserName();
    this.button = el('button', { class: 'btn main', type: 'submit', text: 'Log in' });
    this.failure = el('p', { class: 'why', role: 'alert', hidden: true });
    this.append(el('main', { class: 'scroll' }, el('form', { class: 'form door', novalidate: true, on: { submit: (event) => { event.preventDefault(); this.#submit(); } } },
      icon(this.removed ? 'offline' : 'phone'),
      el('h1', { text: this.removed ? 'This device was removed' : 'Pair this browser' }),
      el('p', {}, this.removed ? 'Pair it again with ' : 'On the machine where Tether runs, call ', el('code', { text: 'tether pair' }), '. Open its link here, or type its code.'),
      el('label', { for: 'code', text: 'Code' }), this.field,
      el('label', { for: 'name', text: 'Name of this device' }), this.named,
      this.failure, this.button)));
    // A link that was opened on purpose needs no second tap.
    if (this.code) this.#submit();
    else this.field.focus();
  }

  async #submit() {
    this.failure.hidden = true;
    this.button.disabled = true;
    try {
      await login(this.field.value.trim(), this.named.value.trim() || browserName());
      location.replace('/');
    } catch (error) {
      const text = error.status === 401 ? 'This code is wrong, used or too old. Make a new one with tether pair.' : error.status === 429 ? 'Too many tries. Wait a minute, then try again.' : error.message;
      this.failure.hidden = false;
      this.failure.textContent = text;
      alarm(text);
      this.button.disabled = false;
    }
  }
}

export const door = part('tether-login', Login);
