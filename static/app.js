// The page: which screen is shown, and what all screens share.

import { el, icon } from './dom.js';
import { Login, NewSession, browserName } from './forms.js';
import { Home } from './home.js';
import { SessionView } from './session.js';
import { Store } from './store.js';
import { Wire } from './wire.js';
import { clock } from './words.js';

/// A gap shorter than this is not worth a word.
const SHORT_GAP = 3000;

const root = document.getElementById('app');

class App {
  wire = new Wire();
  store = new Store(this.wire);

  #home = null;
  #side = null;
  #shown = null;
  #banners = new Set();
  #bannerTimer = null;

  start() {
    this.#home = new Home(this);
    this.store.addEventListener('change', () => this.#update());
    this.wire.addEventListener('status', () => this.#connection());
    this.wire.addEventListener('signed-out', () => showLogin(null));
    addEventListener('popstate', () => this.#route());
    setInterval(() => {
      this.#home.tick();
      this.#side?.tick();
      this.#drawBanners();
    }, 10_000);
    this.#route();
    this.wire.start();
    this.#connection();
  }

  go(path) {
    if (path !== location.pathname) history.pushState(null, '', path);
    this.#route();
  }

  open(session) { this.go(`/s/${session}`); }

  /// A place for what must be known about the connection and the daemon; every screen has one.
  banner() {
    const node = el('div', { class: 'banner', role: 'status', hidden: true });
    this.#banners.add(new WeakRef(node));
    return node;
  }

  #route() {
    const session = /^\/s\/(sess_[0-9a-f]{12})$/.exec(location.pathname)?.[1];
    const key = session ?? (location.pathname === '/new' ? 'new' : null);
    if (key !== this.#shown || !this.#home.node.isConnected) {
      this.#side?.end();
      this.#side = session ? new SessionView(this, session) : key === 'new' ? new NewSession(this) : null;
      this.#shown = key;
      root.replaceChildren(...[this.#home.node, this.#side?.node].filter(Boolean));
      root.classList.toggle('has-side', this.#side !== null);
    }
    this.#home.select(session ?? null);
    this.#update();
    this.#drawBanners();
  }

  #update() {
    this.#home.update();
    this.#side?.update();
    const open = this.store.open().length;
    document.title = open > 0 ? `(${open}) Tether` : 'Tether';
    this.#drawBanners();
  }

  #connection() {
    this.#home.connection();
    this.#side?.connection();
    clearTimeout(this.#bannerTimer);
    this.#bannerTimer = setTimeout(() => this.#drawBanners(), SHORT_GAP);
    if (this.wire.online) this.#drawBanners();
  }

  #drawBanners() {
    const { wire, store } = this;
    const offline = !wire.online && Date.now() - wire.since >= SHORT_GAP - 100;
    const trouble = store.condition.state !== 'healthy' ? store.condition.message : null;
    for (const reference of this.#banners) {
      const node = reference.deref();
      if (!node) {
        this.#banners.delete(reference);
        continue;
      }
      const text = offline ? `Offline since ${clock(wire.since)}. Answers wait.` : trouble;
      if (node.dataset.text === (text ?? '')) continue;
      node.dataset.text = text ?? '';
      node.hidden = !text;
      node.replaceChildren(...(text ? [icon('offline'), el('span', { text }), offline ? el('button', { class: 'end', text: 'Retry', on: { click: () => wire.retry() } }) : null].filter(Boolean) : []));
    }
  }
}

function showLogin(code) {
  root.classList.remove('has-side');
  root.replaceChildren(new Login(code, browserName()).node);
}

if (location.pathname === '/login') {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  // The code is good once, and no business of the history.
  history.replaceState(null, '', '/login');
  showLogin(code);
} else {
  new App().start();
}
