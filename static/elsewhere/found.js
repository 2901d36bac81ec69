// Sessions that lie on the machine and are not ours yet; null where the daemon cannot look for them.

import { signal } from '../core/reactive.js';
import { elsewhere } from '../data/api.js';

export const found = signal(null);

let asked = 0;

/// Looks again, not more often than once in half a minute unless `now`.
export async function look({ now = false } = {}) {
  if (!now && Date.now() - asked < 30_000) return;
  asked = Date.now();
  try {
    const list = await elsewhere();
    found.value = Array.isArray(list) ? list : null;
  } catch {
    // It stays as it was; the banner says why nothing answers.
  }
}
