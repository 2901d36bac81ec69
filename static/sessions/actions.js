// What can be done with a session beside speaking to it.

import { ask, askText, line, sheet } from '../core/sheet.js';
import { el } from '../core/dom.js';
import { alarm } from '../core/say.js';
import { go, path, store } from '../context.js';
import { configure, deleteSession, exportLink, renameSession, setMode, startSession } from '../data/api.js';
import { MODES, nameOf } from '../words.js';

/// Tells of a failure where nothing else does.
export function failed(title, error) {
  alarm(`${title}: ${error.message}`);
  sheet(title, el('p', { text: error.message }));
}

async function attempt(title, run) {
  try {
    return await run();
  } catch (error) {
    failed(title, error);
    return null;
  }
}

const put = (session) => { if (session?.id) store.hear({ type: 'session', session }); };

export async function rename(session) {
  const name = await askText('Rename session', { label: 'Name', value: nameOf(session), most: 80, go: 'Rename' });
  if (name) put(await attempt('Not renamed', () => renameSession(session.id, name)));
}

export async function remove(session) {
  if (!await ask(`Delete “${nameOf(session)}”?`, 'Its transcript is removed too.', { keep: 'Keep', go: 'Delete' })) return;
  const done = await attempt('Not deleted', () => deleteSession(session.id));
  if (done && path.peek() === `/s/${session.id}`) go('/sessions', { replace: true });
}

export const restart = (session) => attempt('Not started', async () => put(await startSession(session.id, '')));

export async function archive(session, archived) {
  await attempt(archived ? 'Not archived' : 'Not brought back', () => configure(session.id, { archived }));
}

export function chooseMode(session) {
  const dialog = sheet('Approval mode', MODES.map(([value, title, about]) => line(title, about, async () => {
    dialog.close();
    if (value === 2 && !await ask('Allow everything?', 'Whatever the agent wants to run here runs without a question.', { keep: 'Keep asking', go: 'Allow everything' })) return;
    put(await attempt('Not changed', () => setMode(session.id, value)));
  }, { className: (session.approval_mode ?? 0) === value ? 'chosen' : '' })));
}

/// The menu of a session.
export function menu(session) {
  const act = (run) => () => { dialog.close(); run(); };
  const active = session.state === 'RUNNING' || session.state === 'INTERRUPTING';
  const dialog = sheet(nameOf(session), [
    line('Rename', null, act(() => rename(session))),
    line('Approval mode', MODES.find(([value]) => value === (session.approval_mode ?? 0))?.[1], act(() => chooseMode(session))),
    !active && session.directory ? line(session.state === 'ERROR' ? 'Try again' : 'Start the agent', 'Its conversation goes on.', act(() => restart(session))) : null,
    el('a', { class: 'line', href: exportLink(session.id, 'md'), download: '', on: { click: () => dialog.close() } }, el('b', { text: 'Export' }), el('small', { text: 'The transcript as Markdown' })),
    session.archived ? line('Bring back', 'Out of the archive.', act(() => archive(session, false))) : active ? null : line('Archive', 'Out of the list, not deleted.', act(() => archive(session, true))),
    line('Delete', active ? 'Interrupt it first.' : 'Its transcript is removed, too.', act(() => remove(session)), { className: 'bad apart' }),
  ].filter(Boolean));
}
