// Words for people: ages, places, deeds, who did what.

/// `14 s`, `6 min`, `2 h`, `3 d` since a moment of the API.
export function age(stamp, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(stamp)) / 1000));
  if (Number.isNaN(seconds)) return '';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/// `09:41`, and the day when it is not today.
export function clock(stamp) {
  const date = new Date(stamp);
  if (Number.isNaN(date.getTime())) return '';
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${time}`;
}

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/// A path short enough for one line: cut in the middle, its end kept.
export function place(path, most = 38) {
  if (!path) return 'no directory';
  const short = path.replace(/^\/(home|Users)\/[^/]+/, '~');
  if (short.length <= most) return short;
  const end = short.slice(-(most - 8));
  return `${short.slice(0, 6)}…${end.slice(Math.max(0, end.indexOf('/')))}`;
}

export const nameOf = (session) => session?.name || (session ? `Session in ${place(session.directory, 24)}` : 'A session');

/// A session's state as `[shape, word]`; "needs answer" outranks the others, unknown states keep their word.
export function stateOf(session, open) {
  if (open || session.has_pending_permission) return ['ask', 'Needs answer'];
  switch (session.state) {
    case 'CREATED': return ['new', 'Not started'];
    case 'RUNNING': return ['work', 'Working'];
    case 'AWAITING_INPUT': return ['ready', 'Ready'];
    case 'INTERRUPTING': return ['stopping', 'Stopping'];
    case 'ERROR': return ['failed', 'Failed'];
    default: return ['new', session.state];
  }
}

/// What would happen, as a deed.
export function deed(approval) {
  const input = approval.tool_input ?? {};
  const file = (path) => (typeof path === 'string' ? path.split('/').pop() : 'a file');
  switch (approval.tool_name) {
    case 'Bash': return 'Run a command';
    case 'Write': return `Write ${file(input.file_path)}`;
    case 'Edit': case 'MultiEdit': return `Change ${file(input.file_path)}`;
    case 'NotebookEdit': return `Change ${file(input.notebook_path)}`;
    case 'Read': return `Read ${file(input.file_path)}`;
    case 'WebSearch': return 'Search the web';
    case 'WebFetch':
      try { return `Fetch ${new URL(input.url).host}`; } catch { return 'Fetch a page'; }
    default: return approval.kind === 'tool' ? `Use tool ${approval.tool_name}` : approval.title;
  }
}

/// What a tool call is about, on one line.
export function object(input) {
  if (input === null || typeof input !== 'object') return String(input ?? '');
  for (const key of ['command', 'file_path', 'notebook_path', 'path', 'pattern', 'query', 'url', 'description', 'prompt']) {
    if (typeof input[key] === 'string') return input[key].split('\n')[0];
  }
  const text = JSON.stringify(input);
  return text === '{}' ? '' : text;
}

const SURFACES = { web: 'the web app', cli: 'the command line', api: 'the API', telegram: 'Telegram', slack: 'Slack', discord: 'Discord' };

/// Who did something, from the API's actor.
export function who(by) {
  if (typeof by === 'string') return by;
  switch (by?.type) {
    case 'person': {
      const surface = SURFACES[by.surface] ?? by.surface;
      // A paired browser's name says where it was.
      return by.name && by.surface === 'web' ? by.name : by.name ? `${by.name} in ${surface}` : surface;
    }
    case 'mode': return by.approval_mode === 1 ? 'the mode “edits”' : 'the mode “all”';
    case 'grant': return 'a standing permission';
    case 'replay': return 'the answer given before';
    case 'agent': return 'the agent';
    case 'timeout': return 'the time limit';
    default: return 'somebody';
  }
}
