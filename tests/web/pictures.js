// Makes the README's pictures: `node tests/web/pictures.js`, after `cargo build` and `tests/run` have been there.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DESK, PHONE, Stage, browser, until, visit } from './rig.js';

const OUT = fileURLToPath(new URL('../../pictures/', import.meta.url));

const stage = await Stage.open();
const chrome = await browser();
try {
  const folder = (name, branch) => {
    const where = path.join(stage.home, 'work', name);
    fs.mkdirSync(path.join(where, 'src'), { recursive: true });
    fs.writeFileSync(path.join(where, 'src/retry.rs'), 'pub fn delay(attempt: u32) -> u64 {\n    1000 * attempt as u64\n}\n');
    const git = (...args) => execFileSync('git', ['-C', where, '-c', 'user.name=Ana', '-c', 'user.email=ana@example.com', ...args], { stdio: 'ignore' });
    git('init', '-qb', branch);
    git('add', '-A');
    git('commit', '-qm', 'Begin');
    return where;
  };
  const [payments, infra, docs] = [folder('payments-api', 'retry-jitter'), folder('infra-scripts', 'main'), folder('docs-site', 'main')];
  const retry = path.join(payments, 'src/retry.rs');
  const edit = { file_path: retry, old_string: '    1000 * attempt as u64', new_string: '    let base = 1000u64.saturating_mul(1 << attempt.min(5));\n    base.min(30_000) + jitter(250)' };
  const said = 'SAY I looked at the retry helper. **The delay grows linearly**, so a burst of failures hits the gateway again at once. I will:\\n\\n1. make it exponential, capped at 30 s\\n2. add up to 250 ms of jitter\\n3. run the tests for `retry`';
  const clean = await stage.session('SAY The build folders use 41 GB. I remove those older than 30 days and clean what git does not track.\nSHELL find . -name target -mtime +30 -print0 | xargs -0 rm -rf && git clean -fdx\nSAY ok', { directory: infra, name: 'Clean build folders' });
  await until('it asks', async () => (await stage.api('GET', `/api/approvals?session_id=${clean}`)).length > 0, 60);
  const main = await stage.session(`THINK The delay is linear.\n${said}\nREAD ${retry}\nSAY Now I change the retry helper, then I run its tests.\nTOOL Edit ${JSON.stringify(edit)}\nSAY ok`, { directory: payments, name: 'Retry delay with jitter' });
  await until('it asks', async () => (await stage.api('GET', `/api/approvals?session_id=${main}`)).some((approval) => approval.tool_name === 'Edit'), 60);
  const more = [[payments, 'Webhook signatures', 'Reading tests/webhooks.rs', 'running'], [payments, 'Currency rounding', 'All 214 tests pass.', 'done'], [docs, 'Migration guide', 'Writing the second chapter', 'running'], [docs, 'Release notes', 'The notes are ready.', 'done']];
  for (const [directory, name, text, status] of more) {
    const made = await stage.api('POST', '/api/sessions', { agent_name: 'Codex', agent_type: 'codex', session_name: name, directory });
    await stage.push(made.id, 'output', { text });
    if (status === 'done') await stage.push(made.id, 'status', { status });
  }
  fs.mkdirSync(OUT, { recursive: true });
  // The temporary home is nobody's business.
  const dress = (page) => page.addInitScript(() => {
    const change = () => {
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const text = node.data.replace(/\/tmp\/tether-web-\w+|\/tmp\/t\w*…/g, '~').replace(/~\/work/g, '~/work');
        if (text !== node.data) node.data = text;
      }
      // What the scripted model is told to do, in the words of a person.
      for (const node of document.querySelectorAll('.me .words')) {
        const text = 'Make the retry delay exponential with jitter and keep the API.';
        if (node.textContent !== text) node.textContent = text;
      }
    };
    addEventListener('DOMContentLoaded', () => { new MutationObserver(change).observe(document.body, { subtree: true, childList: true, characterData: true }); });
  });
  const phone = await visit(chrome, stage, '/', { size: PHONE, theme: 'light', deviceScaleFactor: 2 });
  await dress(phone);
  await phone.reload();
  await phone.locator('approval-card .yes:not(.unarmed)').nth(1).waitFor();
  await phone.screenshot({ path: path.join(OUT, 'inbox-phone.png') });
  const desk = await visit(chrome, stage, '/', { size: DESK, theme: 'dark' });
  await dress(desk);
  await desk.goto(`${stage.origin}/s/${main}`);
  await desk.locator('.prose').first().waitFor();
  await desk.locator('approval-card.sel .yes:not(.unarmed)').waitFor();
  await desk.screenshot({ path: path.join(OUT, 'session-desk.png') });
} finally {
  await chrome.close();
  await stage.end();
}
