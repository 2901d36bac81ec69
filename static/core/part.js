// A part of a screen: a custom element whose effects live as long as it stands in the page.

import { scope } from './reactive.js';

export class Part extends HTMLElement {
  #end = null;

  connectedCallback() {
    // Moved, not removed: the end below has not come yet.
    if (this.#end) return;
    this.#end = scope(() => this.build());
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected || !this.#end) return;
      this.#end();
      this.#end = null;
      this.replaceChildren();
    });
  }

  /// Fills the element and states its effects; called each time that it enters the page.
  build() {}
}

/// Makes the element known and gives the function that makes one with these properties.
export function part(name, kind) {
  customElements.define(name, kind);
  return (properties = {}) => Object.assign(document.createElement(name), properties);
}
