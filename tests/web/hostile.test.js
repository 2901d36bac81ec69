// What an agent says is data: it runs nothing, goes nowhere and blocks nothing.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
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

const EVIL = [
  '<script>window.pwned = 1</script>', '<img src=x onerror="window.pwned = 2">', '<svg onload="window.pwned = 3"></svg>', '<iframe srcdoc="<script>parent.pwned = 4</script>"></iframe>',
  '[click](javascript:window.pwned=5)', '[data](data:text/html,<script>opener.pwned=6</script>)', '![remote](https://example.invalid/track.png)', '<a href="javascript:window.pwned=7">x</a>',
  '<style>* { display: none }</style>', '<form action="https://example.invalid"><input name=a></form>', '<div style="position:fixed;inset:0">over all</div>', '[ok](https://example.com/page)',
  '```html\n<script>window.pwned = 8</script>\n```', '<details ontoggle="window.pwned = 9" open>t</details>', '<math><mtext><table><mglyph><style><img src=x onerror="window.pwned=10">',
];

test('a hostile transcript executes nothing, asks nobody outside, and covers nothing', async () => {
  const session = await stage.external('<img src=x onerror="window.pwned=11">');
  for (const text of EVIL) {
    await stage.push(session, 'output', { text: `${text}\n\n` });
    await stage.push(session, 'status', { status: 'running' });
  }
  await stage.push(session, 'status', { status: 'done' });
  await stage.ask(session, '<b>Bash</b>', { command: '<script>window.pwned = 12</script>', description: '<img src=x onerror="window.pwned=13">' });
  const asked = [];
  const page = await visit(chrome, stage);
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(`${stage.origin}/s/${session}`);
  await page.getByRole('link', { name: 'ok' }).waitFor();
  await shot(page, 'hostile-phone-light');
  const link = page.getByRole('link', { name: 'ok' });
  assert.deepEqual(await link.evaluate((node) => [node.href, node.target, node.rel]), ['https://example.com/page', '_blank', 'noopener noreferrer nofollow']);
  const found = await page.evaluate(() => ({
    pwned: window.pwned,
    scripts: [...document.scripts].map((script) => script.src).filter((src) => !src.endsWith('/app.js')),
    bad: [...document.querySelectorAll('a[href]')].filter((node) => !/^(https?:|mailto:)/.test(node.href)).length,
    foreign: document.querySelectorAll('iframe, form[action], object, embed, img[src^="http"]:not([src^="http://127."])').length,
    handlers: [...document.querySelectorAll('*')].filter((node) => node.getAttributeNames().some((name) => name.startsWith('on') || (name === 'style' && node.getAttribute(name) !== '' && !node.closest('.virtual')))).map((node) => node.outerHTML.slice(0, 200)),
  }));
  assert.deepEqual(found, { pwned: undefined, scripts: [], bad: 0, foreign: 0, handlers: [] });
  assert.ok(asked.every((url) => new URL(url).origin === stage.origin || url.startsWith('data:') || url.startsWith('ws')), asked.join('\n'));
  await page.goto(stage.origin);
  await page.locator('approval-card').waitFor();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('five megabytes in one piece, endless lines and control characters block nothing', async () => {
  const session = await stage.external('Huge');
  await stage.push(session, 'output', { text: 'before\n\n' });
  // One line without an end, then many lines.
  for (let part = 0; part < 3; part += 1) await stage.push(session, 'output', { text: 'x'.repeat(900_000) });
  for (let part = 0; part < 3; part += 1) await stage.push(session, 'output', { text: `\n${'a line of some length \u001b[31mred\u001b[0m \u202e\n'.repeat(15_000)}` });
  await stage.push(session, 'output', { text: '\n\nafter it' });
  await stage.push(session, 'status', { status: 'done' });
  const page = await visit(chrome, stage);
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration); }).observe({ type: 'longtask' });
  });
  await page.evaluate(async (path) => { (await import('/context.js')).go(path); }, `/s/${session}`);
  await page.getByText('Ready').first().waitFor();
  await until('the transcript is there', () => page.evaluate(() => document.querySelectorAll('.entry').length > 0), 30);
  // It answers to a touch.
  await page.getByRole('tab', { name: 'Details' }).tap();
  await page.getByText('Approval mode').waitFor();
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  assert.ok(nodes < 5000, `${nodes} elements`);
  await page.getByRole('tab', { name: 'Transcript' }).tap();
  await page.getByRole('button', { name: 'Show all' }).last().tap();
  await page.getByRole('dialog', { name: 'Text' }).locator('.piece').first().waitFor();
  const drawn = await page.evaluate(() => document.querySelectorAll('.piece').length);
  assert.ok(drawn < 60, `${drawn} pieces are drawn`);
  await page.context().close();
});

test('of a session that says more than a page keeps, the first words can be gone back to', async () => {
  const session = await stage.external('Says much');
  await stage.push(session, 'output', { text: 'The very first words.\n\n' });
  for (let round = 0; round < 14; round += 1) {
    for (const status of ['done', 'running']) await stage.push(session, 'status', { status });
    await stage.push(session, 'output', { text: `${'some words on a line\n'.repeat(40_000)}\n\n` });
  }
  for (const status of ['done', 'running']) await stage.push(session, 'status', { status });
  await stage.push(session, 'output', { text: 'The last words.\n\n' });
  const page = await visit(chrome, stage, `/s/${session}`);
  await page.getByText('The last words').waitFor();
  await until('the first words are there', () => page.evaluate(() => {
    document.querySelector('.transcript .scroll').scrollTop = 0;
    return /The very first words/.test(document.querySelector('.transcript .t').textContent);
  }), 40);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
