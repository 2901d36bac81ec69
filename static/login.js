// Logs this browser in with a one-time code (from the link `/#login=CODE` or typed), then lists the sessions.

const state = document.getElementById('state');
const form = document.getElementById('login');
const list = document.getElementById('sessions');

async function call(path, body) {
  const options = body
    ? { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    : {};
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error.message), { status: response.status });
  return answer;
}

async function logIn(code) {
  await call('/api/login', { code, name: navigator.platform || 'a browser' });
  await show();
}

async function show() {
  try {
    const sessions = await call('/api/sessions');
    form.hidden = true;
    state.textContent = sessions.length === 1 ? '1 session' : `${sessions.length} sessions`;
    list.replaceChildren(...sessions.map((session) => {
      const item = document.createElement('li');
      item.textContent = `${session.name || 'Untitled'}: ${session.state.toLowerCase().replace('_', ' ')}`;
      return item;
    }));
  } catch (error) {
    form.hidden = error.status !== 401;
    state.textContent = error.status === 401 ? 'Not logged in.' : `Could not load sessions: ${error.message}`;
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  logIn(new FormData(form).get('code')).catch((error) => { state.textContent = error.message; });
});

const code = new URLSearchParams(location.hash.slice(1)).get('login');
if (code) {
  // The code is worth nothing after this, but it need not stay in the address bar.
  history.replaceState(null, '', location.pathname);
  logIn(code).catch((error) => { state.textContent = error.message; form.hidden = false; });
} else {
  show();
}
