// The REST calls that have no frame of their own on the WebSocket.

/// A refusal of the API: `status` (0 = nobody answered), `code`, and a message for people.
export class ApiError extends Error {
  constructor(status, code, message, details = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'OFFLINE', 'Tether cannot be reached. Check that it runs, then try again.');
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const error = answer?.error;
  throw new ApiError(response.status, error?.code ?? 'ERROR', explain(error) ?? `It was not done (HTTP ${response.status}). Try again; details are in the log.`, error?.details);
}

/// The message, with the first field that is wrong where the API lists them.
function explain(error) {
  if (!error?.message) return null;
  const first = Array.isArray(error.details) ? error.details[0] : null;
  return first?.msg ? `${error.message}: ${(first.loc ?? []).slice(1).join('.')} ${first.msg}` : error.message;
}

/// What an older daemon does not know is null, not a failure.
async function perhaps(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 404 || error.status === 405 || error.status === 501) return null;
    throw error;
  }
}

const at = (session, rest = '') => `/api/sessions/${encodeURIComponent(session)}${rest}`;
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined)).toString();

/// Whether this browser may come in; null when nobody answers.
export async function isSignedIn() {
  try {
    await call('GET', '/api/devices');
    return true;
  } catch (error) {
    return error.status === 401 || error.status === 403 ? false : null;
  }
}

export const login = (code, name) => call('POST', '/api/login', { code, name });
export const logout = () => call('POST', '/api/logout');

export const createSession = (wanted) => call('POST', '/api/sessions', wanted);
export const startSession = (session, prompt, images, mode) => call('POST', at(session, '/start'), { prompt, ...(images?.length ? { images } : {}), ...(mode === undefined ? {} : { approval_choice: mode }) });
export const renameSession = (session, name) => call('PATCH', at(session, '/rename'), { name });
export const deleteSession = (session) => call('DELETE', at(session));
export const setMode = (session, mode) => call('PATCH', at(session, '/approval-mode'), { approval_mode: mode });
export const details = (session) => call('GET', at(session, '/details'));
export const configure = (session, change) => call('PATCH', at(session, '/details'), change);
export const diff = (session) => call('GET', at(session, '/diff'));
export const queue = (session) => call('GET', at(session, '/queue'));
export const withdraw = (session, input) => call('DELETE', at(session, `/queue/${encodeURIComponent(input)}`));
export const steer = (session, input) => call('POST', at(session, `/queue/${encodeURIComponent(input)}/steer`));
export const exportLink = (session, format) => at(session, `/export?${query({ format })}`);
export const eventsAfter = (session, since, signal) => fetch(`/api/events/sessions/${encodeURIComponent(session)}?${query({ since, limit: 5000 })}`, { signal, credentials: 'same-origin' });

export const approval = (id) => call('GET', `/api/approvals/${encodeURIComponent(id)}`);
export const grants = (session) => call('GET', `/api/approvals/grants?${query({ session_id: session })}`);
export const revokeGrant = (grant) => call('DELETE', `/api/approvals/grants/${encodeURIComponent(grant)}`);

export const checkDirectory = (path) => call('GET', `/api/directories/check?${query({ path })}`);
export const completeDirectory = (path) => perhaps(call('GET', `/api/directories/complete?${query({ path })}`));
export const recentDirectories = () => perhaps(call('GET', '/api/directories/recent'));

export const agents = () => perhaps(call('GET', '/api/agents'));
export const bridges = () => call('GET', '/api/bridges');
export const chatPeople = () => perhaps(call('GET', '/api/bridges/people'));
export const removeChatPerson = (platform, id) => call('DELETE', `/api/bridges/${encodeURIComponent(platform)}/people/${encodeURIComponent(id)}`);
export const trusted = () => perhaps(call('GET', '/api/trusted-directories'));
export const distrust = (path) => call('DELETE', `/api/trusted-directories?${query({ path })}`);
export const status = () => perhaps(call('GET', '/api/status'));
export const health = () => call('GET', '/api/health');
export const logTail = (lines) => perhaps(call('GET', `/api/settings/log-tail?${query({ lines })}`));

export const devices = () => call('GET', '/api/devices');
export const renameDevice = (id, name) => call('PATCH', `/api/devices/${encodeURIComponent(id)}`, { name });
export const removeDevice = (id) => call('DELETE', `/api/devices/${encodeURIComponent(id)}`);
export const pairing = () => call('POST', '/api/pairing', {});

export const elsewhere = (limit = 100) => perhaps(call('GET', `/api/external-sessions?${query({ limit })}`));
export const history = (id, runner) => call('GET', `/api/external-sessions/${encodeURIComponent(id)}/history?${query({ runner_type: runner, limit: 100 })}`);
export const attach = (session) => call('POST', '/api/sessions/attach', { external_id: session.id, runner_type: session.runner_type, directory: session.directory });

export const render = (items) => perhaps(call('POST', '/api/render', { items }));
