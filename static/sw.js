// Keeps the app's own files, so that it opens without a connection and shows what it knew. What the daemon says (its
// API) never passes through here: an old answer must not look like a new one.

const SHELL = 'shell-1';
/// A line that is slower than this is treated as none, for a while.
const PATIENCE = 3000;
const RETRY_AFTER = 20_000;

let slowUntil = 0;

/// The page and all that it names.
async function fill() {
  const cache = await caches.open(SHELL);
  const page = await fetch('/', { cache: 'no-cache' });
  if (!page.ok) return;
  const names = [...(await page.clone().text()).matchAll(/(?:href|src)="(\/[^"]+)"/g)].map(([, name]) => name);
  await cache.put('/', page);
  await Promise.allSettled(names.map((name) => cache.add(new Request(name, { cache: 'no-cache' }))));
}

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(fill());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== SHELL) await caches.delete(name);
    await self.clients.claim();
  })());
});

async function fresh(request, key) {
  const response = await fetch(request);
  if (response.ok && response.type === 'basic') (await caches.open(SHELL)).put(key, response.clone());
  return response;
}

async function answer(request, key) {
  const kept = await caches.match(key);
  if (!kept) return fresh(request, key);
  if (Date.now() < slowUntil) return kept;
  let timer;
  const patience = new Promise((resolve) => { timer = setTimeout(() => { slowUntil = Date.now() + RETRY_AFTER; resolve(kept); }, PATIENCE); });
  try {
    return await Promise.race([fresh(request, key), patience]);
  } catch {
    return kept;
  } finally {
    clearTimeout(timer);
  }
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (/^\/(api|events|health|metrics|mcp)(\/|$)/.test(url.pathname)) return;
  // Every path of the app is the one page.
  const key = request.mode === 'navigate' ? '/' : url.pathname;
  event.respondWith(answer(request, key));
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const [open] = await self.clients.matchAll({ type: 'window' });
    if (open) await open.focus();
    else await self.clients.openWindow('/');
  })());
});
