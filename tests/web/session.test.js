// One session: started, watched, spoken to, stopped.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { DESK, Stage, browser, shot, until, visit } from './rig.js';

let stage;
let chrome;

before(async () => {
  stage = await Stage.open();
  chrome = await browser();
});

after(async () => {
  await chrome?.close();
  await stage?.end();
});

test('a session is started from the form, and its answer is shown as it was meant', async () => {
  const page = await visit(chrome, stage, '/new');
  await page.getByLabel('Directory').fill(stage.work);
  await page.getByText(stage.work.slice(-12)).first().waitFor();
  await page.getByLabel('Prompt').fill('SAY # A title\\n\\nIt is **bold** with `code`:\\n\\n```rust\\nfn main() {}\\n```');
  await shot(page, 'new-phone-light');
  await page.getByRole('button', { name: 'Start session' }).tap();
  await page.waitForURL(/\/s\/sess_/);
  await page.locator('.prose strong', { hasText: 'bold' }).waitFor({ timeout: 50_000 });
  await page.locator('.prose .hl-key', { hasText: 'fn' }).waitFor();
  await page.getByText('Ready').first().waitFor();
  await shot(page, 'session-phone-light');
  // The choice is remembered.
  await page.goto(`${stage.origin}/new`);
  assert.equal(await page.getByLabel('Directory').inputValue(), stage.work);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('while the agent works a message is queued, edited, withdrawn and brought back; then it is interrupted', async () => {
  const session = await stage.session('SAY begun\nHOLD gate\nSAY never', { name: 'Held' });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByText('begun').first().waitFor({ timeout: 50_000 });
  const field = page.getByRole('textbox', { name: 'Message' });
  const say = async (text) => {
    await field.fill(text);
    await page.getByRole('button', { name: 'Queue' }).tap();
  };
  await say('first thought');
  await page.getByRole('button', { name: 'Withdraw: first thought' }).waitFor();
  await say('second thought');
  await page.getByRole('button', { name: 'Withdraw: second thought' }).waitFor();
  await shot(page, 'queue-phone-light');
  await page.getByRole('button', { name: 'Edit: first thought' }).tap();
  await until('it is back in the field', async () => await field.inputValue() === 'first thought');
  await page.getByRole('button', { name: 'Withdraw: second thought' }).tap();
  await page.getByRole('button', { name: 'Undo' }).tap();
  await page.getByRole('button', { name: 'Withdraw: second thought' }).waitFor();
  assert.deepEqual((await stage.api('GET', `/api/sessions/${session}/queue`)).filter((input) => input.state === 'queued').map((input) => input.text), ['second thought']);
  // What was not sent is still there after a reload.
  await page.reload();
  await until('the draft is kept', async () => await field.inputValue() === 'first thought');
  await page.getByRole('button', { name: 'Withdraw: second thought' }).tap();
  await page.getByRole('button', { name: 'Interrupt' }).tap();
  await until('it is interrupted', async () => (await stage.api('GET', `/api/sessions/${session}`)).state === 'AWAITING_INPUT', 30);
  await page.getByText('Ready').first().waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a queued message is sent into the running turn when the person cannot wait', async () => {
  const session = await stage.session('SHELL touch steered\nSAY never', { name: 'Steered' });
  const page = await visit(chrome, stage, `/s/${session}`);
  const approval = await until('it asks', async () => (await stage.api('GET', '/api/approvals')).find((one) => one.session_id === session), 50);
  await page.getByRole('textbox', { name: 'Message' }).fill('SAY heeded');
  await page.getByRole('button', { name: 'Queue' }).tap();
  await page.getByRole('button', { name: 'Send now: SAY heeded' }).tap();
  await page.getByRole('button', { name: 'Withdraw: SAY heeded' }).waitFor({ state: 'hidden' });
  await stage.api('POST', `/api/approvals/${approval.id}/answer`, { decision: 'allow' });
  await page.getByText('heeded', { exact: true }).first().waitFor();
  assert.equal((await stage.api('GET', `/api/sessions/${session}/queue`)).length, 0);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a turn that does not stop can be stopped by force, after a while', async () => {
  const session = await stage.external('Stubborn');
  await stage.push(session, 'output', { text: 'busy' });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByRole('button', { name: 'Interrupt' }).tap();
  await page.getByText('Stopping').first().waitFor();
  const force = page.getByRole('button', { name: 'Force stop' });
  assert.equal(await force.isVisible(), false, 'it is not offered at once');
  await force.tap();
  await until('it is stopped', async () => (await stage.api('GET', `/api/sessions/${session}`)).state === 'AWAITING_INPUT', 5);
  await page.getByText('Ready').first().waitFor();
  await force.waitFor({ state: 'hidden' });
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('it reads along at the end until the person scrolls up, and goes back on demand', async () => {
  const session = await stage.external('Streams');
  for (let line = 0; line < 60; line += 1) await stage.push(session, 'output', { text: `line ${line}\n\n` });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByText('line 59').waitFor();
  const atEnd = () => page.evaluate(() => { const pane = document.querySelector('.transcript .scroll'); return pane.scrollHeight - pane.scrollTop - pane.clientHeight < 3; });
  await until('it is at the end', atEnd);
  await stage.push(session, 'output', { text: 'one more\n\n' });
  await page.getByText('one more').waitFor();
  await until('it is still at the end', atEnd);
  await page.evaluate(() => { document.querySelector('.transcript .scroll').scrollTop -= 400; });
  const where = () => page.evaluate(() => document.querySelector('.transcript .scroll').scrollTop);
  await page.getByRole('button', { name: 'Latest' }).waitFor();
  const top = await where();
  await stage.push(session, 'output', { text: 'and another\n\n' });
  await page.getByText('and another').waitFor();
  assert.equal(await where(), top);
  await page.getByRole('button', { name: 'Latest' }).tap();
  await until('it is at the end again', atEnd);
  await page.context().close();
});

test('the diff, the events and the details of a session are a tap away', async () => {
  const git = (...args) => execFileSync('git', ['-C', stage.work, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args]);
  git('init', '-q');
  fs.writeFileSync(path.join(stage.work, 'a.txt'), 'one\ntwo\n');
  git('add', '-A');
  git('commit', '-qm', 'first');
  fs.writeFileSync(path.join(stage.work, 'a.txt'), 'one\n2\n');
  const session = await stage.external('Changed things');
  await stage.push(session, 'output', { text: 'hello' });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByRole('tab', { name: 'Diff' }).tap();
  await page.locator('.l.a', { hasText: '2' }).waitFor();
  await shot(page, 'diff-tab-phone-light');
  await page.getByRole('tab', { name: 'Events' }).tap();
  await page.getByRole('searchbox', { name: 'Filter events' }).fill('output');
  await page.getByRole('button', { name: /output/ }).first().tap();
  await page.getByRole('dialog').getByText('"hello"').waitFor();
  await shot(page, 'events-phone-light');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Export' }).tap();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('dialog').getByText('JSONL').tap()]);
  const lines = fs.readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.some((event) => event.type === 'output' && event.data.text === 'hello'));
  await page.getByRole('tab', { name: 'Details' }).tap();
  await page.getByRole('button', { name: 'Change approval mode' }).tap();
  await page.getByRole('dialog').getByText('Allow file changes').tap();
  await until('the mode is changed', async () => (await stage.api('GET', `/api/sessions/${session}`)).approval_mode === 1);
  await shot(page, 'details-phone-light');
  await page.setViewportSize(DESK);
  await page.getByRole('tab', { name: 'Diff' }).tap();
  await page.getByRole('button', { name: 'Side by side' }).or(page.locator('.diff')).first().waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('sessions are found, filtered, renamed, put aside, brought back and deleted', async () => {
  const session = await stage.external('A needle');
  await stage.push(session, 'status', { status: 'done' });
  const page = await visit(chrome, stage, '/sessions');
  await page.getByRole('button', { name: 'Search' }).tap();
  await page.getByRole('searchbox').fill('needle');
  await page.getByRole('link', { name: /A needle/ }).waitFor();
  await until('only it is shown', async () => await page.locator('.session-row').count() === 1);
  await page.getByRole('button', { name: 'More for A needle' }).tap();
  await page.getByRole('dialog').getByText('Rename').tap();
  await page.getByRole('dialog').getByLabel('Name').fill('A needle in hay');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: /A needle in hay/ }).waitFor();
  await page.getByRole('button', { name: 'More for A needle' }).tap();
  await page.getByRole('dialog').getByText('Archive').tap();
  await page.getByText('Nothing found').waitFor();
  await page.getByRole('button', { name: 'Filter' }).tap();
  await page.getByRole('dialog').getByText('Archived').tap();
  await page.getByRole('button', { name: 'More for A needle' }).tap();
  await page.getByRole('dialog').getByText('Bring back').tap();
  await page.getByText('Nothing found').waitFor();
  await page.getByRole('button', { name: 'Show all' }).tap();
  await page.getByRole('button', { name: 'More for A needle' }).tap();
  await page.getByRole('dialog').getByText('Delete', { exact: true }).tap();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).tap();
  await until('it is gone', async () => !(await stage.api('GET', '/api/sessions')).some((one) => one.id === session));
  await page.getByRole('link', { name: /A needle/ }).waitFor({ state: 'detached' });
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a picture goes with a message', async () => {
  const session = await stage.session('SAY hi', { name: 'Pictures' });
  const page = await visit(chrome, stage, `/s/${session}`, { touch: false });
  await page.getByText('Ready').first().waitFor({ timeout: 50_000 });
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  await page.getByRole('button', { name: 'Attach pictures' }).click();
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByText('Pick pictures').click()]);
  await chooser.setFiles({ name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(png, 'base64') });
  await page.getByRole('button', { name: 'Remove dot.png' }).waitFor();
  await page.getByRole('textbox', { name: 'Message' }).fill('SAY seen');
  await page.keyboard.press('Enter');
  await page.getByText(/dot\.png/).first().waitFor();
  await page.getByText('seen', { exact: true }).waitFor({ timeout: 50_000 });
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
