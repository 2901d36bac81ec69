// How a session is set up, what it used, what runs for it, and what it may do without asking.

import { el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { computed, effect, signal } from '../core/reactive.js';
import { askText, line, sheet } from '../core/sheet.js';
import { now, store, wire } from '../context.js';
import { configure, details, grants, revokeGrant } from '../data/api.js';
import { archive, chooseMode, failed, remove, rename, restart } from '../sessions/actions.js';
import { ago, agentOf, clock, grantWords, modeWord, moment, money, nameOf, number, place, stateOf, who } from '../words.js';

const POLICIES = { continue: ['Go on with the turn', 'The agent is told that it was interrupted.'], resume: ['Resume and wait', 'The conversation is there; you say what is next.'], never: ['Stay down', 'Nothing starts by itself.'] };

class DetailsTab extends Part {
  session = null;
  feed = null;

  #details = signal(null);
  #grants = signal([]);

  build() {
    this.className = 'tab-pane details-tab';
    const body = el('div', { class: 'tab-body' });
    this.append(body);
    effect(() => {
      const session = store.session(this.session).value;
      if (!session) return;
      const told = this.#details.value;
      const restarts = this.feed.model.value.rows.filter((row) => row.kind === 'note' && row.title === 'Agent started again').length;
      body.replaceChildren(...this.#sections(session, told, this.#grants.value, restarts));
    });
    const at = computed(() => `${store.session(this.session).value?.state} ${store.session(this.session).value?.last_activity_at}`);
    effect(() => { at.value; now.value; if (wire.online.value) this.read(); });
  }

  async read() {
    try {
      const [told, list] = await Promise.all([details(this.session), grants(this.session)]);
      if (JSON.stringify(told) !== JSON.stringify(this.#details.peek())) this.#details.value = told;
      if (JSON.stringify(list) !== JSON.stringify(this.#grants.peek())) this.#grants.value = list;
    } catch {
      // What was known stays; the banner says why nothing answers.
    }
  }

  #sections(session, told, standing, restarts) {
    const fact = (name, value, change) => (value === null || value === undefined || value === '' ? null
      : el('div', { class: 'fact' }, el('dt', { text: name }), el('dd', { title: typeof value === 'string' ? value : null }, value), change ? el('button', { class: 'quiet', text: 'Change', 'aria-label': `Change ${name.toLowerCase()}`, on: { click: change } }) : null));
    const [, word] = stateOf(session, store.openBySession.peek().get(session.id));
    const active = session.state === 'RUNNING' || session.state === 'INTERRUPTING';
    const hold = told?.hold ?? session.hold;
    return [
      hold ? el('div', { class: 'note held' }, el('div', {}, el('b', { text: `Held${hold.until ? ` until ${clock(hold.until)}` : ''}` }), el('p', { text: hold.message })), el('button', { class: 'do', text: 'Try again', on: { click: () => restart(session) } })) : null,
      group('Session', [
        fact('Name', nameOf(session), () => rename(session)),
        fact('State', word),
        fact('Directory', place(session.directory, 60)),
        fact('Branch', session.branch ?? session.working_branch),
        fact('Started', session.started_at ? ago(session.started_at) : null),
        fact('Id', session.id),
      ]),
      group('Agent', [
        fact('Agent', agentOf(session)),
        fact('Model', told ? (told.model ?? 'The agent’s default') : null, () => this.#model(told)),
        fact('Approval mode', modeWord(session.approval_mode), () => chooseMode(session)),
        fact('Plans first', told ? (told.planning ? 'Yes' : 'No') : null, () => this.#set({ planning: !told.planning })),
        fact('After a crash', told ? POLICIES[told.restart_policy]?.[0] ?? told.restart_policy : null, () => this.#policy(told)),
        fact('Process', told ? (told.agent ? `${told.agent.protocol}${told.agent.pid ? `, process ${told.agent.pid}` : ''}${told.agent.resumed ? ', resumed' : ''}` : 'None runs') : null),
        fact('Conversation', session.runner_session_id),
        fact('Restarts', restarts > 0 ? number(restarts) : null),
        fact('Recent crashes', told?.recent_crashes > 0 ? number(told.recent_crashes) : null),
      ]),
      group('Used', told ? [
        fact('Turns', number(told.turn)),
        fact('Tokens read', number(told.usage.input_tokens)),
        fact('Tokens written', number(told.usage.output_tokens)),
        fact('Cost', money(told.usage.total_cost_usd) ?? '$0'),
      ] : []),
      el('section', { class: 'facts' }, el('h2', { text: 'Allowed without asking' }), standing.length === 0 ? el('p', { class: 'meta', text: 'Nothing.' }) : standing.map((grant) => grantRow(grant, () => this.read()))),
      el('section', { class: 'facts last' }, el('div', { class: 'acts' },
        active ? null : el('button', { class: 'btn', text: session.archived ? 'Bring back' : 'Archive', on: { click: () => archive(session, !session.archived) } }),
        active || !session.directory ? null : el('button', { class: 'btn', text: session.state === 'ERROR' ? 'Try again' : 'Start the agent', on: { click: () => restart(session) } })),
      el('button', { class: 'btn bad-edge', disabled: active, on: { click: () => remove(session) } }, active ? 'Delete (interrupt it first)' : 'Delete')),
    ].filter(Boolean);
  }

  async #set(change) {
    try {
      this.#details.value = await configure(this.session, change);
    } catch (error) {
      failed('Not changed', error);
    }
  }

  async #model(told) {
    const dialog = sheet('Model', [line('The agent’s default', null, () => { dialog.close(); this.#set({ model: null }); }), line('Another one…', told?.model, async () => {
      dialog.close();
      const name = await askText('Model', { label: 'Model', value: told?.model ?? '', go: 'Set' });
      if (name !== null) this.#set({ model: name });
    })]);
  }

  #policy(told) {
    const dialog = sheet('After a crash', Object.entries(POLICIES).map(([value, [title, about]]) => line(title, about, () => { dialog.close(); this.#set({ restart_policy: value }); }, { className: told?.restart_policy === value ? 'chosen' : '' })));
  }
}

const group = (title, facts) => el('section', { class: 'facts' }, el('h2', { text: title }), el('dl', {}, facts));

/// A standing permission, with the button that takes it back.
export function grantRow(grant, changed, session = null) {
  const button = el('button', { class: 'btn small', text: 'Take back', on: { async click() {
    button.disabled = true;
    try {
      await revokeGrant(grant.id);
      changed();
    } catch (error) {
      button.disabled = false;
      failed('Not taken back', error);
    }
  } } });
  return el('div', { class: 'grant' }, icon('done'), el('div', {}, el('b', { text: grantWords(grant) }), el('small', { title: moment(grant.created_at), text: [session ? nameOf(session) : null, grant.expires_at ? `until ${clock(grant.expires_at)}` : 'until the session is deleted', `by ${who(grant.created_by)}`].filter(Boolean).join(' · ') })), button);
}

export const detailsTab = part('tether-details', DetailsTab);
