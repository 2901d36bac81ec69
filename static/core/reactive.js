// The reactive core: values that know who read them. A screen states what it shows in effects; what they read
// is what runs them again.
//
// Effects run after the current task's code (in a microtask), each once however much has changed, in the order
// in which they fell due. `flush()` runs them at once.

let reader = null;
let owner = null;
const due = new Set();
let scheduled = false;

/// Effects that cause each other for ever are a mistake, and are stopped after this many runs of one flush.
const MOST_RUNS = 10_000;

class Source {
  readers = new Set();

  read() {
    if (!reader) return;
    this.readers.add(reader);
    reader.sources.add(this);
  }

  tell(surely) {
    for (const each of [...this.readers]) each.stale(surely);
  }
}

class Signal extends Source {
  #value;

  constructor(value) {
    super();
    this.#value = value;
  }

  get value() {
    this.read();
    return this.#value;
  }

  set value(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    this.tell(true);
  }

  /// The value, without asking to be told when it changes.
  peek() { return this.#value; }

  /// Says that what the value holds has changed (a Map that was added to).
  touch() { this.tell(true); }
}

class Computed extends Source {
  sources = new Set();
  #make;
  #value;
  #stale = true;

  constructor(make) {
    super();
    this.#make = make;
  }

  get value() {
    this.read();
    return this.peek();
  }

  peek() {
    if (this.#stale) {
      this.#value = tracked(this, this.#make);
      this.#stale = false;
    }
    return this.#value;
  }

  stale() {
    if (this.#stale) return;
    this.#stale = true;
    // Whether the value is another one is seen when it is asked for.
    this.tell(false);
  }
}

class Effect {
  sources = new Set();
  #run;
  #cleanup = null;
  /// What the computed values were that it read.
  #seen = new Map();
  #surely = true;
  #over = false;

  constructor(run) {
    this.#run = run;
    owner?.push(() => this.end());
    this.go();
  }

  stale(surely) {
    if (this.#over) return;
    this.#surely ||= surely;
    due.add(this);
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(flush);
  }

  go() {
    if (this.#over || !(this.#surely || this.#isNews())) return;
    this.#surely = false;
    this.#cleanup?.();
    this.#cleanup = null;
    const outer = owner;
    owner = null;
    try {
      const cleanup = tracked(this, this.#run);
      if (typeof cleanup === 'function') this.#cleanup = cleanup;
    } finally {
      owner = outer;
      this.#seen.clear();
      for (const source of this.sources) if (source instanceof Computed) this.#seen.set(source, source.peek());
    }
  }

  #isNews() {
    for (const [source, before] of this.#seen) if (!Object.is(source.peek(), before)) return true;
    return false;
  }

  end() {
    this.#over = true;
    due.delete(this);
    this.#cleanup?.();
    this.#cleanup = null;
    forget(this);
  }
}

function forget(node) {
  for (const source of node.sources) source.readers.delete(node);
  node.sources.clear();
}

function tracked(node, run) {
  forget(node);
  const outer = reader;
  reader = node;
  try {
    return run();
  } finally {
    reader = outer;
  }
}

/// A value that can be set.
export const signal = (value) => new Signal(value);

/// A value that is made of others, when it is asked for.
export const computed = (make) => new Computed(make);

/// Runs now, and again whenever what it read has changed. It may return what cleans up after it. Gives the
/// function that ends it; within a `scope` that happens with the scope.
export function effect(run) {
  const made = new Effect(run);
  return () => made.end();
}

/// Collects the effects that `run` makes; gives the function that ends them all.
export function scope(run) {
  const outer = owner;
  const made = [];
  owner = made;
  try {
    run();
  } finally {
    owner = outer;
  }
  return () => { for (const end of made.splice(0)) end(); };
}

/// To be done when the current `scope` ends.
export function onEnd(end) { owner?.push(end); }

/// Reads without asking to be told of changes.
export function untracked(run) {
  const outer = reader;
  reader = null;
  try {
    return run();
  } finally {
    reader = outer;
  }
}

/// Runs the effects that are due.
export function flush() {
  scheduled = false;
  let runs = 0;
  for (const each of due) {
    due.delete(each);
    runs += 1;
    if (runs > MOST_RUNS) {
      due.clear();
      throw new Error('effects cause each other for ever');
    }
    try {
      each.go();
    } catch (error) {
      // One part of a screen that fails must not take the others with it.
      reportError(error);
    }
  }
}
