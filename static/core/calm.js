// Nothing moves under a finger: what would shift a visible button waits until no pointer is down and a moment has
// passed since the last touch.

const QUIET = 500;

let down = 0;
let lastTouch = -Infinity;
let timer = null;
const waiting = new Map();

const touched = () => { lastTouch = performance.now(); };

addEventListener('pointerdown', () => { down += 1; touched(); }, { capture: true, passive: true });
for (const end of ['pointerup', 'pointercancel']) {
  addEventListener(end, () => { down = Math.max(0, down - 1); touched(); arm(); }, { capture: true, passive: true });
}
// A pointer that was let go outside of the window never says so.
addEventListener('blur', () => { down = 0; arm(); });

const rest = () => (down > 0 ? QUIET : Math.max(0, lastTouch + QUIET - performance.now()));

function arm() {
  clearTimeout(timer);
  if (waiting.size > 0) timer = setTimeout(run, Math.max(rest(), 16));
}

function run() {
  if (rest() > 0) return arm();
  const jobs = [...waiting.values()];
  waiting.clear();
  for (const job of jobs) job();
}

/// Does `job` when it is calm: now, if it is. Of one `key` only the newest is done.
export function whenCalm(key, job) {
  if (rest() === 0) {
    waiting.delete(key);
    job();
    return;
  }
  waiting.set(key, job);
  arm();
}
