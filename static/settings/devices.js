// Who may come in: the paired devices, and how to pair another.

import { copier, el } from '../core/dom.js';
import { icon } from '../core/icons.js';
import { Part, part } from '../core/part.js';
import { effect } from '../core/reactive.js';
import { ask, askText, sheet } from '../core/sheet.js';
import { now, wire } from '../context.js';
import { devices, pairing, removeDevice, renameDevice } from '../data/api.js';
import { failed } from '../sessions/actions.js';
import { ago, clock } from '../words.js';

const KINDS = { loopback: 'This machine only', lan: 'Your local network', tailscale: 'Tailscale' };

class Devices extends Part {
  build() {
    this.className = 'facts';
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Paired devices');
    const list = el('div');
    this.append(el('h2', { text: 'Paired devices' }), list, el('button', { class: 'btn', text: 'Pair a device', on: { click: () => pair(read) } }));
    const read = async () => {
      try {
        const all = await devices();
        list.replaceChildren(...(all.length === 0 ? [el('p', { class: 'meta', text: 'None.' })] : all.map((device) => row(device, read))));
      } catch {
        // What was known stays; the banner says why nothing answers.
      }
    };
    effect(() => { now.value; if (wire.online.value) read(); });
  }
}

function row(device, changed) {
  const seen = device.last_seen_at ?? device.last_seen;
  const about = [device.current ? 'This browser' : null, seen ? `seen ${ago(seen)}` : null, `paired ${clock(device.created_at)}`].filter(Boolean).join(' · ');
  return el('div', { class: 'grant' }, icon('phone'), el('div', {}, el('b', { text: device.name }), el('small', { text: about })),
    el('button', { class: 'icon', 'aria-label': `Rename ${device.name}`, on: { async click() {
      const name = await askText('Rename device', { label: 'Name', value: device.name, most: 80, go: 'Rename' });
      if (!name) return;
      try { await renameDevice(device.id, name); changed(); } catch (error) { failed('Not renamed', error); }
    } } }, icon('edit')),
    el('button', { class: 'btn small', text: 'Remove', 'aria-label': `Remove ${device.name}`, on: { async click() {
      if (!await ask(`Remove “${device.name}”?`, device.current ? 'It is this browser: you need a new code to come in again.' : 'It is thrown out at once.', { keep: 'Keep', go: 'Remove' })) return;
      try { await removeDevice(device.id); changed(); } catch (error) { failed('Not removed', error); }
    } } }));
}

/// Shows the code, its link and its picture, as long as they are good.
async function pair(changed) {
  let told;
  try {
    told = await pairing();
  } catch (error) {
    failed('No code made', error);
    return;
  }
  const addresses = told.addresses ?? [];
  const reach = addresses.filter((address) => address.kind !== 'loopback');
  const warnings = [...new Set(addresses.map((address) => address.warning).filter(Boolean))];
  const image = told.qr_svg ? el('img', { class: 'qr', alt: 'QR code of the link', src: `data:image/svg+xml,${encodeURIComponent(told.qr_svg)}` }) : null;
  const left = el('p', { class: 'meta', role: 'timer' });
  const dialog = sheet('Pair a device', [
    el('p', { text: 'Scan this with the phone, or open the link on it. It works once.' }), image,
    told.link ? el('div', { class: 'copy-row' }, el('code', { class: 'cut', text: told.link }), copier(told.link)) : null,
    el('p', {}, 'Code: ', el('code', { class: 'big-code', text: told.code })), left,
    told.hint ? el('p', { class: 'note ask', text: told.hint }) : null,
    el('dl', {}, reach.map((address) => el('div', { class: 'fact' }, el('dt', { text: KINDS[address.kind] ?? address.kind }), el('dd', { text: address.url })))),
    warnings.map((text) => el('p', { class: 'note ask', text })),
  ], { wide: true });
  const tick = () => {
    const seconds = Math.round((Date.parse(told.expires_at) - Date.now()) / 1000);
    left.textContent = !told.expires_at ? 'Good for ten minutes.' : seconds > 0 ? `Good for ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : 'Too old now: make a new one.';
  };
  tick();
  const timer = setInterval(() => { tick(); changed(); }, 1000);
  dialog.addEventListener('close', () => { clearInterval(timer); changed(); });
}

export const deviceList = part('tether-devices', Devices);
