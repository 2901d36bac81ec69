// What the browser tests stand on: the built program in a home of its own, the scripted model, the real agent, Chromium.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { front } from './front.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const PHONE = { width: 390, height: 844 };
export const DESK = { width: 1440, height: 900 };

const program = () => process.env.TETHER_WEB_PROGRAM ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'), 'debug/tether');

/// A port that nobody listens on, from below those that the system gives to outgoing connections: one of these may be
/// taken again before the daemon has it, and between its end and its next start.
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = net.createServer();
    const free = await new Promise((resolve) => { server.once('error', () => resolve(false)); server.listen(port, '127.0.0.1', () => resolve(true)); });
    if (!free) continue;
    await new Promise((resolve) => { server.close(resolve); });
    return port;
  }
}

/// Waits until `look` gives something true, and gives that.
export async function until(what, look, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await Promise.resolve().then(look).catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 40); });
  }
}

/// A daemon in a temporary home, with the scripted model. `end()` ends it with all that it started.
export class Stage {
  static async open({ env = {} } = {}) {
    const stage = new Stage();
    stage.home = fs.mkdtempSync(path.join(os.tmpdir(), 'tether-web-'));
    for (const name of ['work', 'tmp', 'claude']) fs.mkdirSync(path.join(stage.home, name));
    stage.work = fs.realpathSync(path.join(stage.home, 'work'));
    stage.port = await freePort();
    stage.token = `token-${stage.port}`;
    stage.mark = `web-${process.pid}-${stage.port}`;
    stage.env = {
      HOME: stage.home, XDG_CONFIG_HOME: `${stage.home}/.config`, XDG_DATA_HOME: `${stage.home}/.local/share`, XDG_STATE_HOME: `${stage.home}/.local/state`, XDG_CACHE_HOME: `${stage.home}/.cache`,
      TMPDIR: `${stage.home}/tmp`, LANG: 'C.UTF-8', PATH: `${process.env.TETHER_WEB_AGENTS ?? path.join(ROOT, 'tests/agents/node_modules/.bin')}:${process.env.PATH}`,
      TETHER_AGENT_TOKEN: stage.token, TETHER_AGENT_PORT: String(stage.port), TETHER_TEST_MARK: stage.mark,
      CLAUDE_CONFIG_DIR: `${stage.home}/claude`, CLAUDE_CODE_MAX_RETRIES: '2', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1', DISABLE_TELEMETRY: '1', DISABLE_ERROR_REPORTING: '1',
      ANTHROPIC_API_KEY: 'test', ...env,
    };
    await stage.#model();
    await stage.start();
    stage.origin = `http://127.0.0.1:${stage.port}`;
    if (process.env.TETHER_WEB_FRONT) {
      stage.front = await front(stage.port);
      stage.origin = `http://127.0.0.1:${stage.front.address().port}`;
    }
    return stage;
  }

  async #model() {
    this.model = spawn('python3', [path.join(ROOT, 'tests/rig/model_server.py')], { env: { ...process.env, TETHER_TEST_MARK: this.mark }, stdio: ['ignore', 'pipe', 'ignore'] });
    const port = await new Promise((resolve, reject) => {
      this.model.stdout.once('data', (data) => resolve(Number(String(data).trim())));
      this.model.once('exit', () => reject(new Error('the scripted model did not start')));
    });
    this.modelPort = port;
    this.env.ANTHROPIC_BASE_URL = `http://127.0.0.1:${port}`;
  }

  async start() {
    const log = fs.openSync(path.join(this.home, 'daemon.log'), 'a');
    this.daemon = spawn(program(), ['start'], { env: this.env, cwd: this.home, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    let over = null;
    this.daemon.once('exit', (code, signal) => { over = `${code ?? signal}`; });
    this.daemon.once('error', (error) => { over = error.message; });
    await until('the daemon answers', async () => over ?? (await fetch(`http://127.0.0.1:${this.port}/api/health`)).ok, 40);
    this.running = true;
    if (over) throw new Error(`the daemon ended: ${over}\n${this.log()}`);
  }

  async kill() {
    const gone = new Promise((resolve) => { this.daemon.once('exit', resolve); });
    this.daemon.kill('SIGKILL');
    await gone;
    this.running = false;
  }

  log() { return fs.readFileSync(path.join(this.home, 'daemon.log'), 'utf8').split('\n').slice(-40).join('\n'); }

  /// A call of the API as the owner of the token; throws what is refused.
  async api(method, where, body) {
    const answer = await fetch(`http://127.0.0.1:${this.port}${where}`, { method, headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
    const told = await answer.json().catch(() => null);
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${JSON.stringify(told)}`);
    return told;
  }

  /// A session of the real agent whose prompt is a script for the model.
  async session(script, { directory = this.work, mode = 0, name } = {}) {
    const session = await this.api('POST', '/api/sessions', { directory, ...(name ? { session_name: name } : {}) });
    await this.api('POST', `/api/sessions/${session.id}/start`, { prompt: script, approval_choice: mode });
    return session.id;
  }

  /// A session that the test itself drives.
  async external(name, directory = this.work) {
    const session = await this.api('POST', '/api/sessions', { agent_name: 'Test', agent_type: 'test', session_name: name, directory });
    return session.id;
  }

  push(session, type, data) { return this.api('POST', `/api/sessions/${session}/events`, { type, data }); }

  /// Puts a question of an external agent; gives the approval.
  async ask(session, tool, input, more = {}) {
    const request = `req-${Math.random().toString(36).slice(2, 10)}`;
    await this.push(session, 'permission_request', { request_id: request, tool_name: tool, tool_input: input, ...more });
    return until('the approval is open', async () => (await this.api('GET', '/api/approvals')).find((approval) => approval.request_id === request));
  }

  approval(id) { return this.api('GET', `/api/approvals/${id}`); }

  async code() { return (await this.api('POST', '/api/pairing', {})).code; }

  release(name) { return fetch(`http://127.0.0.1:${this.modelPort}/release/${name}`, { method: 'POST' }); }

  /// Ends it with all that it started.
  async end() {
    this.front?.closeAllConnections();
    this.front?.close();
    this.daemon.kill('SIGKILL');
    this.model.kill('SIGKILL');
    // Whatever the agents started carries the mark.
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TETHER_TEST_MARK=${this.mark}`)) process.kill(Number(pid), 'SIGKILL');
      } catch { /* It ended, or is not ours. */ }
    }
    if (!process.env.RIG_KEEP) await until('the home is gone', () => { fs.rmSync(this.home, { recursive: true, force: true }); return true; }, 5).catch(() => {});
  }
}

/// One browser for all tests of a file.
export async function browser() {
  const path_ = process.env.TETHER_WEB_BROWSER ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => fs.existsSync(file));
  const made = await chromium.launch({ executablePath: path_, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  return made;
}

/// A page that is logged in: as one device for all, or as one of its own (`own`), or not at all (`login: false`). `faults`
/// of it collects what went wrong in the page by itself.
export async function visit(made, stage, where = '/', { size = PHONE, theme = 'light', touch = size === PHONE, login = true, own = false, ...more } = {}) {
  const known = login && !own ? stage.cookies : null;
  const context = await made.newContext({ ...(known ? { storageState: { cookies: known, origins: [] } } : {}), viewport: size, colorScheme: theme, hasTouch: touch, isMobile: touch, baseURL: stage.origin, reducedMotion: 'reduce', ...more });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(`${error.message}\n${error.stack}`));
  page.on('console', (message) => { if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) page.faults.push(message.text()); });
  if (login && !known) {
    await page.goto(`${stage.origin}/login#code=${await stage.code()}`);
    await page.waitForURL(`${stage.origin}/`);
    if (!own) stage.cookies = (await context.storageState()).cookies;
  }
  if (where !== '/' || !login || known) await page.goto(`${stage.origin}${where}`);
  return page;
}

/// A picture for people to look at, where TETHER_WEB_SHOTS names a folder.
export async function shot(page, name) {
  const folder = process.env.TETHER_WEB_SHOTS;
  if (!folder) return;
  fs.mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}
