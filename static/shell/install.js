// Installing the app, and the worker that keeps its shell for when there is no connection.

import { signal } from '../core/reactive.js';

/// `ready`, `installed`, `insecure`, `manual`.
export const installable = signal(
  matchMedia('(display-mode: standalone)').matches ? 'installed' : window.isSecureContext ? 'manual' : 'insecure');

let offer = null;

addEventListener('beforeinstallprompt', (event) => {
  // Shown in Settings, where nothing is covered by it.
  event.preventDefault();
  offer = event;
  installable.value = 'ready';
});

addEventListener('appinstalled', () => { installable.value = 'installed'; });

export async function install() {
  await offer?.prompt();
}

export function register() {
  if (!('serviceWorker' in navigator)) return;
  addEventListener('load', () => navigator.serviceWorker.register('/sw.js').catch(() => { /* Not kept then. */ }));
}
