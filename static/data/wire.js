// The one WebSocket: subscriptions with cursors, commands with replies, and coming back by itself.

import { isSignedIn } from './api.js';
import { signal } from '../core/reactive.js';

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
/// A visible page asks this often whether the line is alive, and gives it this long to answer.
const ASK_EVERY = 20_000;
const ANSWER_WITHIN = 8_000;

/// Events: `overview` (detail: a frame), `back` (detail: for how many milliseconds it was away), `signed-out`.
export class Wire extends EventTarget {
  /// Whether the line is up.
  online = signal(false);
  /// Since when it is not; null while it is.
  since = Date.now();

  #socket = null;
  #wait = FIRST_WAIT;
  #timer = null;
  #probe = null;
  #next = 1;
  #pending = new Map();
  #followed = new Map();
  #stopped = false;

  start() {
    addEventListener('online', () => this.retry());
    addEventListener('offline', () => this.#ask());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#visible();
    });
    setInterval(() => this.#ask(), ASK_EVERY);
    this.#connect();
  }

  /// Comes back now rather than after the wait.
  retry() {
    if (this.online.peek() || this.#stopped || this.#socket?.readyState === WebSocket.CONNECTING) return;
    clearTimeout(this.#timer);
    this.#wait = FIRST_WAIT;
    this.#connect();
  }

  /// Lets go of the line, as a lost network does; it comes back by itself.
  cut() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#turn(false);
    this.#connect();
  }

  /// Ends it for good: this browser may not come in any more.
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /// Follows a session from behind event `after`. `follower`: `began(last)` with the newest event's number, each
  /// time that the subscription begins; `events(list)`; `caughtUp()`; `deleted(error?)`; `again()`: what was seen is
  /// of another life of the daemon, and all is sent anew. Gives the function that ends it.
  follow(session, after, follower) {
    const followed = { follower, cursor: after };
    this.#followed.set(session, followed);
    this.#subscribe(session, followed);
    return () => {
      if (this.#followed.get(session) !== followed) return;
      this.#followed.delete(session);
      this.#send({ type: 'unsubscribe', session_id: session });
    };
  }

  /// Sends a command; fails with `OFFLINE` when there is no line, or when it was lost before the reply came.
  request(frame) {
    const id = `w${this.#next++}`;
    return new Promise((resolve, reject) => {
      if (!this.online.peek()) return reject(new WireError('OFFLINE', 'No connection. Try again when it is back.'));
      this.#pending.set(id, { resolve, reject });
      return this.#send({ ...frame, id });
    });
  }

  #connect() {
    if (this.#stopped) return;
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/ws`);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#wait = FIRST_WAIT;
      const gap = this.since ? Date.now() - this.since : 0;
      this.#turn(true);
      this.#send({ type: 'overview' });
      for (const [session, followed] of this.#followed) this.#subscribe(session, followed);
      this.dispatchEvent(new CustomEvent('back', { detail: gap }));
    };
    socket.onmessage = (message) => {
      this.#alive();
      let frame;
      try { frame = JSON.parse(message.data); } catch { return; }
      this.#hear(frame);
    };
    socket.onclose = async (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#turn(false);
      // A browser does not say why a handshake was refused.
      if ((!opened || event.code === 1008) && (await isSignedIn()) === false) {
        this.#stopped = true;
        this.dispatchEvent(new Event('signed-out'));
        return;
      }
      if (this.#socket) return;
      const wait = this.#wait * (0.5 + Math.random() / 2);
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#connect(), wait);
    };
  }

  #turn(online) {
    if (online === this.online.peek()) return;
    this.since = online ? null : Date.now();
    this.online.value = online;
    if (online) return;
    this.#alive();
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of lost) pending.reject(new WireError('OFFLINE', 'The connection was lost before an answer came. Look whether it was done, then try again.'));
  }

  #hear(frame) {
    switch (frame.type) {
      case 'reply': return this.#reply(frame);
      case 'events': return this.#events(frame);
      case 'caught_up': return this.#followed.get(frame.session_id)?.follower.caughtUp?.();
      case 'overview': case 'session': case 'approval': case 'condition':
        return this.dispatchEvent(new CustomEvent('overview', { detail: frame }));
      case 'session_deleted':
        this.#followed.get(frame.session_id)?.follower.deleted?.();
        this.#followed.delete(frame.session_id);
        return this.dispatchEvent(new CustomEvent('overview', { detail: frame }));
      default: return undefined; // A newer daemon says more than this page knows.
    }
  }

  #reply(frame) {
    const pending = this.#pending.get(frame.id);
    this.#pending.delete(frame.id);
    if (!pending) return;
    if (frame.ok) pending.resolve(frame.result);
    else pending.reject(new WireError(frame.error?.code, frame.error?.message, frame.error?.details));
  }

  #events(frame) {
    const followed = this.#followed.get(frame.session_id);
    if (!followed) return;
    // After a lost line some may come twice.
    const news = frame.events.filter((event) => event.seq > followed.cursor);
    if (news.length === 0) return;
    followed.cursor = news[news.length - 1].seq;
    followed.follower.events(news);
  }

  async #subscribe(session, followed) {
    if (!this.online.peek()) return;
    try {
      const { last_seq: last } = await this.request({ type: 'subscribe', session_id: session, after: followed.cursor });
      if (this.#followed.get(session) === followed) followed.follower.began?.(last);
    } catch (error) {
      if (this.#followed.get(session) !== followed || error.code === 'OFFLINE') return;
      if (error.code === 'VALIDATION_ERROR' && followed.cursor > 0) {
        // The daemon knows less than we have seen: its data is another one.
        followed.cursor = 0;
        followed.follower.again?.();
        this.#subscribe(session, followed);
      } else {
        this.#followed.delete(session);
        followed.follower.deleted?.(error);
      }
    }
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #visible() {
    if (this.online.peek()) this.#ask();
    else this.retry();
  }

  // A phone that changed networks keeps a dead line open for minutes.
  #ask() {
    if (!this.online.peek() || this.#probe || document.visibilityState !== 'visible') return;
    this.#send({ type: 'ping' });
    const socket = this.#socket;
    this.#probe = setTimeout(() => {
      this.#probe = null;
      if (this.#socket === socket && socket) this.cut();
    }, ANSWER_WITHIN);
  }

  #alive() {
    clearTimeout(this.#probe);
    this.#probe = null;
  }
}

/// Why a command was not done.
export class WireError extends Error {
  constructor(code, message, details = null) {
    super(message ?? 'It was not done.');
    this.code = code;
    this.details = details;
  }
}
