// Words for people: ages, places, deeds, who did what.

/// `14 s`, `6 min`, `2 h`, `3 d` since a moment of the API.
export function age(stamp, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(stamp)) / 1000));
  if (Number.isNaN(seconds)) return '';
  if (seconds < 10) return 'now';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/// `6 min ago`, `just now`.
export function ago(stamp, now = Date.now()) {
  const told = age(stamp, now);
  return told === 'now' ? 'just now' : `${told} ago`;
}

/// `09:41`, and the day when it is not today.
export function clock(stamp) {
  const date = new Date(stamp);
  if (Number.isNaN(date.getTime())) return '';
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${time}`;
}

/// The whole of a moment, for a tooltip.
export const moment = (stamp) => new Date(stamp).toLocaleString();

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export const number = (value) => Number(value).toLocaleString('en');

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export const money = (usd) => (usd > 0 ? `$${usd.toFixed(usd < 0.1 ? 4 : 2)}` : null);

export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`);

/// A path short enough for one line: cut in the middle, its end kept.
export function place(path, most = 38) {
  if (!path) return 'no directory';
  const short = path.replace(/^(\/(home|Users)\/[^/]+|\/root)(?=\/|$)/, '~');
  if (short.length <= most) return short;
  const end = short.slice(-(most - 8));
  const cut = end.indexOf('/');
  return `${short.slice(0, 6)}…${end.slice(cut < 0 ? 0 : cut)}`;
}

const last = (path) => (typeof path === 'string' ? path.replace(/\/+$/, '').split('/').pop() : '');

/// The session's name; one that nobody gave is made of its directory.
export function nameOf(session) {
  if (!session) return 'A session';
  if (session.name && session.name !== 'New session') return session.name;
  if (session.external_agent_name) return session.external_agent_name;
  return session.directory ? `Session in ${last(session.directory)}` : 'Unnamed session';
}

const AGENTS = { claude: 'Claude', codex: 'Codex', opencode: 'OpenCode', pi: 'Pi', acp: 'ACP agent', gemini: 'Gemini', goose: 'Goose', model: 'Model', litellm: 'Model' };

/// The agent's name, from what an adapter or a runner is called.
export function agentName(id) {
  if (!id) return null;
  const base = id.split(/[-_]/)[0];
  return AGENTS[id] ?? AGENTS[base] ?? id;
}

export const agentOf = (session) => session?.external_agent_name ?? agentName(session?.runner_type ?? session?.adapter) ?? 'Claude';

export const costOf = (session) => session?.cost_usd ?? 0;

/// The hold of a session, where the overview tells it.
const holdOf = (session) => (session.hold && typeof session.hold === 'object' ? session.hold : null);

/// A session's state as `[shape, word]`; "needs answer" outranks the others, unknown states keep their word.
export function stateOf(session, open) {
  if (!session) return ['new', 'Not known'];
  if (open || session.has_pending_permission) return ['ask', 'Needs answer'];
  if (holdOf(session)) return ['held', 'Held'];
  if (session.restarting) return ['again', 'Restarting'];
  switch (session.state) {
    case 'CREATED': return ['new', 'Not started'];
    case 'RUNNING': return ['work', 'Working'];
    case 'AWAITING_INPUT': return ['ready', 'Ready'];
    case 'INTERRUPTING': return ['stopping', 'Stopping'];
    case 'ERROR': return ['failed', 'Failed'];
    default: return ['new', session.state];
  }
}

/// `Try 2 of 5 in 4 s`.
function restartWords({ attempt, limit, at }, now = Date.now()) {
  const seconds = Math.max(0, Math.round((Date.parse(at) - now) / 1000));
  return `Try ${attempt} of ${limit}${seconds > 0 ? ` in ${seconds} s` : ''}`;
}

/// The second line of a session's row.
export function lastLine(session, open) {
  if (open?.length) return objectOf(open[0]) || deed(open[0]);
  const hold = holdOf(session);
  if (hold) return hold.until ? `${hold.message} (until ${clock(hold.until)})` : hold.message;
  if (session.restarting) return restartWords(session.restarting);
  if (session.state === 'CREATED') return '';
  if (session.state === 'INTERRUPTING') return 'Waits for the tool to end';
  return session.last_line ?? '';
}

const host = (url) => {
  try { return new URL(url).host; } catch { return null; }
};

/// What would happen, as a deed.
export function deed(approval) {
  const input = approval.tool_input ?? {};
  if (approval.kind === 'plan') return 'Start work on this plan';
  if (approval.kind === 'question') return approval.questions?.[0]?.question ?? 'Answer a question';
  if (approval.kind === 'trust') return 'Trust this directory';
  if (approval.kind === 'unknown') return approval.title || 'Something that was not understood';
  if (isCommand(approval)) return 'Run a command';
  const paths = approval.paths?.length ?? 0;
  if (approval.is_edit || approval.diff) {
    if (approval.tool_name === 'Write' && /^--- \/dev\/null$/m.test(approval.diff ?? '')) return 'Create 1 file';
    return `Change ${plural(Math.max(1, paths, filesIn(approval.diff)), 'file')}`;
  }
  switch (approval.tool_name) {
    case 'Read': return `Read ${last(input.file_path) || 'a file'}`;
    case 'WebSearch': return 'Search the web';
    case 'WebFetch': return `Fetch ${host(input.url) ?? 'a page'}`;
    default: return `Use tool ${approval.tool_name}`;
  }
}

const filesIn = (diff) => (diff ? diff.split('\n').filter((line) => line.startsWith('+++ ')).length : 0);

/// The shell command that is asked about, if it is one.
export function commandOf(approval) {
  const input = approval.tool_input;
  if (typeof approval.risk?.command === 'string') return approval.risk.command;
  if (approval.kind !== 'tool' || !input || typeof input !== 'object') return null;
  if (typeof input.command === 'string') return input.command;
  if (typeof input.cmd === 'string') return input.cmd;
  if (Array.isArray(input.command) && input.command.every((word) => typeof word === 'string')) return input.command.join(' ');
  return null;
}

const isCommand = (approval) => commandOf(approval) !== null;

/// What an approval is about, in a few words: the command, the file.
export function objectOf(approval) {
  const command = commandOf(approval);
  if (command) return command.split('\n')[0];
  if (approval.kind === 'question') return approval.questions?.[0]?.question ?? '';
  if (approval.kind === 'plan') return (typeof approval.tool_input?.plan === 'string' && object({ plan: approval.tool_input.plan })) || 'A plan';
  if (approval.kind === 'trust') return deed(approval);
  const path = approval.paths?.[0] ?? approval.tool_input?.file_path;
  if (approval.is_edit && path) return `Edit ${within(path, approval.directory)}`;
  return object(approval.tool_input) || deed(approval);
}

/// A path as seen from a directory.
export const within = (path, directory) => (directory && path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : place(path));

/// What a tool call is about, on one line.
export function object(input) {
  if (input === null || typeof input !== 'object') return String(input ?? '').slice(0, 300);
  for (const key of ['command', 'cmd', 'file_path', 'filePath', 'notebook_path', 'path', 'pattern', 'query', 'url', 'description', 'prompt']) {
    if (typeof input[key] === 'string') return input[key].split('\n')[0].slice(0, 300);
  }
  if (typeof input.plan === 'string') return (input.plan.split('\n').map((line) => line.replace(/^#+\s*/, '').trim()).find(Boolean) ?? '').slice(0, 300);
  const text = JSON.stringify(input);
  return text === '{}' ? '' : text.slice(0, 300);
}

const SURFACES = { web: 'the web app', cli: 'the command line', api: 'the API', telegram: 'Telegram', slack: 'Slack', discord: 'Discord' };

/// Who did something, from the API's actor.
export function who(by) {
  if (typeof by === 'string') return by;
  switch (by?.type) {
    case 'person': {
      const surface = SURFACES[by.surface] ?? by.surface;
      // A paired browser's name says where it was.
      if (by.name && by.surface === 'web') return by.name;
      return by.name ? `${by.name} in ${surface}` : surface;
    }
    case 'mode': return by.approval_mode === 1 ? 'the mode “edits”' : 'the mode “all”';
    case 'policy': return `the rule “${by.rule ?? by.name ?? 'policy'}”`;
    case 'grant': return 'a standing permission';
    case 'replay': return 'the answer given before';
    case 'agent': return 'the agent';
    case 'timeout': return 'the time limit';
    default: return 'somebody';
  }
}

const SCOPES = { tool: 'Allowed for this tool', all30m: 'Allowed, all for 30 minutes', directory: 'Allowed in this directory', tool30m: 'Allowed for this tool for 30 minutes', directory30m: 'Allowed in this directory for 30 minutes' };

/// `Denied by Ana in Telegram, 09:41`.
export function outcome(approval) {
  const by = approval.resolved_by ? ` by ${who(approval.resolved_by)}` : '';
  const at = approval.resolved_at ? `, ${clock(approval.resolved_at)}` : '';
  switch (approval.state) {
    case 'allowed': return `${approval.kind === 'question' ? 'Answered' : SCOPES[approval.answer?.scope] ?? 'Allowed'}${by}${at}`;
    case 'denied': return `${approval.kind === 'question' ? 'Skipped' : 'Denied'}${by}${at}`;
    case 'cancelled': return 'Withdrawn: the agent went on';
    case 'expired': return `Denied: nobody answered in time${at}`;
    default: return approval.state;
  }
}

/// What a standing permission covers.
export function grantWords(grant) {
  switch (grant.covers) {
    case 'tool': return `${grant.tool_name} is allowed`;
    case 'all': return 'Everything is allowed, except questions and plans';
    case 'directory': return `File changes below ${place(grant.path)} are allowed`;
    default: return 'Something is allowed';
  }
}

export const MODES = [
  [0, 'Ask first', 'Every tool waits for an answer.'],
  [1, 'Allow file changes', 'Changes in the directory go through; commands ask.'],
  [2, 'Allow everything', 'Nothing asks except questions and plans.'],
];

export const modeWord = (mode) => (MODES.find(([value]) => value === (mode ?? 0)) ?? MODES[0])[1];
