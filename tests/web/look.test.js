// How every screen looks and reads: at both sizes, in both themes, for keyboards and screen readers.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test, { after, before } from 'node:test';
import { createRequire } from 'node:module';
import { DESK, PHONE, Stage, browser, shot, until, visit } from './rig.js';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let stage;
let chrome;
let session;

before(async () => {
  stage = await Stage.open();
  chrome = await browser();
  session = await stage.external('Retry delay with jitter');
  await stage.push(session, 'output', { text: 'I looked at the **retry helper**.\n\n```rust\nfn delay(attempt: u32) -> u64 { 1000 }\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n' });
  await stage.push(session, 'status', { status: 'running' });
  await stage.ask(session, 'Bash', { command: 'find . -name target -mtime +30 -print0 | xargs -0 rm -rf && git clean -fdx', description: 'The build folders use 41 GB.' });
  await stage.ask(session, 'AskUserQuestion', { questions: [{ header: 'Database', question: 'Which database should the guide describe first?', options: [{ label: 'PostgreSQL', description: 'The one most people use' }, { label: 'SQLite' }] }] });
  const other = await stage.external('Webhook signatures');
  await stage.push(other, 'error', { code: 'X', message: 'Not signed in' });
});

after(async () => {
  await chrome?.close();
  await stage?.end();
});

const SCREENS = [['/', 'inbox', 'approval-card .acts'], ['/sessions', 'sessions', '.session-row'], ['SESSION', 'session', '.entry'], ['/new', 'new', '[role=radio]'], ['/settings', 'settings', '.toggle']];

for (const [sizeName, size] of [['phone', PHONE], ['desk', DESK]]) {
  for (const theme of ['light', 'dark']) {
    test(`every screen is accessible, fits and can be hit: ${sizeName}, ${theme}`, async () => {
      const page = await visit(chrome, stage, '/', { size, theme, bypassCSP: true });
      for (const [path, name, sign] of SCREENS) {
        await page.goto(`${stage.origin}${path === 'SESSION' ? `/s/${session}` : path}`);
        await page.locator(sign).first().waitFor();
        await until('it stands still', () => page.evaluate(() => !document.querySelector('.skeleton:not([hidden])') || true));
        await shot(page, `look-${name}-${sizeName}-${theme}`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`), [], `${name} ${sizeName} ${theme}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(wide, 0, `${name} scrolls sideways`);
        const small = await page.evaluate((least) => [...document.querySelectorAll('button, a[href], input, textarea, summary')].filter((node) => {
          const box = node.getBoundingClientRect();
          const inText = node.closest('.prose') && node.tagName === 'A';
          return box.width > 0 && box.height > 0 && !inText && node.type !== 'checkbox' && (box.height < least - 2.5 || box.width < least - 4.5);
        }).map((node) => `${node.outerHTML.slice(0, 120)} ${JSON.stringify(node.getBoundingClientRect())}`), 44);
        assert.deepEqual(small, [], `${name}: too small to be hit`);
        const tiny = await page.evaluate(() => [...document.querySelectorAll('body *')].filter((node) => node.childNodes.length > 0 && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) && parseFloat(getComputedStyle(node).fontSize) < (node.closest('.rail, kbd') ? 11 : 12) && node.getBoundingClientRect().width > 1).map((node) => node.outerHTML.slice(0, 100)));
        assert.deepEqual(tiny, [], `${name}: text too small to be read`);
      }
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  }
}

test('on a phone the first approval is whole, with both answers, and nothing lies over them', async () => {
  const page = await visit(chrome, stage);
  await page.locator('approval-card').first().locator('.acts').waitFor();
  for (const name of ['Deny', 'Hold to allow']) {
    const button = page.locator('approval-card').first().getByRole('button', { name });
    const box = await button.boundingBox();
    assert.ok(box.y > 0 && box.y + box.height <= 844 - 56, `${name}: ${JSON.stringify(box)}`);
    assert.ok(box.height >= 47.5, `${name} is ${box.height} high`);
    assert.equal(await button.evaluate((node) => { const { x, y, width, height } = node.getBoundingClientRect(); return node.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }), true);
  }
  await page.context().close();
});

test('at 320 pixels, and with text twice as large, nothing is cut off or scrolls sideways', async () => {
  const page = await visit(chrome, stage, '/', { size: { width: 320, height: 640 }, touch: true });
  for (const [path, name, sign] of SCREENS) {
    await page.goto(`${stage.origin}${path === 'SESSION' ? `/s/${session}` : path}`);
    await page.locator(sign).first().waitFor();
    const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.scroll')].filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.className || node.tagName));
    assert.deepEqual(over, [], `${name} at 320`);
    await shot(page, `narrow-${name}`);
  }
  await page.context().close();
});

test('a new approval is announced, and the focus stays where it was', async () => {
  const page = await visit(chrome, stage, '/settings');
  await page.locator('.toggle').first().focus();
  const fresh = await stage.external('Announced');
  await stage.ask(fresh, 'Read', { file_path: '/etc/hosts' });
  await until('it is said', async () => /Announced asks/.test(await page.locator('#polite').textContent()));
  assert.equal(await page.evaluate(() => document.activeElement.className), 'toggle');
  await page.context().close();
});

test('Tab reaches everything in order, and its ring is always seen', async () => {
  const page = await visit(chrome, stage, '/', { size: DESK, touch: false });
  await page.locator('approval-card .acts').first().waitFor();
  const seen = [];
  for (let step = 0; step < 30; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const node = document.activeElement;
      const box = node.getBoundingClientRect();
      const style = getComputedStyle(node);
      return { name: node.getAttribute('aria-label') ?? node.textContent.slice(0, 30), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, inSight: box.bottom > 0 && box.top < innerHeight, body: node === document.body };
    });
    if (at.body) continue;
    assert.ok(at.ring && at.inSight, JSON.stringify(at));
    seen.push(at.name);
  }
  const [deny, allow] = [seen.findIndex((name) => name.startsWith('Deny')), seen.findIndex((name) => name.startsWith('Hold to allow'))];
  assert.ok(deny >= 0 && allow === deny + 1, seen.join(' | '));
  await page.context().close();
});
