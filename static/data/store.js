// What the overview says: sessions, approvals, and how the daemon is. The last known state is kept in the browser, so
// that the page has something to show before the daemon answers, and when it does not.

import { computed, signal } from '../core/reactive.js';
import { keep, recall } from '../core/keep.js';

/// News are shown together, at most this often (milliseconds). A timer and not a frame: a page in the background has
/// no frames, and its title still counts.
const BEAT = 16;
/// The last known state is written down at most this often.
const KEEP_EVERY = 5_000;
/// So many of the newest sessions are kept.
const KEPT_SESSIONS = 500;

/// Events: `asked` (detail: an approval that was opened while the page was here), `missed` (detail: one that was
/// answered while the line was down, as it was before).
export class Store extends EventTarget {
  /// By id. Their maps change in place; reading `.value` asks to be told.
  sessions = signal(new Map());
  /// Open ones, and those answered since this page was opened.
  approvals = signal(new Map());
  condition = signal({ state: 'healthy', message: null });
  /// `nothing`, `kept` (from the browser's memory) or `live`.
  from = signal('nothing');
  /// When the shown state was last heard, if it is from the browser's memory.
  keptAt = null;

  /// Open approvals, oldest first.
  open = computed(() => {
    const open = [...this.approvals.value.values()].filter((approval) => approval.state === 'open');
    return open.sort((a, b) => a.requested_at.localeCompare(b.requested_at));
  });

  /// The same by session.
  openBySession = computed(() => {
    const by = new Map();
    for (const approval of this.open.value) {
      const list = by.get(approval.session_id);
      if (list) list.push(approval);
      else by.set(approval.session_id, [approval]);
    }
    return by;
  });

  #waiting = [];
  #timer = null;
  #keepTimer = null;
  #byId = new Map();

  constructor(wire) {
    super();
    wire.addEventListener('overview', (event) => this.hear(event.detail));
  }

  /// One session, as a computed value.
  session(id) {
    let one = this.#byId.get(id);
    if (!one) {
      one = computed(() => this.sessions.value.get(id) ?? null);
      this.#byId.set(id, one);
    }
    return one;
  }

  hear(frame) {
    this.#waiting.push(frame);
    this.#timer ??= setTimeout(() => this.flush(), BEAT);
  }

  /// Takes in what was heard.
  flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    let [sessions, approvals] = [false, false];
    for (const frame of this.#waiting.splice(0)) {
      switch (frame.type) {
        case 'overview': this.#snapshot(frame); sessions = approvals = true; break;
        case 'session': this.sessions.peek().set(frame.session.id, frame.session); sessions = true; break;
        case 'session_deleted':
          this.sessions.peek().delete(frame.session_id);
          this.#byId.delete(frame.session_id);
          for (const [id, approval] of this.approvals.peek()) if (approval.session_id === frame.session_id) this.approvals.peek().delete(id);
          sessions = approvals = true;
          break;
        case 'approval': this.#approval(frame.approval); approvals = true; break;
        case 'condition': this.condition.value = frame.condition; break;
        default:
      }
    }
    if (sessions) this.sessions.touch();
    if (approvals) this.approvals.touch();
    if (sessions || approvals) this.#keepTimer ??= setTimeout(() => this.#keep(), KEEP_EVERY);
  }

  /// What was asked for by its id; null if there is no such approval any more.
  put(id, approval) {
    if (approval) this.approvals.peek().set(id, approval);
    else this.approvals.peek().delete(id);
    this.approvals.touch();
  }

  forgetAnswered() {
    const approvals = this.approvals.peek();
    for (const [id, approval] of approvals) if (approval.state !== 'open') approvals.delete(id);
    this.approvals.touch();
  }

  /// The last known state of an earlier visit, unless the daemon was quicker.
  async recall() {
    const kept = await recall('overview');
    if (!kept || this.from.peek() !== 'nothing') return;
    this.sessions.value = new Map(kept.sessions.map((session) => [session.id, session]));
    this.approvals.value = new Map(kept.approvals.map((approval) => [approval.id, approval]));
    this.keptAt = kept.at;
    this.from.value = 'kept';
  }

  #snapshot(frame) {
    const live = this.from.peek() === 'live';
    this.sessions.value = new Map(frame.sessions.map((session) => [session.id, session]));
    const open = new Set(frame.approvals.map((approval) => approval.id));
    const approvals = this.approvals.peek();
    for (const [id, approval] of approvals) {
      if (approval.state !== 'open' || open.has(id)) continue;
      // Answered while we were away: it keeps its place, and by whom is asked.
      this.dispatchEvent(new CustomEvent('missed', { detail: approval }));
    }
    for (const approval of frame.approvals) this.#approval(approval, live);
    this.condition.value = frame.condition ?? this.condition.peek();
    this.from.value = 'live';
  }

  #approval(approval, live = true) {
    const approvals = this.approvals.peek();
    const known = approvals.get(approval.id);
    // Of answered ones only those are kept that were seen open here.
    if (!known && approval.state !== 'open') return;
    approvals.set(approval.id, approval);
    if (!known && live) this.dispatchEvent(new CustomEvent('asked', { detail: approval }));
  }

  #keep() {
    this.#keepTimer = null;
    if (this.from.peek() !== 'live') return;
    const sessions = [...this.sessions.peek().values()].sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at)).slice(0, KEPT_SESSIONS);
    keep('overview', { at: Date.now(), sessions, approvals: this.open.peek().slice(0, 50) });
  }
}
