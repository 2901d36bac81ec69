// The line to the daemon: pairing, offline, restarts, a device that was thrown out.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test, { after, before, beforeEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Stage, browser, shot, until, visit } from './rig.js';

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

// A test that failed may have left the daemon down.
beforeEach(() => stage.running || stage.start());

const card = (page, approval) => page.locator(`approval-card[data-approval="${approval.id}"]`);
const armed = (page, approval) => card(page, approval).locator('.yes:not(.unarmed):not(:disabled)');

test('a link pairs one browser, once; nothing of it stays behind', async () => {
  const code = await stage.code();
  const page = await visit(chrome, stage, `/login#code=${code}`, { login: false });
  await page.waitForURL(`${stage.origin}/`);
  await page.getByRole('heading', { name: 'Inbox' }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify(localStorage) + document.cookie + location.href);
  assert.doesNotMatch(kept, new RegExp(code.replace('-', '-?')));
  const cookies = await page.context().cookies();
  assert.ok(cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === 'Strict'), JSON.stringify(cookies));
  const other = await visit(chrome, stage, `/login#code=${code}`, { login: false });
  await other.locator('.why', { hasText: 'This code is wrong, used or too old' }).waitFor();
  await shot(other, 'login-phone-light');
  await other.context().close();
  await page.context().close();
});

test('a device that is removed is thrown out at once, and nothing of what it knew stays', async () => {
  const page = await visit(chrome, stage, '/', { own: true });
  await page.getByRole('heading', { name: 'Inbox' }).waitFor();
  await until('the page is connected', () => page.evaluate(async () => (await import('/context.js')).wire.online.peek()));
  const devices = await stage.api('GET', '/api/devices');
  await stage.api('DELETE', `/api/devices/${devices[devices.length - 1].id}`);
  await page.getByRole('heading', { name: 'This device was removed' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Pair this browser' }).waitFor();
  await page.context().close();
});

test('settings pair another device, rename it and remove it', async () => {
  const page = await visit(chrome, stage, '/settings');
  await page.getByRole('button', { name: 'Pair a device' }).tap();
  const code = await page.locator('.big-code').innerText();
  await shot(page, 'pair-phone-light');
  const other = await visit(chrome, stage, '/login', { login: false });
  await other.getByLabel('Code').fill(code);
  await other.getByLabel('Name of this device').fill('Old phone');
  await other.getByRole('button', { name: 'Log in' }).tap();
  await other.waitForURL(`${stage.origin}/`);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Rename Old phone' }).tap();
  await page.getByRole('dialog').getByLabel('Name').fill('Spare phone');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Remove Spare phone' }).tap();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).tap();
  await other.getByRole('heading', { name: 'This device was removed' }).waitFor();
  await other.context().close();
  await page.context().close();
});

test('somebody who was let into a chat by a code is listed in the settings and thrown out there', async () => {
  const server = spawn('python3', ['-B', fileURLToPath(new URL('../rig/telegram_server.py', import.meta.url))], { stdio: ['ignore', 'pipe', 'ignore'] });
  const chat = `http://127.0.0.1:${await new Promise((resolve) => { server.stdout.once('data', (data) => resolve(String(data).trim())); })}`;
  const chats = await Stage.open({ env: { TELEGRAM_API_URL: chat, TELEGRAM_BOT_TOKEN: '4242:test-token', TELEGRAM_FORUM_GROUP_ID: '-1001234567890', TELEGRAM_ALLOWED_USER_IDS: '1' } });
  try {
    const { code } = await chats.api('POST', '/api/bridges/pair');
    await fetch(`${chat}/control/text`, { method: 'POST', body: JSON.stringify({ user: 99, private: true, text: `/pair ${code}` }) });
    const people = () => chats.api('GET', '/api/bridges/people');
    await until('she is let in', async () => (await people()).length === 2);
    const page = await visit(chrome, chats, '/settings');
    await page.getByText('Telegram, named in the settings').waitFor();
    await page.getByText('Telegram, let in by a code').waitFor();
    await shot(page, 'people-phone-light');
    await page.getByRole('button', { name: 'Remove Mallory' }).tap();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).tap();
    await page.getByText('Telegram, let in by a code').waitFor({ state: 'detached' });
    assert.deepEqual((await people()).map((person) => person.id), ['1']);
    await page.context().close();
  } finally {
    await chats.end();
    server.kill();
  }
});

test('what is answered offline waits, can be taken back, and is sent on return', async () => {
  const session = await stage.external('Flight');
  const approval = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  const page = await visit(chrome, stage);
  await armed(page, approval).waitFor();
  await stage.kill();
  await page.getByText(/^Offline since/).waitFor();
  await armed(page, approval).waitFor();
  await card(page, approval).locator('.yes').tap();
  await card(page, approval).getByText('Waits for connection').waitFor();
  await shot(page, 'offline-phone-light');
  await card(page, approval).getByRole('button', { name: 'Take back' }).tap();
  await card(page, approval).locator('.no').tap();
  await card(page, approval).getByText('Waits for connection').waitFor();
  await stage.start();
  await until('it is denied', async () => (await stage.approval(approval.id)).state === 'denied');
  await card(page, approval).getByText(/Denied by/).waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('what was answered elsewhere meanwhile is not counted, and that is said', async () => {
  const session = await stage.external('Too late');
  const approval = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  const page = await visit(chrome, stage);
  await armed(page, approval).waitFor();
  // The browser's own line is cut; the daemon lives, and somebody answers.
  await page.evaluate(async () => {
    const { wire } = await import('/context.js');
    window.Real = WebSocket;
    window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 10); } close() {} send() {} };
    wire.online.peek();
  });
  await page.evaluate(async () => { (await import('/context.js')).wire.cut(); });
  await card(page, approval).locator('.yes').tap();
  await card(page, approval).getByText('Waits for connection').waitFor();
  await stage.api('POST', `/api/approvals/${approval.id}/answer`, { decision: 'deny', message: 'no' });
  await page.evaluate(async () => {
    window.WebSocket = window.Real;
    (await import('/context.js')).wire.retry();
  });
  await card(page, approval).getByText(/Not counted: Denied by the API/).waitFor();
  assert.equal((await stage.approval(approval.id)).state, 'denied');
  await page.context().close();
});

test('a daemon that is killed and comes back under an open session loses and doubles nothing', async () => {
  const session = await stage.external('Restarted');
  for (let line = 0; line < 20; line += 1) await stage.push(session, 'output', { text: `line ${line} before\n\n` });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByText('line 19 before').waitFor();
  await stage.kill();
  await page.getByText(/^Offline since/).waitFor();
  await stage.start();
  await stage.push(session, 'output', { text: 'after it came back' });
  await page.getByText('after it came back').waitFor();
  const text = await page.locator('.transcript .t').innerText();
  assert.equal(text.match(/line 7 before/g).length, 1);
  assert.equal(text.match(/after it came back/g).length, 1);
  await page.getByText(/^Reconnected after/).waitFor();
  await page.context().close();
});

test('without a daemon the app opens from what it kept, and says that it is offline', async () => {
  const session = await stage.external('Kept for later');
  await stage.push(session, 'output', { text: 'the last words' });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByText('the last words').waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready);
  // It is written down after a while.
  await until('it is kept', () => page.evaluate(async (id) => {
    const { recall } = await import('/core/keep.js');
    return (await recall('overview'))?.sessions.some((one) => one.id === id) && (await caches.match('/app.js')) !== undefined;
  }, session), 15);
  await page.goto(`${stage.origin}/sessions`);
  await page.getByText('Kept for later').waitFor();
  await stage.kill();
  await page.context().setOffline(true);
  await page.reload();
  await page.getByText('Kept for later').waitFor();
  await page.getByText(/^Offline since/).waitFor();
  await shot(page, 'offline-sessions-phone-light');
  await page.getByText('Kept for later').tap();
  await page.getByText('the last words').waitFor();
  await page.context().setOffline(false);
  await stage.start();
  await page.getByText(/^Offline since/).waitFor({ state: 'hidden' });
  await page.context().close();
});

