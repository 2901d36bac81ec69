#!/usr/bin/env python3
"""Makes `home-0.3.4.tar.gz`: a home as Tether 0.3.4 (PyPI `tether-ai`) wrote it, for the tests of `tether migrate`.

    python3 -m venv v && v/bin/pip install tether-ai==0.3.4
    mkdir -p /home/ada/project
    python3 tests/peer/make.py v/bin/tether /home/ada home-0.3.4.tar.gz

It runs the real program, and through it the real Claude Code that comes with it against the scripted model. The log of
one session is rotated, one session is deleted, one is in an error, and one waits for an answer.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

PROGRAM, HOME, OUT = sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3])
PORT = "29471"
RIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../rig/model_server.py")
CONFIG = f"""# made by tether init
TETHER_AGENT_TOKEN=peer-token
TETHER_AGENT_HOST=127.0.0.1
TETHER_AGENT_PORT={PORT}
TETHER_DEFAULT_AGENT_ADAPTER=claude_subprocess
export TETHER_AGENT_SESSION_RETENTION_DAYS="30"   # a month
TETHER_CODEX_SIDECAR_URL=http://localhost:8788
TETHER_SSH_PORT=8822
TELEGRAM_GROUP_ID=-100123
TETHER_AGENT_LOG_LEVEL=LOUD
"""

model = subprocess.Popen(["python3", RIG], stdout=subprocess.PIPE, text=True)
atexit.register(model.kill)
os.makedirs(HOME + "/.config/tether", exist_ok=True)
with open(os.open(HOME + "/.config/tether/config.env", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
    file.write(CONFIG)
peer = subprocess.Popen(
    [PROGRAM, "start"],
    cwd=HOME,
    env={
        "HOME": HOME,
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{model.stdout.readline().strip()}",
        "ANTHROPIC_API_KEY": "test",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    },
)
atexit.register(peer.kill)


def call(method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer peer-token", "Content-Type": "application/json"},
    )
    return json.loads(urllib.request.urlopen(request, timeout=60).read() or "null")


def until(condition):
    for _ in range(600):
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit("it took too long")


def session(**body):
    return call("POST", "/api/sessions", body)["id"]


def push(at, kind, **data):
    call("POST", f"/api/sessions/{at}/events", {"type": kind, "data": data})


def waits(at):
    until(lambda: call("GET", f"/api/sessions/{at}")["state"] == "AWAITING_INPUT")


until(lambda: call("GET", "/api/health"))

asked = session(agent_name="Ada's agent", agent_type="custom", agent_icon="🤖", agent_workspace=HOME + "/project",
                session_name="Größe prüfen")
push(asked, "output", text="looking at it")
push(asked, "permission_request", request_id="req-1", tool_name="Bash", tool_input={"command": "ls"})
call("POST", f"/api/sessions/{asked}/permission", {"request_id": "req-1", "allow": True})
push(asked, "output", text="it is 42", kind="final", is_final=True)
push(asked, "status", status="done")
call("POST", f"/api/sessions/{asked}/input", {"text": "and in inches?"})
push(asked, "output", text="16.5", is_final=True)
push(asked, "status", status="done")

session(session_name="Not begun", directory=HOME + "/project")

broken = session(agent_name="Bob", session_name="Broken")
push(broken, "output", text="oh")
push(broken, "error", code="X", message="it fell over")

running = session(agent_name="Cy", session_name="Waits")
push(running, "output", text="may I?")
push(running, "permission_request", request_id="req-2", tool_name="Write", tool_input={"file_path": "/x"})

# Beyond 5 MB its log is rotated.
long = session(agent_name="Dee", session_name="Long")
for n in range(90):
    push(long, "output", text=f"{n} " + "x" * 60_000)
push(long, "status", status="done")

gone = session(agent_name="Eve", session_name="Gone")
push(gone, "output", text="bye")
push(gone, "status", status="done")
call("DELETE", f"/api/sessions/{gone}")

claude = session(session_name="Claude's", directory=HOME + "/project", adapter="claude_subprocess")
call("POST", f"/api/sessions/{claude}/start", {"prompt": "SAY the sum is seven", "approval_choice": 0})
waits(claude)
call("POST", f"/api/sessions/{claude}/input", {"text": "SAY now eight"})
time.sleep(1)
waits(claude)

peer.send_signal(signal.SIGTERM)
peer.wait(20)
project = ".claude/projects/" + (HOME + "/project").replace("/", "-")
subprocess.run(
    f"tar --sort=name --owner=0 --group=0 -c .config/tether .local/share/tether {project} | gzip -9n > {OUT}",
    shell=True, check=True, cwd=HOME,
)
