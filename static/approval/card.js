// The card of one approval: who asks, what would happen, whole, and the answer. Several alike share one card.

import { el, setText } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, onEnd, signal, untracked } from '../core/reactive.js';
import { alarm } from '../core/say.js';
import { fine, now, open, outbox, selected, store, wire } from '../context.js';
import { buzz } from '../data/settings.js';
import { age, agentOf, clock, commandOf, deed, moment, nameOf, outcome, place } from '../words.js';
import { watch } from './arm.js';
import { content, riskOf } from './content.js';
import { change, more, reason } from './more.js';
import { hold, yes } from './hold.js';
import { Choices } from './question.js';
import { answered, underWay } from './track.js';
import { command } from './command.js';

/// No reply for so long is said.
const LATE = 2000;

const WORDS = { question: ['Skip', 'Send answer'], plan: ['Keep planning', 'Start work'], trust: ['Not here', 'Trust'] };

class Card extends Part {
  /// The approvals on it (all alike if several), `inline`: in its own session, so who and where need not be said.
  approvals = signal([]);
  inline = false;

  #choices = new Choices();
  #chose = signal(0);
  #lost = signal(new Set());
  #failure = signal(null);
  #late = signal(false);
  #arm;
  /// Of several: which are ticked.
  #ticked = signal(new Set());

  build() {
    this.className = this.inline ? 'card inline' : 'card';
    this.setAttribute('role', 'article');
    this.tabIndex = -1;
    const end = el('div', { class: 'end-of-content' });
    const foot = el('div', { class: 'card-foot' });
    const body = el('div', { class: 'card-body' });
    const shape = el('span', { class: 'shape' });
    this.append(...(this.inline ? [] : [this.#head(shape)]), body, end, foot);
    this.#arm = watch(this, end);
    this.#choices.changed = () => { this.#chose.value += 1; };

    // The content is drawn anew only when it is another one: nothing moves under a finger.
    const shown = computed(() => this.approvals.value.map((approval) => `${approval.id} ${JSON.stringify(approval.tool_input)}`).join('\n'));
    effect(() => {
      const key = shown.value;
      const approvals = this.approvals.peek();
      if (approvals.length === 0) return;
      this.dataset.approval = approvals[0].id;
      this.setAttribute('aria-label', approvals.length > 1 ? `${approvals.length} alike: ${deed(approvals[0])}` : deed(approvals[0]));
      this.classList.toggle('danger', approvals.some((approval) => riskOf(approval).danger));
      this.#ticked.value = new Set(approvals.map((approval) => approval.id));
      body.replaceChildren(...(approvals.length > 1 ? this.#several(approvals) : content(approvals[0], this.#choices, this.inline ? shape : null, { inline: this.inline })));
      if (key !== this.drawn && this.drawn !== undefined) this.#arm.again();
      this.drawn = key;
    });
    effect(() => {
      const one = this.approvals.value[0];
      if (!one) return;
      const open = one.state === 'open';
      shape.replaceChildren(state(open ? 'ask' : one.state === 'allowed' ? 'good' : 'no', ''));
      this.classList.toggle('answered', !open);
    });
    effect(() => this.#drawFoot(foot));
    effect(() => this.#paint());
    effect(() => this.classList.toggle('sel', selected.value === this.approvals.value[0]?.id));
    const refused = ({ detail: { item, error } }) => this.#refused(item, error);
    const done = ({ detail: { item } }) => { if (item.kind === 'answer' && this.#has(item.frame.approval_id)) buzz(item.frame.decision === 'allow' ? 'done' : 'refused'); };
    outbox.addEventListener('refused', refused);
    outbox.addEventListener('done', done);
    onEnd(() => {
      outbox.removeEventListener('refused', refused);
      outbox.removeEventListener('done', done);
      this.#arm.end();
    });
    // Once it stands in its pane.
    queueMicrotask(() => { if (this.isConnected) this.#arm.begin(); });
  }

  #head(shape) {
    const name = el('button', { class: 'name', on: { click: () => open(this.approvals.peek()[0].session_id) } });
    const when = el('span', { class: 'meta when' });
    const where = el('div', { class: 'where' });
    effect(() => {
      const one = this.approvals.value[0];
      if (!one) return;
      const session = store.session(one.session_id).value;
      setText(name, nameOf(session));
      setText(when, `${agentOf(session)} · ${age(one.requested_at, now.value)}`);
      when.title = moment(one.requested_at);
      setText(where, [place(one.directory), session?.branch ?? session?.working_branch].filter(Boolean).join(' · '));
    });
    return el('div', { class: 'card-head' }, el('div', { class: 'who' }, shape, name, when), where);
  }

  /// Several alike: each whole, each with its own tick.
  #several(approvals) {
    return [
      el('h2', {}, el('span', { text: `${approvals.length} alike: ${deed(approvals[0]).toLowerCase()}` })),
      el('div', { class: 'alike' }, approvals.map((approval) => {
        const shell = commandOf(approval);
        const box = el('button', { class: 'tick', role: 'checkbox', 'aria-checked': 'true', 'aria-label': `Include ${shell ?? deed(approval)}`, on: { click: () => {
          const ticked = new Set(this.#ticked.peek());
          if (!ticked.delete(approval.id)) ticked.add(approval.id);
          box.setAttribute('aria-checked', String(ticked.has(approval.id)));
          this.#ticked.value = ticked;
        } } }, el('span', { class: 'box' }));
        return el('div', { class: 'one' }, box, el('div', { class: 'one-body' }, shell !== null ? command(shell, riskOf(approval).marks) : content(approval, new Choices(), null).slice(1)));
      })),
    ];
  }

  /// Of several, the one that the others wait for.
  #slowest(approvals) {
    return approvals.find((approval) => !approval.delivered_at) ?? approvals.find((approval) => !approval.outcome) ?? approvals[0];
  }

  #has(id) { return this.approvals.peek().some((approval) => approval.id === id); }

  #drawFoot(foot) {
    const approvals = this.approvals.value;
    const [one] = approvals;
    if (!one) return;
    const item = outbox.items.value.get(`answer:${one.id}`);
    const had = foot.contains(document.activeElement);
    if (!approvals.some((approval) => approval.state === 'open')) {
      foot.replaceChildren(approvals.length === 1 ? answered(one, { lost: this.#lost.value.has(one.id), goOn: this.nextOpen() }) : answered(this.#slowest(approvals), { goOn: this.nextOpen() }));
      if (had) foot.querySelector('.next')?.focus();
      return;
    }
    if (item) {
      const waits = !item.sent && !wire.online.value;
      if (!waits && !this.#late.peek()) setTimeout(() => { this.#late.value = true; }, LATE);
      foot.replaceChildren(underWay({ waits, late: this.#late.value, takeBack: () => { for (const each of approvals) outbox.takeBack(`answer:${each.id}`); } }));
      return;
    }
    this.#late.value = false;
    this.#buttons(foot, approvals);
    if (had) foot.querySelector('.no')?.focus();
  }

  #buttons(foot, approvals) {
    // A button that is being held is not taken from under the finger.
    if (foot.querySelector('.holding')) return;
    const [one] = approvals;
    const many = approvals.length > 1;
    const failure = this.#failure.value ? el('p', { class: 'why', role: 'alert' }, state('failed', ''), el('span', { text: this.#failure.value })) : null;
    const ready = () => this.#arm.state.peek() === 'armed' && (one.kind !== 'question' || this.#choices.answers !== null);
    const lead = () => this.#lead();
    const count = this.#ticked.value.size;
    const [noWord, yesWord] = many ? [`Deny ${count}`, `Allow ${count}`] : WORDS[one.kind] ?? ['Deny', 'Allow'];
    const go = () => this.give(one.kind === 'question' ? { decision: 'allow', answers: this.#choices.answers } : { decision: 'allow' });
    const danger = approvals.some((approval) => riskOf(approval).danger);
    const allow = danger
      ? hold('Hold to allow', { ready, lead, go, question: `${deed(one)}: ${commandOf(one) ?? place(one.directory)}`.slice(0, 300), className: 'yes' })
      : yes(yesWord, { ready, lead, go, className: 'yes' });
    const deny = el('button', { class: 'btn no', on: { click: (event) => {
      if (!event.isTrusted) return;
      if (one.kind === 'plan') reason(one, (words) => this.give(words));
      else this.give({ decision: 'deny' });
    } } }, noWord);
    deny.disabled = many && count === 0;
    const others = many ? null : el('button', { class: 'btn more', 'aria-label': 'More ways to answer', on: { click: () => more(one, (words) => this.give(words), this.#arm) } }, icon('more'));
    foot.replaceChildren(...[failure, el('div', { class: 'acts' }, others, deny, allow)].filter(Boolean));
    this.allowButton = allow;
    this.allowWord = danger ? 'Hold to allow' : yesWord;
    untracked(() => this.#paint());
  }

  /// Brings the buttons up to date without replacing them: a press that has begun must be able to end.
  #paint() {
    const armed = this.#arm.state.value;
    const chose = this.#chose.value >= 0 && this.#choices.answers !== null;
    const isSelected = selected.value === this.approvals.value[0]?.id && fine.value;
    const count = this.#ticked.value.size;
    const button = this.allowButton;
    const [one] = this.approvals.peek();
    if (!button || !one) return;
    const readOn = armed === 'away' && this.#arm.tall.value;
    button.classList.toggle('unarmed', armed !== 'armed');
    button.classList.toggle('read-on', readOn);
    if (!button.classList.contains('holding')) setText(button.firstElementChild, readOn ? 'Read to the end' : this.allowWord);
    button.disabled = (one.kind === 'question' && !chose) || (this.approvals.peek().length > 1 && count === 0);
    const deny = this.querySelector('.acts .no');
    for (const [node, key] of [[deny, 'd'], [button, 'a']]) {
      const mark = node?.querySelector('kbd');
      if (isSelected && !mark && node) node.append(el('kbd', { text: key, 'aria-hidden': 'true' }));
      else if (!isSelected) mark?.remove();
    }
  }

  #lead() {
    if (this.#arm.state.peek() === 'armed') return;
    alarm(this.#arm.state.peek() === 'away' ? 'Read to the end first.' : 'Not yet: it was only just shown.');
    this.#arm.lead();
  }

  /// Sends the answer (to each that is ticked).
  give(words) {
    this.#failure.value = null;
    const approvals = this.approvals.peek().filter((approval) => approval.state === 'open');
    for (const approval of approvals) {
      if (approvals.length === 1 || this.#ticked.peek().has(approval.id)) outbox.answer(approval.id, words);
    }
  }

  #refused(item, error) {
    if (item.kind !== 'answer' || !this.#has(item.frame.approval_id)) return;
    const winner = error.details?.approval;
    buzz('refused');
    if (winner) {
      this.#lost.value = new Set([...this.#lost.peek(), winner.id]);
      alarm(`Not counted: ${outcome(winner)}.`);
      store.hear({ type: 'approval', approval: winner });
    } else {
      this.#failure.value = `Not sent: ${error.message}`;
      alarm(error.message);
    }
  }

  /// It stands elsewhere now: a yes counts only after a moment again.
  rearm() { this.#arm?.again(); }

  /// What the keys do.
  key(name, isDown) {
    const [one] = this.approvals.peek();
    if (!one || one.state !== 'open') return;
    if (name === 'a') {
      const button = this.allowButton;
      if (!button?.isConnected) return;
      if (button.holdKey) isDown ? button.holdKey.start() : button.holdKey.stop();
      else if (isDown && !button.disabled) this.#press(button);
    } else if (isDown && name === 'd') this.querySelector('.acts .no')?.isConnected && (one.kind === 'plan' ? reason(one, (words) => this.give(words)) : this.give({ decision: 'deny' }));
    else if (isDown && name === 'r') reason(one, (words) => this.give(words));
    else if (isDown && name === 'e' && one.can_change_input && one.kind === 'tool') change(one, (words) => this.give(words));
    else if (isDown && name === 'm') more(one, (words) => this.give(words), this.#arm);
  }

  // The key is the person's own deed, though a click that a script makes is not.
  #press(button) {
    const [one] = this.approvals.peek();
    if (this.#arm.state.peek() !== 'armed') return void this.#lead();
    if (one.kind === 'question' && this.#choices.answers === null) return;
    button.classList.add('pressed');
    this.give(one.kind === 'question' ? { decision: 'allow', answers: this.#choices.answers } : { decision: 'allow' });
  }

  /// Where the next open card is; null if there is none.
  nextOpen() {
    const others = () => [...(this.closest('.answer-pane, .inbox')?.querySelectorAll('approval-card:not(.answered)') ?? [])];
    if (this.inline || others().length === 0) return null;
    return () => {
      const all = others();
      const next = all.find((card) => this.compareDocumentPosition(card) & Node.DOCUMENT_POSITION_FOLLOWING) ?? all[0];
      if (!next) return;
      next.scrollIntoView({ block: 'start' });
      next.focus({ preventScroll: true });
      selected.value = next.dataset.approval;
    };
  }
}

const make = part('approval-card', Card);

/// A card with these approvals.
export function card(approvals, { inline = false } = {}) {
  const made = make({ inline });
  made.approvals.value = approvals;
  return made;
}

/// Which approvals may share a card.
export function alikeKey(approval) {
  const plain = approval.state === 'open' && approval.kind === 'tool' && !riskOf(approval).danger && !approval.diff;
  return plain ? `${approval.session_id} ${approval.tool_name}` : approval.id;
}

/// Where what is shown is from the browser's memory.
export const lastHeard = (at) => `As of ${clock(at)}`;
