// The field to speak to the agent: pictures, drafts, and what waits for its turn.

import { el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect, onEnd, signal, untracked } from '../core/reactive.js';
import { alarm } from '../core/say.js';
import { line, sheet } from '../core/sheet.js';
import { fine, outbox, store, wire } from '../context.js';
import { queue, startSession, steer, withdraw } from '../data/api.js';
import { draft } from '../data/settings.js';
import { uuid } from '../data/outbox.js';
import { size } from '../words.js';
import { read, MOST } from './pictures.js';

/// How long what was taken back can be brought back, in milliseconds.
const UNDO = 5000;

class Composer extends Part {
  session = null;

  #field;
  #pictures = signal([]);
  #queued = signal([]);
  #undo = signal(null);
  #failure = el('p', { class: 'why', role: 'alert', hidden: true });
  #chips = el('div', { class: 'queue', hidden: true, role: 'list', 'aria-label': 'Waits for its turn' });

  build() {
    const { session } = this;
    this.className = 'foot';
    this.setAttribute('role', 'form');
    this.setAttribute('aria-label', 'Message');
    this.#field = el('textarea', { rows: 1, 'aria-label': 'Message', enterkeyhint: 'enter', on: { input: () => this.#typed(), keydown: (event) => this.#key(event), paste: (event) => this.#paste(event) } });
    this.#field.value = draft.of(session);
    this.send = el('button', { class: 'send', 'aria-label': 'Send', on: { click: () => this.#say() } }, icon('send'));
    const attach = el('button', { class: 'icon', 'aria-label': 'Attach pictures', on: { click: () => this.#attach() } }, icon('clip'));
    const pictures = el('div', { class: 'pictures', hidden: true });
    this.append(this.#failure, this.#chips, pictures, el('div', { class: 'in' }, attach, this.#field, this.send));
    this.addEventListener('dragover', (event) => event.preventDefault());
    this.addEventListener('drop', (event) => { event.preventDefault(); this.#take(event.dataTransfer?.files ?? []); });

    effect(() => {
      const at = store.session(session).value?.state;
      const busy = at === 'RUNNING' || at === 'INTERRUPTING';
      this.#field.placeholder = busy ? 'Queue a message' : 'Message';
      this.send.setAttribute('aria-label', busy ? 'Queue' : 'Send');
    });
    effect(() => {
      const list = this.#pictures.value;
      pictures.hidden = list.length === 0;
      pictures.replaceChildren(...list.map((picture) => el('figure', {}, el('img', { src: picture.preview, alt: picture.filename }), el('button', { class: 'x', 'aria-label': `Remove ${picture.filename}`, on: { click: () => { this.#pictures.value = this.#pictures.peek().filter((one) => one !== picture); } } }, icon('close')))));
      untracked(() => this.#typed());
    });
    effect(() => this.#drawChips());
    const refused = ({ detail: { item, error } }) => {
      if (item.kind !== 'input' || item.session !== session) return;
      if (this.#field.value === '') {
        this.#field.value = item.frame.text;
        this.#typed();
      }
      this.#fail(`Not sent: ${error.message}`);
    };
    outbox.addEventListener('refused', refused);
    onEnd(() => outbox.removeEventListener('refused', refused));
    effect(() => { if (wire.online.value) this.readQueue(); });
    this.#typed();
  }

  /// Asks what waits; called when the events tell that it is another.
  async readQueue() {
    try {
      const list = await queue(this.session);
      this.#queued.value = list.filter((input) => input.state === 'queued');
    } catch {
      // What was known stays; the banner says why nothing answers.
    }
  }

  focusField() { this.#field.focus(); }

  #drawChips() {
    const waiting = [...outbox.items.value.values()].filter((item) => item.kind === 'input' && item.session === this.session && !item.sent && !wire.online.value);
    const queued = this.#queued.value;
    const undo = this.#undo.value;
    const chip = (text, edit, remove, now) => el('div', { class: 'q', role: 'listitem' }, el('button', { class: 'q-text', 'aria-label': `Edit: ${text}`, on: { click: edit } }, icon('edit'), el('span', { class: 'cut', text })), now ? el('button', { class: 'quiet', 'aria-label': `Send now: ${text}`, text: 'Send now', on: { click: now } }) : null, el('button', { class: 'x', 'aria-label': `Withdraw: ${text}`, on: { click: remove } }, icon('close')));
    const back = (text) => {
      this.#field.value = this.#field.value.trim() === '' ? text : `${text}\n${this.#field.value}`;
      this.#typed();
      this.#field.focus();
    };
    this.#chips.replaceChildren(
      ...queued.map((input) => chip(input.text, async () => { if (await this.#withdraw(input)) back(input.text); }, async () => { if (await this.#withdraw(input)) this.#offerUndo(input.text); }, input.can_steer ? () => this.#steer(input) : null)),
      ...waiting.map((item) => {
        const made = chip(item.frame.text, () => { if (outbox.takeBack(item.key)) back(item.frame.text); }, () => outbox.takeBack(item.key));
        made.querySelector('.cut').before(el('span', { class: 'meta', text: 'Waits for connection' }));
        return made;
      }),
      ...(undo ? [el('div', { class: 'q', role: 'listitem' }, el('span', { class: 'q-text', text: 'Taken back' }), el('button', { class: 'quiet', text: 'Undo', on: { click: () => { this.#undo.value = null; outbox.input(this.session, undo); } } }))] : []));
    this.#chips.hidden = this.#chips.childElementCount === 0;
  }

  async #withdraw(input) {
    try {
      await withdraw(this.session, input.input_id);
      this.#queued.value = this.#queued.peek().filter((one) => one !== input);
      return true;
    } catch (error) {
      this.#fail(`Not taken back: ${error.message}`);
      this.readQueue();
      return false;
    }
  }

  /// Into the running turn, without waiting for its end.
  async #steer(input) {
    try {
      await steer(this.session, input.input_id);
      this.#queued.value = this.#queued.peek().filter((one) => one !== input);
    } catch (error) {
      this.#fail(`Not sent yet: ${error.message}`);
      this.readQueue();
    }
  }

  #offerUndo(text) {
    this.#undo.value = text;
    setTimeout(() => { if (this.#undo.peek() === text) this.#undo.value = null; }, UNDO);
  }

  #key(event) {
    // On a keyboard Enter sends; on touch it breaks the line. Ctrl or Cmd with Enter sends everywhere.
    const sends = event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey || (!event.shiftKey && fine.peek()));
    if (!sends) return;
    event.preventDefault();
    this.#say();
  }

  #typed() {
    const text = this.#field.value;
    draft.set(this.session, text);
    this.send.disabled = text.trim() === '';
    this.#field.rows = Math.min(6, Math.max(1, text.split('\n').length));
    if (this.#field.rows < 6 && text.length > 40) {
      // A long line wraps: as high as it needs, up to six lines.
      this.#field.rows = 1;
      this.#field.rows = Math.min(6, Math.max(text.split('\n').length, Math.floor((this.#field.scrollHeight - 24) / 22)));
    }
  }

  async #say() {
    const text = this.#field.value;
    if (text.trim() === '') return;
    const pictures = this.#pictures.peek();
    const images = pictures.map(({ data, mimeType, filename }) => ({ type: 'image', data, mimeType, filename }));
    this.#field.value = '';
    this.#pictures.value = [];
    this.#typed();
    this.#fail(null);
    this.dispatchEvent(new Event('said', { bubbles: true }));
    const session = store.sessions.peek().get(this.session);
    if (session?.state !== 'CREATED') {
      outbox.input(this.session, text, images, uuid());
      return;
    }
    try {
      await startSession(this.session, text, images);
    } catch (error) {
      this.#field.value = text;
      this.#pictures.value = pictures;
      this.#typed();
      this.#fail(`Not sent: ${error.message}`);
    }
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith('image/'));
    if (files.length === 0) return;
    event.preventDefault();
    this.#take(files);
  }

  #attach() {
    const choose = (capture) => () => {
      dialog.close();
      const input = el('input', { type: 'file', accept: 'image/png,image/jpeg,image/gif,image/webp', multiple: !capture, ...(capture ? { capture: 'environment' } : {}), on: { change: () => this.#take(input.files ?? []) } });
      input.click();
    };
    const dialog = sheet('Attach', [line('Pick pictures', `At most ${MOST}, 8 MB each.`, choose(false)), line('Take a photo', 'With the camera of this device.', choose(true))]);
  }

  async #take(files) {
    for (const file of files) {
      if (this.#pictures.peek().length >= MOST) { this.#fail(`At most ${MOST} pictures go with one message.`); return; }
      try {
        const picture = await read(file);
        this.#pictures.value = [...this.#pictures.peek(), picture];
      } catch (error) {
        this.#fail(`${file.name || 'The picture'} (${size(file.size)}): ${error.message}`);
      }
    }
  }

  #fail(text) {
    this.#failure.hidden = !text;
    this.#failure.textContent = text ?? '';
    if (text) alarm(text);
  }
}

export const composer = part('tether-composer', Composer);
