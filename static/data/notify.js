// What tells of a new approval while the page is not looked at: a notification, a sound, the count in title, icon and
// badge.

import { announce } from '../core/say.js';
import { effect } from '../core/reactive.js';
import { go, path, store } from '../context.js';
import { settings } from './settings.js';
import { deed, nameOf, objectOf } from '../words.js';

/// `granted`, `default`, `denied`, or `missing`.
export const mayNotify = () => (!('Notification' in window) || !window.isSecureContext ? 'missing' : Notification.permission);

/// Asks for the right to notify; whether there is one now.
export async function permit() {
  if (mayNotify() === 'missing') return false;
  return await Notification.requestPermission() === 'granted';
}

const TITLES = [[/^\/$/, 'Inbox'], [/^\/sessions/, 'Sessions'], [/^\/new/, 'New session'], [/^\/settings/, 'Settings'], [/^\/elsewhere/, 'Elsewhere']];

/// To be called once.
export function watch() {
  effect(() => {
    const count = store.open.value.length;
    const session = /^\/s\/(.+)$/.exec(path.value)?.[1];
    const screen = session ? nameOf(store.session(session).value) : TITLES.find(([of]) => of.test(path.value))?.[1] ?? 'Tether';
    document.title = `${count > 0 ? `(${count}) ` : ''}${screen} · Tether`;
    icon(count);
    if (count > 0) navigator.setAppBadge?.(count).catch(() => {});
    else navigator.clearAppBadge?.().catch(() => {});
  });
  store.addEventListener('asked', ({ detail: approval }) => {
    const name = nameOf(store.sessions.peek().get(approval.session_id));
    const open = [...store.approvals.peek().values()].filter((one) => one.state === 'open').length;
    announce(`${name} asks: ${deed(approval)}. ${open} open.`);
    if (document.visibilityState === 'visible' && document.hasFocus()) return;
    if (settings.sound.peek()) chime();
    if (!settings.notify.peek() || mayNotify() !== 'granted') return;
    try {
      const note = new Notification(`${name} asks`, { body: `${deed(approval)}: ${objectOf(approval)}`.slice(0, 200), tag: approval.id, icon: '/icon-192.png' });
      note.onclick = () => { window.focus(); go('/'); note.close(); };
    } catch {
      // Android only lets a worker show one.
      navigator.serviceWorker?.ready.then((worker) => worker.showNotification(`${name} asks`, { body: deed(approval), tag: approval.id, icon: '/icon-192.png' })).catch(() => {});
    }
  });
}

let shown = -1;

/// The count on the page's icon.
function icon(count) {
  if (count === shown) return;
  shown = count;
  const link = document.querySelector('link[rel="icon"]');
  if (count === 0) { link.href = '/icon.svg'; return; }
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#2250c4';
  pen.beginPath();
  pen.roundRect(0, 0, 64, 64, 14);
  pen.fill();
  pen.fillStyle = '#fff';
  pen.font = '600 42px system-ui, sans-serif';
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.fillText(count > 9 ? '9+' : String(count), 32, 35);
  link.href = canvas.toDataURL('image/png');
}

let audio = null;

function chime() {
  try {
    audio ??= new AudioContext();
    for (const [at, pitch] of [[0, 660], [0.14, 880]]) {
      const [tone, volume] = [audio.createOscillator(), audio.createGain()];
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, audio.currentTime + at);
      volume.gain.exponentialRampToValueAtTime(0.12, audio.currentTime + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + at + 0.25);
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + at);
      tone.stop(audio.currentTime + at + 0.3);
    }
  } catch { /* No sound before the first touch. */ }
}
