// Settings: what this browser does, who may come in, and how the daemon is.

import { copier, el } from '../core/dom.js';
import { icon, state } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect, signal } from '../core/reactive.js';
import { forgetAll } from '../core/keep.js';
import { ask } from '../core/sheet.js';
import { now, store, wire } from '../context.js';
import { agents, bridges, chatPeople, distrust, grants, health, logout, logTail, removeChatPerson, status, trusted } from '../data/api.js';
import { settings } from '../data/settings.js';
import { mayNotify, permit } from '../data/notify.js';
import { failed } from '../sessions/actions.js';
import { banner } from '../shell/banner.js';
import { install, installable } from '../shell/install.js';
import { grantRow } from '../session/details-tab.js';
import { age, agentName, place, who } from '../words.js';
import { deviceList } from './devices.js';

const PLATFORMS = { telegram: 'Telegram', slack: 'Slack', discord: 'Discord', web_push: 'Web Push' };
const STATUS = { running: ['good', 'Connected'], not_configured: ['todo', 'Not set up'], error: ['failed', 'Failed'], connecting: ['again', 'Connecting'], starting: ['again', 'Connecting'] };

class Settings extends Part {
  build() {
    this.className = 'pane settings';
    const scroll = el('div', { class: 'scroll', tabindex: -1 });
    this.append(el('header', { class: 'bar' }, el('div', { class: 'grow' }, el('h1', { text: 'Settings' }))), banner(), scroll);
    scroll.append(el('div', { class: 'settings-body' }, this.#appearance(), this.#notifications(), this.#keys(), deviceList(), this.#grants(), this.#trusted(), this.#bridges(), this.#people(), this.#agents(), this.#install(), this.#about()));
  }

  #appearance() {
    const node = section('Appearance');
    const row = el('div', { class: 'segments', role: 'radiogroup', 'aria-label': 'Theme' });
    node.append(row);
    effect(() => {
      const chosen = settings.theme.value;
      row.replaceChildren(...[['system', 'System'], ['light', 'Light'], ['dark', 'Dark']].map(([value, word]) => el('button', { role: 'radio', 'aria-checked': String(chosen === value), text: word, on: { click: () => { settings.theme.value = value; } } })));
    });
    return node;
  }

  #notifications() {
    const node = section('Notifications');
    const told = el('p', { class: 'meta' });
    node.append(toggle('Notify when something waits', settings.notify, async (on) => !on || permit()), toggle('Play a sound', settings.sound), toggle('Buzz', settings.haptics), told);
    effect(() => {
      settings.notify.value;
      told.textContent = { denied: 'This browser blocks notifications for Tether: allow them in its own settings.', missing: 'This browser shows no notifications here: they need HTTPS, or this machine itself.' }[mayNotify()] ?? 'While Tether is open in a tab. Chat bridges reach you when it is not.';
    });
    return node;
  }

  #keys() {
    const node = section('Keyboard');
    node.append(toggle('Single-letter keys', settings.keys), el('p', { class: 'meta', text: 'Press ? for the list.' }));
    return node;
  }

  #grants() {
    const node = section('Allowed without asking');
    const list = el('div');
    node.append(list);
    const read = () => fill(list, async () => {
      const all = await grants();
      return all.length === 0 ? el('p', { class: 'meta', text: 'Nothing: every tool asks.' }) : all.map((grant) => grantRow(grant, read, store.sessions.peek().get(grant.session_id)));
    });
    effect(() => { store.approvals.value; if (wire.online.value) read(); });
    return node;
  }

  #trusted() {
    const node = section('Trusted directories');
    const list = el('div');
    node.append(list);
    node.hidden = true;
    const read = async () => {
      const said = await trusted().catch(() => null);
      node.hidden = !said;
      if (!said) return;
      const row = (entry) => el('div', { class: 'grant' }, icon('folder'), el('div', {}, el('b', { text: place(entry.path, 60) }), el('small', { text: `${entry.trusted ? 'Trusted' : 'Not trusted'}, said by ${who(entry.decided_by)}` })), el('button', { class: 'btn small', text: 'Ask again', 'aria-label': `Ask again about ${entry.path}`, on: { async click() {
        try { await distrust(entry.path); read(); } catch (error) { failed('Not forgotten', error); }
      } } }));
      list.replaceChildren(...(said.length === 0 ? [el('p', { class: 'meta', text: 'None: what a project brings along for agents does not count until you say so.' })] : said.map(row)));
    };
    effect(() => { if (wire.online.value) read(); });
    return node;
  }

  #bridges() {
    const node = section('Bridges');
    const list = el('dl');
    node.append(list);
    effect(() => {
      now.value;
      if (!wire.online.value) return;
      fill(list, async () => (await bridges()).bridges.map((bridge) => {
        const [shape, word] = STATUS[bridge.status] ?? ['todo', bridge.status];
        return el('div', { class: 'fact' }, el('dt', { text: PLATFORMS[bridge.platform] ?? bridge.platform }), el('dd', {}, state(shape, word), bridge.error_message ? el('small', { text: bridge.error_message }) : null));
      }));
    });
    return node;
  }

  #people() {
    const node = section('People in your chats');
    const list = el('div');
    node.append(list);
    node.hidden = true;
    const read = async () => {
      const all = await chatPeople().catch(() => null);
      node.hidden = !all || all.length === 0;
      if (!all) return;
      list.replaceChildren(...all.map((person) => {
        const name = person.name ?? person.id;
        const about = `${PLATFORMS[person.platform] ?? person.platform}, ${person.paired ? 'let in by a code' : 'named in the settings'}`;
        return el('div', { class: 'grant' }, icon('phone'), el('div', {}, el('b', { text: name }), el('small', { text: about })),
          person.paired ? el('button', { class: 'btn small', text: 'Remove', 'aria-label': `Remove ${name}`, on: { async click() {
            if (!await ask(`Remove “${name}”?`, 'They are thrown out at once, and what they allowed for a while ends.', { keep: 'Keep', go: 'Remove' })) return;
            try { await removeChatPerson(person.platform, person.id); read(); } catch (error) { failed('Not removed', error); }
          } } }) : null);
      }));
    };
    effect(() => { now.value; if (wire.online.value) read(); });
    return node;
  }

  #agents() {
    const node = section('Agents');
    const list = el('dl');
    node.append(list);
    node.hidden = true;
    effect(() => {
      if (!wire.online.value) return;
      agents().catch(() => null).then((answer) => {
        const all = Array.isArray(answer) ? answer : null;
        node.hidden = !all;
        if (all) list.replaceChildren(...all.map((agent) => {
          const { ready } = agent;
          const about = agent.problem ?? agent.notice;
          return el('div', { class: 'fact' }, el('dt', { text: agent.title ?? agentName(agent.adapter) }), el('dd', {}, state(ready ? 'good' : 'failed', ready ? `Ready${agent.version ? `, ${agent.version}` : ''}` : 'Not ready'), about ? el('small', { text: about }) : null));
        }));
      });
    });
    return node;
  }

  #install() {
    const node = section('Install');
    effect(() => {
      const how = installable.value;
      const text = { ready: 'Put Tether on the home screen: it opens like an app and shows its last state without a connection.', installed: 'Tether runs as an app here.', insecure: 'Installing needs HTTPS, or this machine itself. Over plain HTTP this page works, but is not kept for when you are offline.', manual: 'Use this browser’s own menu: Add to home screen.' }[how];
      node.replaceChildren(el('h2', { text: 'Install' }), el('p', { class: 'meta', text }), ...(how === 'ready' ? [el('button', { class: 'btn', text: 'Install', on: { click: install } })] : []));
    });
    return node;
  }

  #about() {
    const node = section('About');
    const facts = el('dl');
    const lines = signal(null);
    const log = el('div', { class: 'log' });
    node.append(facts, log, el('button', { class: 'btn bad-edge', text: 'Log out this browser', on: { async click() {
      if (!await ask('Log out?', 'This browser needs a new code to come in again.', { keep: 'Stay', go: 'Log out' })) return;
      await logout().catch(() => null);
      await forgetAll();
      location.replace('/login');
    } } }));
    effect(() => {
      if (!wire.online.value) return;
      Promise.all([health().catch(() => null), status().catch(() => null)]).then(([told, more]) => {
        const fact = (name, value) => (value ? el('div', { class: 'fact' }, el('dt', { text: name }), el('dd', { text: String(value) })) : null);
        facts.replaceChildren(...[fact('Version', more?.version ?? told?.version), fact('Address', location.host), fact('Running for', more?.started_at ? age(more.started_at) : null), fact('Data', more?.data_dir)].filter(Boolean));
      });
    });
    const read = async () => { lines.value = await logTail(200).catch(() => null); };
    effect(() => {
      const told = lines.value;
      const text = told === null ? null : Array.isArray(told) ? told.join('\n') : Array.isArray(told.lines) ? told.lines.join('\n') : String(told.text ?? '');
      log.replaceChildren(...(text === null ? [] : [el('details', {}, el('summary', { text: 'The daemon’s last log lines' }), el('div', { class: 'sheet-tools' }, el('button', { class: 'quiet', text: 'Look again', on: { click: read } }), copier(text)), el('pre', { class: 'out full', tabindex: 0, text }))]));
    });
    effect(() => { if (wire.online.value) read(); });
    return node;
  }
}

const section = (title) => el('section', { class: 'facts' }, el('h2', { text: title }));

/// A switch. `first(on)` may refuse.
function toggle(title, setting, first = () => true) {
  const node = el('button', { class: 'toggle', role: 'switch', on: { async click() {
    const next = !setting.peek();
    if (await first(next)) setting.value = next;
  } } }, el('span', { text: title }), el('span', { class: 'knob' }));
  effect(() => node.setAttribute('aria-checked', String(Boolean(setting.value))));
  return node;
}

/// Fills a list with what is asked for; a failure says so in its place.
async function fill(node, ask) {
  try {
    node.replaceChildren(...[].concat(await ask()));
  } catch (error) {
    if (node.childElementCount === 0) node.replaceChildren(el('p', { class: 'why', text: error.message }));
  }
}

export const settingsScreen = part('tether-settings', Settings);
