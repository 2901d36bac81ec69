// For whoever works on `static/`: gives the page from the folder, and everything else from a running daemon, so that a
// reload shows a change without building.
//
//   node tests/web/front.js [port of the daemon = 8787] [own port = 8790]
//
// The tests use it too when TETHER_WEB_FRONT is set.

import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../static/', import.meta.url));
const KINDS = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json' };
const POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Listens on `own` (0 = any) before the daemon at `daemon`; gives the server.
export function front(daemon, own = 0) {
  // The daemon checks who it is called and from where.
  const ours = (headers) => ({ ...headers, host: `127.0.0.1:${daemon}`, ...(headers.origin ? { origin: `http://127.0.0.1:${daemon}` } : {}) });
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(request.url.split('?')[0]);
    if (/^\/(api|events|health|metrics|mcp)(\/|$)/.test(name)) {
      const on = http.request({ host: '127.0.0.1', port: daemon, method: request.method, path: request.url, headers: ours(request.headers) }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      on.on('error', () => response.destroy());
      response.on('close', () => on.destroy());
      request.pipe(on);
      return;
    }
    let file = path.join(ROOT, name);
    if (!file.startsWith(ROOT) || !fs.existsSync(file) || fs.statSync(file).isDirectory()) file = path.join(ROOT, 'index.html');
    response.writeHead(200, { 'content-type': KINDS[path.extname(file)] ?? 'application/octet-stream', 'cache-control': 'no-cache', 'content-security-policy': POLICY });
    fs.createReadStream(file).pipe(response);
  });
  server.on('upgrade', (request, socket, head) => {
    const on = net.connect(daemon, '127.0.0.1', () => {
      const lines = Object.entries(ours(request.headers)).map(([key, value]) => `${key}: ${value}`);
      on.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      on.write(head);
      on.pipe(socket);
      socket.pipe(on);
    });
    for (const end of [on, socket]) {
      end.on('error', () => { on.destroy(); socket.destroy(); });
      end.on('close', () => { on.destroy(); socket.destroy(); });
    }
  });
  return new Promise((resolve) => { server.listen(own, '127.0.0.1', () => resolve(server)); });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [daemon = 8787, own = 8790] = process.argv.slice(2).map(Number);
  await front(daemon, own);
  console.log(`http://127.0.0.1:${own} shows static/ before the daemon on port ${daemon}`);
}
