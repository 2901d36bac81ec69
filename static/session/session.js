// One session: its transcript, live; what it changed; its events; how it is set up. Where there is room, all but the
// transcript stands beside it.

import { answerPane } from '../inbox/inbox.js';
import { el, setText } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, onEnd, signal, untracked } from '../core/reactive.js';
import { alarm } from '../core/say.js';
import { ask } from '../core/sheet.js';
import { back, selected, store, wide, wire } from '../context.js';
import { settings } from '../data/settings.js';
import { failed, menu } from '../sessions/actions.js';
import { banner } from '../shell/banner.js';
import { agentOf, modeWord, nameOf, place, stateOf } from '../words.js';
import { composer } from './composer.js';
import { detailsTab } from './details-tab.js';
import { diffTab } from './diff-tab.js';
import { eventsTab } from './events-tab.js';
import { Feed } from './feed.js';
import { transcript } from './transcript.js';

// The daemon itself ends what has not stopped after ten seconds.
const PATIENCE = 4000;

class SessionScreen extends Part {
  session = null;

  build() {
    this.className = 'session-screen';
    const { session } = this;
    const feed = new Feed(session);
    onEnd(() => feed.end());
    this.feed = feed;
    const tab = signal(wide.peek() ? 'answers' : 'transcript');
    this.tab = tab;
    const panes = { transcript: transcript({ session, feed }), answers: answerPane(), diff: diffTab({ session }), events: eventsTab({ session, feed }), details: detailsTab({ session, feed }) };
    this.transcript = panes.transcript;
    const field = composer({ session });
    this.composer = field;
    const main = el('section', { class: 'pane session', 'aria-label': 'Session' }, this.#bar(), banner(), this.#held(), el('div', { class: 'main-slot' }), field);
    const aside = el('aside', { class: 'pane detail', 'aria-label': 'Details of the session' }, el('div', { class: 'detail-slot' }));
    this.append(main, aside);
    field.addEventListener('said', () => panes.transcript.jump());

    const tabs = (names) => {
      const list = el('div', { class: 'tabs', role: 'tablist' });
      const buttons = names.map((name) => el('button', { role: 'tab', id: `tab-${name}`, data: { tab: name }, on: { click: () => { tab.value = name; } } }));
      list.append(...buttons);
      list.addEventListener('keydown', (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        const next = names[(names.indexOf(tab.peek()) + by + names.length) % names.length];
        tab.value = next;
        buttons[names.indexOf(next)].focus();
      });
      return list;
    };
    const words = (name) => {
      const open = store.open.value.length;
      const files = panes.diff.files.value;
      return { transcript: 'Transcript', answers: open > 0 ? `Answer ${open}` : 'Answer', diff: files ? `Diff ${files}` : 'Diff', events: 'Events', details: 'Details' }[name];
    };
    let bar = null;
    // Which tabs there are depends on the room.
    effect(() => {
      const beside = wide.value;
      if (beside && tab.peek() === 'transcript') tab.value = 'answers';
      if (!beside && tab.peek() === 'answers') tab.value = 'transcript';
      bar?.remove();
      bar = tabs(beside ? ['answers', 'diff', 'events', 'details'] : ['transcript', 'diff', 'events', 'details']);
      if (beside) aside.prepend(bar);
      else main.querySelector('.main-slot').before(bar);
      aside.hidden = !beside;
    });
    effect(() => {
      const beside = wide.value;
      const chosen = tab.value;
      for (const button of bar.children) {
        const name = button.dataset.tab;
        setText(button, words(name));
        button.setAttribute('aria-selected', String(name === chosen));
        button.tabIndex = name === chosen ? 0 : -1;
      }
      untracked(() => {
        const [slot, side] = [main.querySelector('.main-slot'), aside.querySelector('.detail-slot')];
        const first = beside ? panes.transcript : panes[chosen];
        if (slot.firstElementChild !== first) slot.replaceChildren(first);
        const second = beside ? panes[chosen] : null;
        if (side.firstElementChild !== second) side.replaceChildren(...(second ? [second] : []));
        field.hidden = !beside && chosen !== 'transcript';
      });
    });
    // What waits is told by events; the queue's own list is asked for then.
    const queueNews = computed(() => feed.model.value.working + feed.model.value.rows.filter((row) => row.kind === 'me').slice(-8).map((row) => `${row.key}${row.waits}`).join());
    effect(() => { queueNews.value; untracked(() => field.readQueue()); });
    // What is open here is read.
    const news = computed(() => store.session(session).value?.last_activity_at);
    effect(() => { if (news.value) { const at = news.value; untracked(() => { settings.seen.value = { ...settings.seen.peek(), [session]: at }; settings.lastSession.value = session; }); } });
    // With room beside it, its own open approval is the selected one.
    effect(() => {
      const mine = store.openBySession.value.get(session);
      if (wide.value && mine && !mine.some((approval) => approval.id === selected.peek()) && store.approvals.peek().get(selected.peek())?.session_id !== session) selected.value = mine[0].id;
    });
    // The end of a turn is said; its words are not.
    let was = null;
    effect(() => {
      const at = store.session(session).value?.state ?? null;
      if (was === 'RUNNING' && at === 'AWAITING_INPUT') document.getElementById('polite').textContent = `${nameOf(store.session(session).peek())} is ready.`;
      was = at;
    });
  }

  #bar() {
    const title = el('h1');
    const sub = el('div', { class: 'sub' });
    const stop = el('button', { class: 'icon stop', 'aria-label': 'Interrupt', on: { click: () => this.interrupt() } }, icon('stop'));
    const force = el('button', { class: 'btn bad-edge', hidden: true, text: 'Force stop', on: { click: () => { force.hidden = true; this.#stop(true); } } });
    let patience = null;
    onEnd(() => clearTimeout(patience));
    effect(() => {
      const session = store.session(this.session).value;
      if (!session) return;
      const [shape, word] = stateOf(session, store.openBySession.value.get(this.session));
      setText(title, nameOf(session));
      title.title = nameOf(session);
      // What does not stop by itself, the daemon ends by force.
      const text = session.state === 'INTERRUPTING' ? 'Waits for the tool to end' : [agentOf(session), place(session.directory, 26), session.branch ?? session.working_branch].filter(Boolean).join(' · ');
      const mode = session.approval_mode ? el('span', { class: 'chip ask', text: modeWord(session.approval_mode) }) : null;
      const key = `${shape}${word}${text}${session.approval_mode}`;
      if (sub.dataset.key !== key) {
        sub.dataset.key = key;
        sub.replaceChildren(...[state(shape, word), mode, el('span', { class: 'meta cut', text })].filter(Boolean));
      }
      stop.hidden = session.state !== 'RUNNING';
      const stopping = session.state === 'INTERRUPTING';
      if (!stopping) { clearTimeout(patience); patience = null; force.hidden = true; }
      else patience ??= setTimeout(() => { force.hidden = false; }, PATIENCE);
    });
    return el('header', { class: 'bar has-back' }, el('button', { class: 'icon back', 'aria-label': 'Back', on: { click: () => back('/sessions') } }, icon('back')), el('div', { class: 'grow' }, title, sub), stop, force,
      el('button', { class: 'icon', 'aria-label': 'More', on: { click: () => { const session = store.sessions.peek().get(this.session); if (session) menu(session); } } }, icon('more')));
  }

  #held() {
    const node = el('div', { class: 'held-bar', hidden: true, role: 'status' });
    effect(() => {
      const session = store.session(this.session).value;
      const hold = session?.hold;
      node.hidden = !hold;
      if (hold) node.replaceChildren(state('held', ''), el('span', { text: hold.message }));
    });
    return node;
  }

  async interrupt({ asks = false } = {}) {
    if (store.sessions.peek().get(this.session)?.state !== 'RUNNING') return;
    if (asks && !await ask('Interrupt the agent?', 'The running turn ends, and the tools in it.', { keep: 'Let it work', go: 'Interrupt' })) return;
    await this.#stop(false);
  }

  async #stop(force) {
    try {
      await wire.request({ type: 'interrupt', session_id: this.session, force });
    } catch (error) {
      alarm(`Not interrupted: ${error.message}`);
      failed('Not interrupted', error);
    }
  }
}

export const sessionScreen = part('tether-session', SessionScreen);
