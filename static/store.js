// What the overview says: sessions, approvals, and how the daemon is.

import { announce } from './dom.js';
import { deed, nameOf } from './words.js';

/// Fires `change` at most once a frame.
export class Store extends EventTarget {
  sessions = new Map();
  /// Open ones, and those answered since this page was opened.
  approvals = new Map();
  condition = { state: 'healthy', message: null };
  loaded = false;

  #due = false;

  constructor(wire) {
    super();
    wire.addEventListener('overview', (event) => this.hear(event.detail));
  }

  hear(frame) {
    switch (frame.type) {
      case 'overview': this.#snapshot(frame); break;
      case 'session': this.sessions.set(frame.session.id, frame.session); break;
      case 'session_deleted':
        this.sessions.delete(frame.session_id);
        for (const [id, approval] of this.approvals) {
          if (approval.session_id === frame.session_id) this.approvals.delete(id);
        }
        break;
      case 'approval': this.#approval(frame.approval); break;
      case 'condition': this.condition = frame.condition; break;
    }
    this.#changed();
  }

  /// Open approvals, oldest first; of one session if one is given.
  open(session) {
    const open = [...this.approvals.values()].filter((approval) => approval.state === 'open' && (!session || approval.session_id === session));
    return open.sort((a, b) => a.requested_at.localeCompare(b.requested_at));
  }

  forgetAnswered() {
    for (const [id, approval] of this.approvals) if (approval.state !== 'open') this.approvals.delete(id);
    this.#changed();
  }

  #snapshot(frame) {
    this.sessions = new Map(frame.sessions.map((session) => [session.id, session]));
    const open = new Set(frame.approvals.map((approval) => approval.id));
    for (const [id, approval] of this.approvals) {
      // Answered while we were away; by whom is told by the session itself.
      if (approval.state === 'open' && !open.has(id)) this.approvals.delete(id);
    }
    for (const approval of frame.approvals) this.#approval(approval);
    this.condition = frame.condition ?? this.condition;
    this.loaded = true;
  }

  #approval(approval) {
    const known = this.approvals.get(approval.id);
    // Of answered ones only those are kept that were seen open here.
    if (!known && approval.state !== 'open') return;
    this.approvals.set(approval.id, approval);
    if (!known) announce(`${nameOf(this.sessions.get(approval.session_id))} asks: ${deed(approval)}. ${this.open().length} open.`);
  }

  #changed() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.dispatchEvent(new Event('change'));
    });
  }
}
