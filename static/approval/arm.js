// When a yes may be given: only once all of what is asked has been in sight for a moment, and stood still. Until then
// the button does nothing but lead there.

import { signal } from '../core/reactive.js';

/// How long, in milliseconds.
const ARM = 500;
/// What covers the end of a card's content at the bottom of a pane: its own answer row.
const ROW = 72;

/// Watches `end`, the last thing of the content. `state` is a signal: `away` (the end was not seen yet), `waits` or `armed`.
export function watch(card, end) {
  const state = signal('away');
  /// Whether the card is higher than its pane.
  const tall = signal(false);
  let [inSight, seen, timer] = [false, false, null];
  let pane = null;
  const restart = () => {
    clearTimeout(timer);
    if (!inSight) return;
    seen = true;
    if (state.peek() !== 'armed') state.value = 'waits';
    timer = setTimeout(() => { state.value = 'armed'; }, ARM);
  };
  const moved = () => {
    // Something shifts: what is under the finger may be another button than a moment ago.
    if (state.peek() === 'armed') state.value = 'waits';
    restart();
  };
  let place = null;
  const settle = () => {
    const box = card.getBoundingClientRect();
    const next = `${Math.round(box.top)} ${Math.round(box.height)}`;
    if (place !== null && next !== place) moved();
    place = next;
  };
  const eye = new IntersectionObserver((entries) => {
    inSight = entries[entries.length - 1].isIntersecting;
    if (inSight) restart();
    else {
      clearTimeout(timer);
      // Once read to the end, it stays read; but it must stand still again before it counts.
      if (state.peek() === 'waits') state.value = seen ? 'waits' : 'away';
    }
  }, { rootMargin: `0px 0px -${ROW}px 0px` });
  const sizes = new ResizeObserver(() => {
    tall.value = card.offsetHeight > (pane?.clientHeight ?? innerHeight) - 40;
    card.classList.toggle('tall', tall.peek());
    settle();
  });
  return {
    state,
    tall,
    begin() {
      pane = card.closest('.scroll');
      pane?.addEventListener('scroll', settle, { passive: true });
      eye.observe(end);
      sizes.observe(card);
      if (pane) sizes.observe(pane);
      state.value = 'away';
    },
    /// The content is another one now.
    again() { seen = false; state.value = 'away'; restart(); },
    lead() { end.scrollIntoView({ block: 'center', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' }); },
    end() {
      clearTimeout(timer);
      eye.disconnect();
      sizes.disconnect();
      pane?.removeEventListener('scroll', settle);
    },
  };
}
