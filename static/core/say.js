// What people hear who listen rather than look.

/// At most one sentence in this time, in milliseconds: the newest.
const PAUSE = 3000;

let lastSaid = 0;
let toSay = '';

/// Says something politely.
export function announce(text) {
  const waits = toSay !== '';
  toSay = text;
  if (waits) return;
  setTimeout(() => {
    document.getElementById('polite').textContent = toSay;
    toSay = '';
    lastSaid = Date.now();
  }, Math.max(0, PAUSE - (Date.now() - lastSaid)));
}

/// Says at once that something which the person did has failed.
export function alarm(text) {
  const node = document.getElementById('assertive');
  // The same words again are news, too.
  node.textContent = '';
  setTimeout(() => { node.textContent = text; }, 50);
}
