// The parts of the page that need no browser.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { changed, parse } from '../../static/approval/diff.js';
import { computed, effect, flush, onEnd, scope, signal, untracked } from '../../static/core/reactive.js';
import { Model, silentWords } from '../../static/session/model.js';
import { pieces } from '../../static/session/text.js';
import { age, commandOf, deed, duration, nameOf, outcome, place, stateOf } from '../../static/words.js';

const STATIC = fileURLToPath(new URL('../../static/', import.meta.url));

function files(folder = STATIC) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? files(path.join(folder, entry.name)) : [path.join(folder, entry.name)]));
}

test('an effect runs once however much has changed, and only for what it read', () => {
  const [a, b, other] = [signal(1), signal(2), signal(3)];
  const seen = [];
  effect(() => seen.push(a.value + b.value));
  a.value = 10;
  b.value = 20;
  other.value = 30;
  flush();
  assert.deepEqual(seen, [3, 30]);
  other.value = 31;
  flush();
  assert.equal(seen.length, 2);
});

test('a computed value that comes out the same runs nobody', () => {
  const count = signal(1);
  const even = computed(() => count.value % 2 === 0);
  let runs = 0;
  effect(() => { even.value; runs += 1; });
  count.value = 3;
  flush();
  assert.equal(runs, 1);
  count.value = 4;
  flush();
  assert.equal(runs, 2);
});

test('an effect forgets what it no longer reads', () => {
  const [which, left, right] = [signal(true), signal('l'), signal('r')];
  const seen = [];
  effect(() => seen.push(which.value ? left.value : right.value));
  which.value = false;
  flush();
  left.value = 'l2';
  flush();
  assert.deepEqual(seen, ['l', 'r']);
});

test('a scope ends its effects and cleans up after them', () => {
  const value = signal(1);
  const seen = [];
  const end = scope(() => {
    effect(() => { seen.push(value.value); return () => seen.push('cleaned'); });
    onEnd(() => seen.push('ended'));
  });
  end();
  value.value = 2;
  flush();
  assert.deepEqual(seen, [1, 'cleaned', 'ended']);
});

test('what is read untracked, and what is set to the same, runs nothing', () => {
  const [a, b] = [signal(1), signal(1)];
  let runs = 0;
  effect(() => { a.value; untracked(() => b.value); runs += 1; });
  b.value = 2;
  a.value = 1;
  flush();
  assert.equal(runs, 1);
});

test('effects that cause each other for ever are stopped', () => {
  const value = signal(0);
  effect(() => { value.value += 1; });
  assert.throws(flush, /for ever/);
});

test('a unified diff is read by the counts of its hunks, not by how its lines look', () => {
  const [file] = parse('--- a/x.sql\n+++ b/x.sql\n@@ -1,3 +1,2 @@\n keep\n--- a comment\n-- -gone\n+++ plus\n');
  assert.equal(file.path, 'x.sql');
  assert.deepEqual(file.lines.map((line) => [line.kind, line.text]), [[' ', 'keep'], ['-', '-- a comment'], ['-', '- -gone'], ['+', '++ plus']]);
  const [made, moved, binary] = parse('diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+hello\ndiff --git a/o b/p\nrename from o\nrename to p\ndiff --git a/i.png b/i.png\nBinary files a/i.png and b/i.png differ\n');
  assert.deepEqual([made.what, made.added, moved.what, moved.path, binary.what], ['new', 1, 'renamed from o', 'p', 'binary']);
});

test('only the part of a line that changed is marked, and nothing where two lines have little in common', () => {
  assert.deepEqual(changed('let a = 1;', 'let a = 20;'), [8, 9, 10]);
  assert.equal(changed('one thing', 'quite another'), null);
});

let seq = 0;
const event = (type, data, ts = '2026-01-01T00:00:00Z') => ({ session_id: 's', ts, seq: ++seq, type, data });

test('streamed pieces are one row, and the final text that repeats them none', () => {
  const model = new Model();
  model.add([event('user_input', { text: 'hi' }), event('output', { text: 'Hel', kind: 'step' }), event('output', { text: 'lo', kind: 'step' }), event('output', { text: 'Hello', kind: 'final' }), event('output_final', { text: 'Hello' })]);
  assert.deepEqual(model.rows.map((row) => [row.kind, row.text]), [['me', 'hi'], ['say', 'Hello']]);
  assert.equal(model.rows[1].done, true);
});

test('a run of tools that only look is one row; a command stands alone, and its approval with it', () => {
  const model = new Model();
  for (const [id, name] of [['1', 'Read'], ['2', 'Read'], ['3', 'Grep'], ['4', 'Bash']]) model.add([event('tool_call', { tool_use_id: id, tool_name: name, input: { command: name === 'Bash' ? 'ls' : undefined } })]);
  assert.equal(silentWords(model.rows[0].tools), '2 reads, 1 search');
  model.add([event('permission_request', { approval_id: 'a', tool_use_id: '4', tool_name: 'Bash', tool_input: { command: 'ls' } })]);
  assert.equal(model.rows.length, 2);
  assert.equal(model.rows[1].tool.ask.state, 'open');
  model.add([event('permission_resolved', { approval_id: 'a', allowed: false, resolved_by: 'user', by: { type: 'person', surface: 'telegram', name: 'Ana' } })]);
  assert.equal(model.rows[1].tool.ask.words, 'Denied by Ana in Telegram');
});

test('types that are not known leave no row, and old rows go when there are too many', () => {
  const model = new Model(100);
  model.add([event('from_the_future', { text: 'x' })]);
  assert.equal(model.rows.length, 0);
  for (let count = 0; count < 300; count += 1) model.add([event('warning', { message: `${count}` })]);
  assert.ok(model.rows.length <= 110, `${model.rows.length}`);
  assert.equal(model.rows[model.rows.length - 1].text, '299');
});

test('a session that says more and more keeps only its newest words', () => {
  const model = new Model(20_000, 10_000);
  let dropped = 0;
  for (let seq = 1; seq <= 600; seq += 1) {
    const event = seq % 2 ? { seq, type: 'output', data: { text: `${seq} ${'x'.repeat(200)}\n\n` } } : { seq, type: 'tool_call', data: { tool_use_id: `t${seq}`, tool_name: 'Bash', input: { command: 'y'.repeat(100) } } };
    if (model.add([event])) dropped += 1;
    const kept = model.rows.reduce((sum, row) => sum + (row.text?.length ?? 0) + (row.tool?.input?.command.length ?? 0), 0);
    assert.ok(kept <= 11_000, `${kept} characters after ${seq} events`);
  }
  assert.ok(dropped > 3 && dropped < 100, `${dropped} times`);
  assert.match(model.rows.at(-2).text, /^599 /);
});

test('a long text is cut into pieces that lose nothing', () => {
  const text = `${'x'.repeat(10_000)}\n${'short\n'.repeat(500)}end`;
  const all = pieces(text);
  assert.equal(all.map((piece) => piece.text).join(''), text);
  assert.ok(all.every((piece) => piece.text.length <= 14_000));
});

test('words for people', () => {
  const now = Date.parse('2026-01-01T12:00:00Z');
  assert.deepEqual(['11:59:55', '11:59:46', '11:54:00', '10:00:00'].map((time) => age(`2026-01-01T${time}Z`, now)), ['now', '14 s', '6 min', '2 h']);
  assert.deepEqual([duration(300), duration(1200), duration(61_000)], ['300 ms', '1.2 s', '1 min 1 s']);
  assert.match(place('/home/ana/work/a/very/long/path/to/some/project/src', 30), /^~\/work…\/.*\/project\/src$/);
  assert.equal(place('/home/ana/work/x'), '~/work/x');
  assert.equal(nameOf({ name: 'New session', directory: '/home/ana/work/api' }), 'Session in api');
  assert.deepEqual(stateOf({ state: 'RUNNING' }, [{}]), ['ask', 'Needs answer']);
  assert.deepEqual(stateOf({ state: 'DREAMING' }), ['new', 'DREAMING']);
  assert.equal(commandOf({ kind: 'tool', tool_input: { command: ['rm', '-rf', 'x'] } }), 'rm -rf x');
  assert.equal(deed({ kind: 'tool', tool_name: 'Bash', tool_input: { command: 'ls' } }), 'Run a command');
  assert.equal(deed({ kind: 'tool', tool_name: 'Edit', tool_input: {}, is_edit: true, paths: ['a', 'b'] }), 'Change 2 files');
  assert.match(outcome({ state: 'denied', kind: 'tool', resolved_by: { type: 'person', surface: 'telegram', name: 'Ana' }, resolved_at: '2026-01-01T09:41:00Z' }), /^Denied by Ana in Telegram, /);
});

// The colours, as `light-dark(light, dark)` pairs.
function tokens() {
  const css = fs.readFileSync(path.join(STATIC, 'style/tokens.css'), 'utf8');
  return Object.fromEntries([...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, name, light, dark]) => [name, [light, dark]]));
}

function contrast(a, b) {
  const light = (hex) => {
    const [r, g, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

test('every pair of colours that text is set in can be read, in both themes', () => {
  const all = tokens();
  const pairs = [
    ...['ink', 'ink-2', 'ink-3', 'accent', 'bad'].flatMap((ink) => ['bg', 'surface', 'well'].map((ground) => [ink, ground, 4.5])),
    ...['ask', 'good', 'held', 'restart'].flatMap((ink) => ['bg', 'surface'].map((ground) => [ink, ground, 4.5])),
    ...['accent', 'ask', 'bad', 'good', 'held', 'restart'].map((ink) => [ink, `${ink}-soft`, 4.5]),
    ['ink', 'accent-soft', 4.5], ['ink-2', 'accent-soft', 4.5], ['ink-3', 'press', 4.5], ['on-accent', 'accent', 4.5], ['on-bad', 'bad', 4.5],
    ['add', 'add-bg', 4.5], ['add', 'add-word', 4.5], ['del', 'del-bg', 4.5], ['del', 'del-word', 4.5], ['ink-3', 'add-bg', 4.5], ['ink-3', 'del-bg', 4.5],
    ...['code-key', 'code-str', 'code-num', 'code-note'].map((ink) => [ink, 'well', 4.5]),
    ...['bg', 'surface', 'well'].map((ground) => ['edge', ground, 3]),
  ];
  for (const [ink, ground, least] of pairs) {
    for (const theme of [0, 1]) {
      const found = contrast(all[ink][theme], all[ground][theme]);
      assert.ok(found >= least, `${ink} on ${ground} (${theme ? 'dark' : 'light'}): ${found.toFixed(2)}`);
    }
  }
});

test('colours come from the tokens alone', () => {
  for (const file of files().filter((name) => name.endsWith('.css') && !name.endsWith('tokens.css'))) {
    const found = fs.readFileSync(file, 'utf8').replace(/\.qr \{[^}]*\}/, '').match(/#[0-9a-f]{3,8}\b|rgba?\(|hsl/i);
    assert.equal(found, null, `${path.basename(file)}: ${found}`);
  }
});

test('the page names every module and style that it needs, and nothing from elsewhere', () => {
  const page = fs.readFileSync(path.join(STATIC, 'index.html'), 'utf8');
  const named = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, name]) => name);
  assert.ok(named.every((name) => name.startsWith('/')), 'something is not our own');
  const own = files().map((file) => `/${path.relative(STATIC, file)}`);
  for (const file of own.filter((name) => /\.(js|css)$/.test(name) && name !== '/sw.js')) assert.ok(named.includes(file), `index.html does not name ${file}`);
  for (const name of named) assert.ok(own.includes(name), `index.html names ${name}, which is not there`);
  assert.doesNotMatch(page, /style="|<script(?![^>]*src=)|\son\w+=/, 'something is inline');
});

test('the first load stays below 200 KB', () => {
  const sum = files().filter((file) => /\.(js|css|html|svg|webmanifest)$/.test(file)).reduce((bytes, file) => bytes + zlib.gzipSync(fs.readFileSync(file)).length, 0);
  assert.ok(sum < 200_000, `${sum} bytes compressed`);
});

test('no module is too long to be read at once', () => {
  for (const file of files().filter((name) => /\.(js|css)$/.test(name))) {
    const lines = fs.readFileSync(file, 'utf8').split('\n').length;
    assert.ok(lines <= 500, `${path.basename(file)} has ${lines} lines`);
  }
});
