// What is changed in the session's directory since the last commit.

import { el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, signal } from '../core/reactive.js';
import { diff as drawDiff } from '../approval/diff.js';
import { middle, store, wire } from '../context.js';
import { diff } from '../data/api.js';
import { plural } from '../words.js';

class DiffTab extends Part {
  session = null;
  /// How many files are changed, for the tab's word; null while it is not known.
  files = signal(null);

  #answer = signal(null);
  #failure = signal(null);
  #beside = signal(null);

  build() {
    this.className = 'tab-pane diff-tab';
    const words = el('span', { class: 'meta grow' });
    const beside = el('button', { class: 'quiet', on: { click: () => { this.#beside.value = !this.#isBeside(); } } });
    const body = el('div', { class: 'tab-body' });
    this.append(el('div', { class: 'tools-bar' }, words, beside, el('button', { class: 'quiet', text: 'Look again', on: { click: () => this.read() } })), body);
    effect(() => {
      const answer = this.#answer.value;
      const failure = this.#failure.value;
      const room = this.clientWidth >= 640 && middle.value;
      beside.hidden = !room || !answer?.diff;
      beside.textContent = this.#isBeside() ? 'One column' : 'Side by side';
      if (failure) {
        words.textContent = '';
        body.replaceChildren(el('div', { class: 'empty' }, icon('warn'), el('h2', { text: 'Not read' }), el('p', { text: failure }), el('button', { class: 'btn', text: 'Try again', on: { click: () => this.read() } })));
        return;
      }
      if (!answer) { body.replaceChildren(el('div', { class: 'skeletons', 'aria-hidden': 'true' }, el('div', { class: 'skeleton card-size' }))); return; }
      words.textContent = answer.files.length > 0 ? `${plural(answer.files.length, 'file')} changed${answer.truncated ? ', some left out' : ''}` : '';
      if (answer.files.length === 0) {
        const git = store.sessions.peek().get(this.session)?.directory_has_git;
        body.replaceChildren(el('div', { class: 'empty' }, icon('done'), el('h2', { text: git ? 'No changes' : 'No git here' }), el('p', { text: git ? 'Nothing differs from the last commit.' : 'The directory is not the top of a git work tree.' })));
        return;
      }
      body.replaceChildren(drawDiff(answer.diff, { sideBySide: room && this.#isBeside(), folded: answer.files.length > 1 ? null : false }));
    });
    // It is read again when the agent has stopped working.
    const at = computed(() => store.session(this.session).value?.state);
    effect(() => { at.value; if (wire.online.value) this.read(); });
  }

  #isBeside() { return this.#beside.value ?? this.clientWidth >= 900; }

  async read() {
    try {
      const answer = await diff(this.session);
      this.#failure.value = null;
      if (JSON.stringify(answer) !== JSON.stringify(this.#answer.peek())) this.#answer.value = answer;
      this.files.value = answer.files.length;
    } catch (error) {
      if (!this.#answer.peek()) this.#failure.value = error.message;
    }
  }
}

export const diffTab = part('tether-diff', DiffTab);
