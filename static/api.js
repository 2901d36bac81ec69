// The REST calls that have no frame of their own.

/// A refusal of the API: `status`, `code`, and a message for people.
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'OFFLINE', 'Tether cannot be reached. Check that it runs, then try again.');
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const error = answer?.error;
  throw new ApiError(response.status, error?.code ?? 'ERROR', explain(error) ?? `The request failed (HTTP ${response.status}). Try again; details are in the log.`);
}

/// The message, with the first field that is wrong where the API lists them.
function explain(error) {
  if (!error?.message) return null;
  const first = Array.isArray(error.details) ? error.details[0] : null;
  return first?.msg ? `${error.message}: ${(first.loc ?? []).slice(1).join('.')} ${first.msg}` : error.message;
}

const at = (session, rest) => `/api/sessions/${encodeURIComponent(session)}${rest}`;

export const login = (code, name) => call('POST', '/api/login', { code, name });
export const createSession = (directory) => call('POST', '/api/sessions', directory ? { directory } : {});
/// Mode 0: ask. Nothing that starts from here is allowed without a person.
export const startSession = (session, prompt) => call('POST', at(session, '/start'), { prompt, approval_choice: 0 });

/// Whether this browser may come in; null when nobody answers.
export async function isSignedIn() {
  try {
    await call('GET', '/api/sessions');
    return true;
  } catch (error) {
    return error.status === 401 || error.status === 403 ? false : null;
  }
}
