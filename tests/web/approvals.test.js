// Answering: the thing that everything else is for.

import assert from 'node:assert/strict';
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

const card = (page, approval) => page.locator(`approval-card[data-approval="${approval.id ?? approval}"]`);
const armed = (page, approval) => card(page, approval).locator('.yes:not(.unarmed):not(:disabled)');

/// Everything open is answered, so that the next test begins with an empty Inbox.
async function clear() {
  for (const approval of await stage.api('GET', '/api/approvals')) {
    // A tap may still be on its way for those that shared a card.
    await stage.api('POST', `/api/approvals/${approval.id}/answer`, { decision: 'deny' }).catch((error) => {
      if (!error.message.includes('ALREADY_ANSWERED')) throw error;
    });
  }
}

test('one tap allows what the real agent asks, and the card tells that it was delivered and ran', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.session('SAY I look what is here.\nSHELL echo hello > made.txt\nSAY all done', { name: 'Real agent' });
  const [approval] = await until('the agent asks', async () => (await stage.api('GET', `/api/approvals?session_id=${session}`)).slice(0, 1).filter(Boolean).length && stage.api('GET', `/api/approvals?session_id=${session}`), 60);
  await armed(page, approval).waitFor();
  assert.match(await card(page, approval).locator('.command').innerText(), /echo hello > made\.txt/);
  await card(page, approval).getByText('I look what is here.').waitFor();
  assert.match(await page.title(), /^\(1\) Inbox/);
  await shot(page, 'inbox-phone-light');
  await card(page, approval).locator('.yes').tap();
  await card(page, approval).locator('.step.good', { hasText: 'Allowed by' }).waitFor();
  await card(page, approval).locator('.step.good', { hasText: 'Ran' }).waitFor();
  await shot(page, 'answered-phone-light');
  assert.equal(fs.readFileSync(path.join(stage.work, 'made.txt'), 'utf8'), 'hello\n');
  assert.doesNotMatch(await page.title(), /^\(/);
  await page.getByRole('button', { name: 'Clear 1 answered' }).tap();
  await page.getByText('Nothing waits for you').waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('what stands before an answer does not move when it is given, and when another question comes', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.external('Steady');
  const first = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  await armed(page, first).waitFor();
  const box = () => card(page, first).boundingBox();
  const before_ = await box();
  const second = await stage.ask(session, 'Read', { file_path: '/etc/passwd' });
  await card(page, second).waitFor({ timeout: 10_000 }).catch(() => {});
  const head = await card(page, first).locator('.card-head').boundingBox();
  assert.equal((await box()).y, before_.y);
  await card(page, first).locator('.yes').tap();
  await card(page, first).locator('.track').waitFor();
  assert.deepEqual(await card(page, first).locator('.card-head').boundingBox(), head);
  await clear();
  await page.context().close();
});

test('a tap counts only once its content was in sight for a moment', async () => {
  const page = await visit(chrome, stage);
  // The moment is held, so that a slow machine does not make it a long one.
  await page.addInitScript(() => {
    const later = window.setTimeout;
    window.held = [];
    window.setTimeout = (run, ms, ...rest) => (ms === 500 && window.held ? window.held.push(run) : later(run, ms, ...rest));
  });
  await page.reload();
  const session = await stage.external('Hasty');
  const approval = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  await card(page, approval).locator('.yes.unarmed').waitFor();
  await card(page, approval).locator('.yes').tap();
  await page.locator('#assertive', { hasText: 'Not yet' }).waitFor({ state: 'attached' });
  assert.equal((await stage.approval(approval.id)).state, 'open');
  await page.evaluate(() => {
    const held = window.held;
    window.held = null;
    for (const run of held) run();
  });
  await armed(page, approval).waitFor();
  // Nor does a click that no finger made count.
  await page.evaluate(() => document.querySelector('approval-card .yes').click());
  await page.evaluate(() => document.querySelector('approval-card .no').click());
  assert.equal((await stage.approval(approval.id)).state, 'open');
  await card(page, approval).locator('.yes').tap();
  await until('it is allowed', async () => (await stage.approval(approval.id)).state === 'allowed');
  await page.context().close();
});

test('what is dangerous is marked, and held rather than tapped', async () => {
  const page = await visit(chrome, stage, '/', { theme: 'dark' });
  const session = await stage.external('infra-scripts');
  const approval = await stage.ask(session, 'Bash', { command: 'find . -name target -print0 | xargs -0 rm -rf && git push --force', description: 'Clean up' });
  assert.equal(approval.risk.level, 'danger');
  const one = card(page, approval);
  await armed(page, approval).waitFor();
  assert.match(await one.locator('.risk').first().innerText(), /rm/);
  assert.match(await one.locator('.why').innerText(), /\w/);
  await shot(page, 'danger-phone-dark');
  const button = one.getByRole('button', { name: 'Hold to allow' });
  await button.tap();
  assert.equal((await stage.approval(approval.id)).state, 'open', 'a tap was enough');
  await one.getByText('Keep holding').waitFor();
  const box = await button.boundingBox();
  await page.mouse.move(box.x + 20, box.y + 20);
  await page.mouse.down();
  await one.locator('.track').waitFor();
  await page.mouse.up();
  await until('it is allowed', async () => (await stage.approval(approval.id)).state === 'allowed');
  await page.context().close();
});

test('a hold that ends early, or leaves the button, allows nothing', async () => {
  const page = await visit(chrome, stage, '/', { touch: false });
  const session = await stage.external('Slippery');
  const approval = await stage.ask(session, 'Bash', { command: 'rm -rf /' });
  await armed(page, approval).waitFor();
  const box = await card(page, approval).locator('.yes').boundingBox();
  await page.mouse.move(box.x + 10, box.y + 10);
  await page.mouse.down();
  await card(page, approval).locator('.holding').waitFor();
  await page.mouse.move(10, 10);
  await page.waitForFunction(() => !document.querySelector('.holding'));
  await page.mouse.up();
  // By keyboard it is asked once more, and the safe way is the first.
  await card(page, approval).locator('.yes').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
  await page.keyboard.press('Enter');
  assert.equal((await stage.approval(approval.id)).state, 'open');
  await clear();
  await page.context().close();
});

test('deny with a reason reaches the agent as its words', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.session('SHELL echo no > refused.txt\nECHO', { name: 'Refused' });
  const [approval] = await until('the agent asks', async () => { const all = await stage.api('GET', `/api/approvals?session_id=${session}`); return all.length && all; }, 60);
  await armed(page, approval).waitFor();
  await card(page, approval).getByRole('button', { name: 'More ways to answer' }).tap();
  await shot(page, 'more-phone-light');
  await page.getByRole('button', { name: 'Deny with reason' }).tap();
  await page.getByRole('textbox', { name: 'Reason' }).fill('use the other folder');
  await page.getByRole('dialog').getByRole('button', { name: 'Deny', exact: true }).tap();
  await card(page, approval).getByText('Denied by').waitFor();
  await until('the agent read it', async () => /use the other folder/.test(JSON.stringify(await stage.api('GET', `/api/sessions/${session}/events/poll?types=output,output_final`))), 30);
  assert.equal(fs.existsSync(path.join(stage.work, 'refused.txt')), false);
  await page.context().close();
});

test('a change to the input is what runs', async () => {
  const page = await visit(chrome, stage, '/', { size: DESK, touch: false });
  const session = await stage.session('SHELL echo one > changed.txt\nSAY ok', { name: 'Changed' });
  const [approval] = await until('the agent asks', async () => { const all = await stage.api('GET', `/api/approvals?session_id=${session}`); return all.length && all; }, 60);
  await armed(page, approval).first().waitFor();
  await page.keyboard.press('e');
  const field = page.getByRole('textbox', { name: 'Change command' });
  await field.fill('echo two > changed.txt');
  const button = page.getByRole('dialog').getByRole('button', { name: 'Hold to allow' });
  const box = await button.boundingBox();
  await page.mouse.move(box.x + 20, box.y + 20);
  await page.mouse.down();
  await until('it ran', () => fs.existsSync(path.join(stage.work, 'changed.txt')), 30);
  await page.mouse.up();
  assert.equal(fs.readFileSync(path.join(stage.work, 'changed.txt'), 'utf8'), 'two\n');
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a question of the real agent is answered by choosing', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.session('ASK Which database first?|PostgreSQL|SQLite\nECHO', { name: 'docs-site' });
  const [approval] = await until('the agent asks', async () => { const all = await stage.api('GET', `/api/approvals?session_id=${session}`); return all.length && all; }, 60);
  const one = card(page, approval);
  await one.getByText('Which database first?').waitFor();
  assert.equal(await one.getByRole('button', { name: 'Send answer' }).isDisabled(), true);
  await one.getByRole('radio', { name: 'SQLite' }).tap();
  await shot(page, 'question-phone-light');
  await armed(page, approval).waitFor();
  await one.getByRole('button', { name: 'Send answer' }).tap();
  await one.getByText('Answered by').waitFor();
  await until('the agent heard it', async () => /SQLite/.test(JSON.stringify(await stage.api('GET', `/api/sessions/${session}/events/poll?types=output,output_final`))), 30);
  await page.context().close();
});

test('a file change is shown as a diff', async () => {
  const page = await visit(chrome, stage, '/', { theme: 'dark' });
  fs.writeFileSync(path.join(stage.work, 'retry.rs'), 'pub fn delay(attempt: u32) -> u64 {\n    1000 * attempt as u64\n}\n');
  const input = { file_path: path.join(stage.work, 'retry.rs'), old_string: '1000 * attempt as u64', new_string: '1000 << attempt.min(5)' };
  const session = await stage.session(`READ ${input.file_path}\nTOOL Edit ${JSON.stringify(input)}\nSAY ok`, { name: 'payments-api' });
  const [approval] = await until('the agent asks', async () => { const all = await stage.api('GET', `/api/approvals?session_id=${session}`); return all.length && all[0].tool_name === 'Edit' && all; }, 60);
  const one = card(page, approval);
  await armed(page, approval).waitFor();
  assert.equal(await one.locator('h2').innerText(), 'Change 1 file');
  assert.match(await one.locator('.l.a').first().innerText(), /1000 << attempt/);
  assert.match(await one.locator('.l.d').first().innerText(), /1000 \* attempt/);
  await shot(page, 'diff-phone-dark');
  await one.locator('.yes').tap();
  await one.locator('.step.good', { hasText: 'Ran' }).waitFor();
  await page.context().close();
});

test('a command that is longer than the screen is read to its end first; no is there at once', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.external('Long');
  const approval = await stage.ask(session, 'Bash', { command: Array.from({ length: 90 }, (_, line) => `echo line ${line}`).join('\n') });
  const one = card(page, approval);
  const button = one.getByRole('button', { name: 'Read to the end' });
  await button.waitFor();
  const box = await button.boundingBox();
  assert.ok(box.y + box.height <= 844 - 56, 'the answer is out of sight');
  await shot(page, 'long-phone-light');
  await button.tap();
  assert.equal((await stage.approval(approval.id)).state, 'open');
  await armed(page, approval).waitFor();
  assert.equal(await one.locator('.yes').innerText(), 'Allow');
  await one.locator('.no').tap();
  await until('it is denied', async () => (await stage.approval(approval.id)).state === 'denied');
  await page.context().close();
});

test('characters that hide something are shown for what they are', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.external('Hidden');
  const approval = await stage.ask(session, 'Bash', { command: 'echo safe\u202e \u200bgnp.exe # ls\tx ' });
  const text = await card(page, approval).locator('.command').innerText();
  assert.match(text, /⟦U\+202E⟧/);
  assert.match(text, /⟦U\+200B⟧/);
  assert.doesNotMatch(text, /[\u202e\u200b]/);
  assert.equal(await card(page, approval).getByRole('button', { name: 'Hold to allow' }).count(), 1);
  await clear();
  await page.context().close();
});

test('several alike share a card and are answered together, less what was unticked', async () => {
  const session = await stage.external('Many');
  const approvals = [];
  for (const word of ['one', 'two', 'three']) approvals.push(await stage.ask(session, 'Bash', { command: `echo ${word}` }));
  const page = await visit(chrome, stage);
  await page.getByText('3 alike: run a command').waitFor();
  await page.getByRole('checkbox', { name: 'Include echo two' }).tap();
  await shot(page, 'alike-phone-light');
  await page.locator('approval-card .yes:not(.unarmed)').waitFor();
  await page.getByRole('button', { name: 'Allow 2' }).tap();
  await until('two are allowed', async () => (await Promise.all(approvals.map((approval) => stage.approval(approval.id)))).map((approval) => approval.state).join() === 'allowed,open,allowed');
  await clear();
  await page.context().close();
});

test('of two browsers that answer at once one wins, and the other is told who did', async () => {
  const session = await stage.external('Contested');
  const approval = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  const [left, right] = [await visit(chrome, stage), await visit(chrome, stage, '/', { theme: 'dark' })];
  await armed(left, approval).waitFor();
  await armed(right, approval).waitFor();
  // Whose answer comes first takes the other's buttons away, at times before the other tap.
  const tap = (page, button) => card(page, approval).locator(button).tap({ timeout: 5000 }).catch(() => {});
  await Promise.all([tap(left, '.yes'), tap(right, '.no')]);
  const { state } = await until('it is answered', async () => { const one = await stage.approval(approval.id); return one.state !== 'open' && one; });
  const loser = state === 'allowed' ? right : left;
  const winner = state === 'allowed' ? left : right;
  await card(loser, approval).getByText(state === 'allowed' ? /Allowed by/ : /Denied by/).waitFor();
  await card(winner, approval).getByText(state === 'allowed' ? /Allowed by/ : /Denied by/).waitFor();
  await left.context().close();
  await right.context().close();
});

test('what is answered on another surface tells who and when', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.external('Elsewhere answered');
  const approval = await stage.ask(session, 'Read', { file_path: '/etc/hosts' });
  await armed(page, approval).waitFor();
  await stage.api('POST', `/api/approvals/${approval.id}/answer`, { decision: 'deny' });
  await card(page, approval).getByText(/Denied by the API, \d\d:\d\d/).waitFor();
  await page.context().close();
});

test('a tool allowed for the session asks no more, until that is taken back', async () => {
  const page = await visit(chrome, stage);
  const session = await stage.session('SHELL echo 1 >> grant.txt\nSHELL echo 2 >> grant.txt\nSAY ok', { name: 'Granted' });
  const [approval] = await until('the agent asks', async () => { const all = await stage.api('GET', `/api/approvals?session_id=${session}`); return all.length && all; }, 60);
  await armed(page, approval).waitFor();
  await card(page, approval).getByRole('button', { name: 'More ways to answer' }).tap();
  await page.getByRole('dialog').getByText('Allow for this session and tool').tap();
  await until('both ran', () => fs.readFileSync(path.join(stage.work, 'grant.txt'), 'utf8') === '1\n2\n', 40);
  await page.goto(`${stage.origin}/s/${session}`);
  await page.getByRole('tab', { name: 'Details' }).tap();
  await page.getByText('Bash is allowed').waitFor();
  await page.getByRole('button', { name: 'Take back' }).tap();
  await until('it is taken back', async () => (await stage.api('GET', `/api/approvals/grants?session_id=${session}`)).length === 0);
  await page.context().close();
});

test('the keyboard does it all: next, allow, deny, the list of keys', async () => {
  const session = await stage.external('Keys');
  const first = await stage.ask(session, 'Read', { file_path: '/a' });
  const other = await stage.external('Keys two');
  const second = await stage.ask(other, 'Read', { file_path: '/b' });
  const page = await visit(chrome, stage, '/', { size: DESK, touch: false });
  await card(page, first).locator('.yes:not(.unarmed)').waitFor();
  await shot(page, 'inbox-desk-light');
  await page.keyboard.press('a');
  await until('the first is allowed', async () => (await stage.approval(first.id)).state === 'allowed');
  await page.keyboard.press('j');
  await page.locator(`approval-card.sel[data-approval="${second.id}"]`).waitFor();
  await page.keyboard.press('d');
  await until('the second is denied', async () => (await stage.approval(second.id)).state === 'denied');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('n');
  await page.getByRole('heading', { name: 'New session' }).waitFor();
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a plan of the real agent is read before it is accepted, one that was not written down is told as such, and a project is trusted by what it brings', async () => {
  const work = path.join(stage.home, 'planned');
  fs.mkdirSync(path.join(work, '.claude'), { recursive: true });
  fs.writeFileSync(path.join(work, '.claude/settings.json'), JSON.stringify({ hooks: { UserPromptSubmit: [{ hooks: [{ type: 'command', command: 'echo hook' }] }] } }));
  const plan = '# Move the cache\\n\\n1. Read **cache.rs**\\n2. Put the map behind a lock';
  const session = await stage.session(`SAY I have a plan.\nTOOL EnterPlanMode {}\nTOOL ExitPlanMode {}\nWRITE {plan} ${plan}\nTOOL ExitPlanMode {}\nECHO`, { name: 'Planner', directory: fs.realpathSync(work) });
  const open = (kind) => until(`${kind} is asked`, async () => (await stage.api('GET', `/api/approvals?session_id=${session}`)).find((one) => one.kind === kind && one.state === 'open'), 60);
  const [trust, none] = [await open('trust'), await open('plan')];
  const page = await visit(chrome, stage);
  await card(page, trust).locator('.well', { hasText: /^\.claude\/settings\.json$/ }).waitFor();
  await card(page, trust).getByText('It can run commands and allow tools without asking you.').waitFor();
  await card(page, none).getByText('The agent wrote no plan down.').waitFor();
  await shot(page, 'trust-phone-light');
  await card(page, none).getByRole('button', { name: 'Keep planning' }).tap();
  await page.getByRole('dialog').getByRole('textbox').fill('write it down');
  await page.getByRole('dialog').getByRole('button', { name: 'Keep planning' }).tap();
  await until('the first is answered', async () => (await stage.approval(none.id)).state === 'denied');
  const real = await open('plan');
  await card(page, real).locator('.plan strong', { hasText: 'cache.rs' }).waitFor();
  await card(page, real).locator('.plan li', { hasText: 'behind a lock' }).waitFor();
  await shot(page, 'plan-phone-light');
  await page.goto(`${stage.origin}/sessions`);
  await page.locator('.session-row', { hasText: 'Planner' }).getByText(/Trust this directory|Move the cache/).waitFor();
  await page.goto(stage.origin);
  await card(page, real).locator('.acts').evaluate((node) => node.scrollIntoView({ block: 'center' }));
  await armed(page, real).tap();
  await card(page, real).locator('.step.good', { hasText: 'Allowed by' }).waitFor();
  await until('the agent took it', async () => (await stage.approval(real.id)).outcome === 'ran', 40);
  assert.deepEqual(page.faults, []);
  await clear();
  await page.context().close();
});
