#!/usr/bin/env python3
"""An agent of your own, by REST, with nothing but Python's standard library.

    TETHER_AGENT_TOKEN=... python3 agent.py

It makes a session, tells what it does, asks before it deploys, waits for the answer, hears what the person says,
and ends its turn. Everything that it sends carries a key, so that sending it again changes nothing: that is how it
gets over a connection that breaks, or a daemon that is restarted.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("TETHER_API_URL", "http://127.0.0.1:8787").rstrip("/")
TOKEN = os.environ.get("TETHER_AGENT_TOKEN", "")


def call(method, path, body=None, wait=0):
    """One request, sent again until the daemon answers it (for at most a minute)."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    deadline = time.monotonic() + 60 + wait
    while True:
        request = urllib.request.Request(URL + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=wait + 20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")
        except OSError as error:  # nobody there, or the connection broke
            if time.monotonic() > deadline:
                sys.exit(f"{method} {path}: {error}")
        time.sleep(1)


class Session:
    def __init__(self, name):
        made = call("POST", "/api/sessions", {"agent_name": "example.py", "agent_type": "script", "session_name": name})
        self.id = made["id"]
        self.seen = 0

    def tell(self, *events):
        """Several events at once: (type, data)."""
        events = [{"type": kind, "data": data} for kind, data in events]
        call("POST", f"/api/sessions/{self.id}/events/batch", {"events": events})

    def hear(self):
        """The next thing that the person said or answered; waits for it."""
        while True:
            query = f"since_seq={self.seen}&types=user_input,permission_resolved&wait_s=30"
            for event in call("GET", f"/api/sessions/{self.id}/events/poll?{query}", wait=30)["events"]:
                self.seen = event["seq"]
                return event

    def ask(self, what, details):
        """Whether the person allows it, and what they say. Nothing but an answer that says so is a yes."""
        request = str(uuid.uuid4())
        self.tell(("permission_request", {"request_id": request, "tool_name": what, "tool_input": details}))
        while True:
            event = self.hear()
            if event["type"] == "permission_resolved" and event["data"]["request_id"] == request:
                return event["data"]["allowed"] is True, event["data"]["message"]


def main():
    session = Session("Deploy (Python)")
    print(session.id, flush=True)
    session.tell(("output", {"text": "The build is done."}), ("output", {"text": "It wants to be deployed."}))
    allowed, message = session.ask("deploy", {"to": "production"})
    verdict = "Deployed." if allowed else f"Not deployed: {message or 'no reason given'}"
    session.tell(("output", {"text": verdict, "is_final": True}), ("status", {"status": "done"}))
    while (event := session.hear())["type"] != "user_input":
        pass
    session.tell(("output", {"text": f"You said: {event['data']['text']}", "is_final": True}), ("status", {"status": "done"}))


if __name__ == "__main__":
    main()
