// Streams into an open page for a long time and prints what page and daemon hold of it, minute by minute:
//
//     node tests/web/soak.js [minutes: 60] [events a second: 200]
//
// Not a test: it takes as long as it says. The figures should stop growing after the first minutes. It drives the
// program of TETHER_WEB_PROGRAM, else the debug build.

import fs from 'node:fs';
import { Stage, browser, visit } from './rig.js';

const [minutes, rate] = [Number(process.argv[2] ?? 60), Number(process.argv[3] ?? 200)];
const LANES = 8;

const stage = await Stage.open();
const chrome = await browser();
const session = await stage.external('Soak');
await stage.push(session, 'output', { text: 'begin\n\n' });
const page = await visit(chrome, stage, `/s/${session}`);
await page.getByText('begin').waitFor();
const cdp = await page.context().newCDPSession(page);
await cdp.send('HeapProfiler.enable');

const end = Date.now() + minutes * 60_000;
let count = 0;
async function lane() {
  const pause = (LANES / rate) * 1000;
  let due = Date.now();
  while (Date.now() < end) {
    const turn = count++;
    const event = turn % 40 === 39 ? ['status', { status: turn % 80 === 39 ? 'done' : 'running' }] : ['output', { text: `word ${turn} and a few more to make it long enough\n${turn % 12 === 0 ? '\n' : ''}` }];
    await stage.push(session, ...event);
    due += pause;
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, due - Date.now())); });
  }
}

async function look() {
  await cdp.send('HeapProfiler.collectGarbage');
  const [heap, { nodes }] = [await cdp.send('Runtime.getHeapUsage'), await cdp.send('Memory.getDOMCounters')];
  const status = fs.readFileSync(`/proc/${stage.daemon.pid}/status`, 'utf8');
  const daemon = Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  console.log(`${new Date().toISOString().slice(11, 19)}  ${String(count).padStart(8)} events  page's heap ${mib(heap.usedSize)} MiB  ${nodes} nodes  daemon ${daemon.toFixed(1)} MiB`);
}

const watch = setInterval(() => { look().catch((error) => console.log(String(error))); }, 60_000);
await Promise.all(Array.from({ length: LANES }, lane));
clearInterval(watch);
await look();
if (page.faults.length > 0) console.log(`faults: ${page.faults.join('\n')}`);
await chrome.close();
await stage.end();
