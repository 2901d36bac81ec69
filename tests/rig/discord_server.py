#!/usr/bin/env python3
"""A Discord for tests: the API and the gateway (v10), one server with one channel, and people steered over HTTP.

It refuses what Discord refuses: unknown fields, texts over 2000 characters, too many or too long buttons, ids that come
twice, names of threads changed a third time within ten minutes, changes in threads that were put away, answers to
presses that come late or twice, and it notes what could mention somebody. Prints its port on the first line.

Steering (JSON both ways):
  GET  /control/state                 messages, threads, calls, presses, what was refused, what the gateway heard
  POST /control/text                  {user, text?, thread?, reply_to?, private?, channel?, bot?, later?, file?: {name, base64}}
  POST /control/press                 {user, message, label | data}
  POST /control/submit                {press, words}               the form that a press opened
  POST /control/command               {user, name, words?, thread?}
  POST /control/react                 {user, message, emoji}
  POST /control/fail                  {call, times?, status, body?, json?, headers?, accept?, cut?}   `POST messages`
  POST /control/gateway               {do: cut | reconnect | invalid | forget | close, code?}
  POST /control/down | may_read       {on}
  POST /control/count                 {on}     50 calls a second, and 5 messages and 5 edits in 5 seconds a channel, no more
  POST /control/delete_thread | archive   {thread}
"""

import base64
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from discord_gateway import Gateway
from discord_rules import Refused, check_message, invalid, new_id, only, state, violate

TOKEN = "rig.discord-token"
GUILD, HOME, OTHER, PRIVATE, APP = "90", "91", "92", "93", "9"
# "All bots can make up to 50 requests per second"; what a channel takes is told in headers, and is about this much.
GLOBAL, CHANNEL = (50, 1.0), (5, 5.0)
BOT = {"id": APP, "username": "rig-bot", "discriminator": "0", "avatar": None, "bot": True}
NAMES = {1: "Alice", 2: "Bob", 99: "Mallory"}
READY = {"v": 10, "user": BOT, "guilds": [{"id": GUILD, "unavailable": True}], "shard": [0, 1],
         "application": {"id": APP, "flags": 0}, "session_type": "normal"}
gateway = Gateway(TOKEN, READY, violate)
lock = threading.RLock()


def thread_of(channel):
    if channel in (HOME, PRIVATE) or channel in state["made"]:
        return None
    thread = state["threads"].get(channel)
    if thread is None or thread["deleted"]:
        raise Refused(404, 10003, "Unknown Channel")
    return thread


def shown(message):
    return {"id": message["id"], "channel_id": message["thread"], "author": message["author"],
            "content": message["text"], "timestamp": "2026-01-01T00:00:00.000000+00:00", "edited_timestamp": None,
            "tts": False, "mention_everyone": False, "mentions": [], "mention_roles": [], "pinned": False,
            "attachments": message["attachments"], "embeds": [], "type": message["type"],
            "components": message["components"], "flags": message["flags"], **message["more"]}


def add_message(channel, author, text, components=(), flags=0, attachments=(), kind=0, later=0, **more):
    message = {"id": new_id(later), "thread": channel, "author": author, "text": text, "components": list(components),
               "flags": flags, "attachments": list(attachments), "type": kind, "edits": 0, "more": more, "file": None}
    state["messages"][message["id"]] = message
    thread = state["threads"].get(channel)
    if thread:
        thread["last_message_id"], thread["archived"] = message["id"], False
    where = {} if channel == PRIVATE else {"guild_id": GUILD}
    gateway.tell("MESSAGE_CREATE", {**shown(message), **where})
    return message


def channel_object(channel):
    thread = state["threads"].get(channel)
    if thread is None:
        name = {HOME: "control", OTHER: "elsewhere", **state["made"]}.get(channel)
        if name is None:
            return {"id": channel, "type": 1}
        return {"id": channel, "type": 0, "guild_id": GUILD, "name": name, "position": 0, "permission_overwrites": []}
    return {"id": channel, "type": 11, "guild_id": GUILD, "parent_id": thread["parent"], "name": thread["name"],
            "last_message_id": thread["last_message_id"], "owner_id": APP,
            "thread_metadata": {"archived": thread["archived"], "auto_archive_duration": 10080, "locked": False}}


# --- what the bot asks for ---

NEW = {"content", "components", "allowed_mentions", "flags", "nonce", "enforce_nonce", "message_reference", "attachments"}


def create_message(body, files, channel):
    thread_of(channel)
    check_message(body, NEW, bool(files))
    if not body.get("enforce_nonce") or not 1 <= len(body.get("nonce", "")) <= 25:
        violate("a message without a nonce would come twice")
    known = state["nonces"].get((channel, body.get("nonce")))
    if known:
        return shown(state["messages"][known])
    attachments = []
    for name, (filename, content) in files.items():
        number = new_id()
        state["files"][f"/attachments/{number}/{filename}"] = content
        url = f"http://127.0.0.1:{state['port']}/attachments/{number}/{filename}"
        attachments.append({"id": number, "filename": filename, "size": len(content), "url": url})
    message = add_message(channel, BOT, body.get("content", ""), body.get("components") or [], body.get("flags", 0),
                          attachments, nonce=body.get("nonce"), reply_to=(body.get("message_reference") or {}).get("message_id"))
    for name, (filename, content) in files.items():
        message["file"] = {"name": filename, "base64": base64.b64encode(content).decode()}
    state["nonces"][(channel, body.get("nonce"))] = message["id"]
    return shown(message)


def message_of(channel, number):
    message = state["messages"].get(number)
    if message is None or message["thread"] != channel:
        raise Refused(404, 10008, "Unknown Message")
    return message


def edit_message(body, _files, channel, number):
    thread = thread_of(channel)
    message = message_of(channel, number)
    if thread and thread["archived"]:
        raise Refused(400, 50083, "Thread is archived")
    check_message(body, {"content", "components", "allowed_mentions"})
    message["text"], message["components"] = body["content"], body["components"]
    message["edits"] += 1
    return shown(message)


def create_thread(body, _files, channel, number):
    only(body, {"name", "auto_archive_duration"}, "a thread")
    message_of(channel, number)
    if number in state["threads"]:
        raise Refused(400, 160004, "A thread has already been created for this message")
    if not 1 <= len(body["name"]) <= 100 or body["auto_archive_duration"] not in (60, 1440, 4320, 10080):
        invalid("name", "Must be between 1 and 100 in length.")
    state["threads"][number] = {"name": body["name"], "parent": channel, "archived": False, "deleted": False, "renames": [],
                                "last_message_id": None}
    gateway.tell("THREAD_CREATE", {**channel_object(number), "newly_created": True})
    return channel_object(number)


def change_channel(body, _files, channel):
    thread = thread_of(channel)
    only(body, {"name", "archived", "locked"}, "a thread")
    if thread["archived"] and body.get("archived") is not False:
        raise Refused(400, 50083, "Thread is archived")
    if "name" in body:
        recent = [at for at in thread["renames"] if time.time() - at < 600]
        if len(recent) >= 2:
            raise Refused(429, 0, "", {"message": "You are being rate limited.", "retry_after": 590.5, "global": False})
        thread["renames"], thread["name"] = recent + [time.time()], body["name"]
    if "archived" in body:
        thread["archived"] = body["archived"]
    return channel_object(channel)


def get_messages(query, channel):
    thread_of(channel)
    after, limit = int(query.get("after", ["0"])[0]), int(query.get("limit", ["50"])[0])
    found = [m for m in state["messages"].values() if m["thread"] == channel and int(m["id"]) > after]
    found = sorted(found, key=lambda m: int(m["id"]))[:limit]
    return [shown(message) for message in reversed(found)]


def callback(body, _files, number, token):
    press = state["presses"].get(number)
    # By when it came, not by when this server got round to it.
    if press is None or press["token"] != token or state["arrived"] - press["at"] > 3:
        raise Refused(404, 10062, "Unknown interaction")
    if press["answer"] is not None:
        raise Refused(400, 40060, "Interaction has already been acknowledged.")
    only(body, {"type", "data"}, "an answer to a press")
    data = body.get("data") or {}
    if body["type"] == 9:
        fields = [one for row in data["components"] for one in row["components"]]
        long = len(data["custom_id"]) > 100 or not 1 <= len(data["title"]) <= 45
        if long or any(len(one["label"]) > 45 or one["type"] != 4 for one in fields):
            invalid("components", "Must be 45 or fewer in length.")
    allowed = {2: (4, 5), 3: (6, 9), 5: (6,)}[press["type"]]
    if body["type"] not in allowed:
        invalid("type", f"{body['type']} does not answer {press['type']}")
    press["answer"], press["form"] = body["type"], data if body["type"] == 9 else None
    if body["type"] == 4:
        press["told"] = data["content"]


def pressed(token):
    found = next((press for press in state["presses"].values() if press["token"] == token), None)
    if found is None or found["answer"] is None:
        raise Refused(404, 10015, "Unknown Webhook")
    return found


def follow_up(body, _files, _app, token):
    check_message(body, {"content", "flags", "allowed_mentions"})
    if not body.get("flags", 0) & 64:
        violate("what is for one person was told to all")
    pressed(token)["told"] = body["content"]
    return {"id": new_id()}


def change_original(body, _files, _app, token):
    check_message(body, {"content", "allowed_mentions"})
    pressed(token)["told"] = body["content"]
    return {"id": new_id()}


def delete_original(_body, _files, _app, token):
    pressed(token)["told"] = ""


def set_commands(body, _files, _app, guild):
    for command in body:
        only(command, {"name", "type", "description", "options"}, "a command")
        if not re.fullmatch(r"[a-z0-9_-]{1,32}", command["name"]) or not 1 <= len(command["description"]) <= 100:
            invalid("name", "String value did not match validation regex.")
    state["commands"] = body
    return body


def typing(_body, _files, channel):
    thread_of(channel)


def make_channel(body, _files, guild):
    only(body, {"name", "type", "topic"}, "a channel")
    if not state["may_make"]:
        raise Refused(403, 50013, "Missing Permissions")
    number = new_id()
    state["made"][number] = body["name"]
    return channel_object(number)


def count(name, limit):
    """What is left under a name, and in how many seconds there is more; None = too much already."""
    most, within = limit
    now = time.time()
    counted = state["counted"][name] = [at for at in state["counted"].get(name, []) if now - at < within]
    if len(counted) >= most:
        return None, counted[0] + within - now
    counted.append(now)
    return most - len(counted), counted[0] + within - now


PLACES = [
    ("GET", r"users/@me", lambda b, f: BOT),
    ("GET", r"applications/@me", lambda b, f: {"id": APP, "name": "rig", "flags": 1 << 19 if gateway.may_read else 0}),
    ("PUT", r"applications/(\d+)/guilds/(\d+)/commands", set_commands),
    ("GET", r"guilds/\d+/channels", lambda b, f: [channel_object(key) for key in (HOME, OTHER, *state["made"])]),
    ("POST", r"guilds/(\d+)/channels", make_channel),
    ("GET", r"guilds/\d+/threads/active", lambda b, f: {"members": [], "has_more": False, "threads": [
        channel_object(key) for key, one in state["threads"].items() if not (one["archived"] or one["deleted"])]}),
    ("GET", r"channels/(\d+)", lambda b, f, channel: (channel in (HOME, OTHER, *state["made"]) or thread_of(channel)) and channel_object(channel)),
    ("PATCH", r"channels/(\d+)", change_channel),
    ("POST", r"channels/(\d+)/messages", create_message),
    ("GET", r"channels/(\d+)/messages", None),
    ("GET", r"channels/(\d+)/messages/(\d+)", lambda b, f, c, m: shown(message_of(c, m))),
    ("PATCH", r"channels/(\d+)/messages/(\d+)", edit_message),
    ("POST", r"channels/(\d+)/messages/(\d+)/threads", create_thread),
    ("POST", r"channels/(\d+)/typing", typing),
    ("POST", r"interactions/(\d+)/(\w+)/callback", callback),
    ("POST", r"webhooks/(\d+)/(\w+)", follow_up),
    ("PATCH", r"webhooks/(\d+)/(\w+)/messages/@original", change_original),
    ("DELETE", r"webhooks/(\d+)/(\w+)/messages/@original", delete_original),
]
OPEN = ("interactions/", "webhooks/")


# --- what people do ---

def user(number, bot=False):
    name = NAMES.get(number, f"user{number}")
    return {"id": str(number), "username": name.lower(), "global_name": name, "discriminator": "0", "avatar": None,
            "bot": bot}


def member(number):
    return {"roles": [], "joined_at": "2024-01-01T00:00:00.000000+00:00", "deaf": False, "mute": False, "flags": 0,
            "nick": None}


def interact(kind, number, channel, data, message=None):
    press = {"id": new_id(), "token": f"tok{len(state['presses'])}", "type": kind, "at": time.time(), "answer": None,
             "told": None, "form": None, "user": number, "channel": channel, "message": message}
    state["presses"][press["id"]] = press
    event = {"id": press["id"], "application_id": APP, "type": kind, "token": press["token"], "version": 1,
             "data": data, "guild_id": GUILD, "channel_id": channel, "channel": channel_object(channel), "locale": "en-US",
             "member": {**member(number), "user": user(number), "permissions": "0"}, "context": 0}
    if message:
        event["message"] = shown(state["messages"][message])
    gateway.tell("INTERACTION_CREATE", event)
    return {"press": press["id"]}


def control(what, body):
    who = body.get("user")
    channel = str(body.get("channel") or body.get("thread") or (PRIVATE if body.get("private") else HOME))
    if what == "text":
        attachments, more = [], {}
        if body.get("file"):
            number = new_id()
            path = f"/attachments/{number}/{body['file']['name'].split('/')[-1]}"
            content = base64.b64decode(body["file"]["base64"])
            state["files"][path] = content
            url = body["file"].get("url") or f"http://127.0.0.1:{state['port']}{path}"
            attachments = [{"id": number, "filename": body["file"]["name"], "size": len(content), "url": url}]
        if channel != PRIVATE:
            more["member"] = member(who)
        if body.get("reply_to"):
            more["message_reference"] = {"message_id": body["reply_to"], "channel_id": channel}
        kind = 19 if body.get("reply_to") else 0
        message = add_message(channel, user(who, body.get("bot", False)), body.get("text", ""), kind=kind,
                              attachments=attachments, later=body.get("later", 0), **more)
        return {"message": message["id"]}
    if what == "press":
        message = state["messages"][body["message"]]
        inside = [one for row in message["components"] for one in row["components"]]
        found = next((one for one in inside if one.get("label") == body.get("label")), None)
        custom = body.get("data") or found["custom_id"]
        return interact(3, who, message["thread"], {"custom_id": custom, "component_type": 2}, message["id"])
    if what == "submit":
        press = state["presses"][body["press"]]
        field = press["form"]["components"][0]["components"][0]
        data = {"custom_id": press["form"]["custom_id"], "components": [
            {"type": 1, "components": [{"type": 4, "custom_id": field["custom_id"], "value": body["words"]}]}]}
        return interact(5, body.get("user") or press["user"], press["channel"], data, press["message"])
    if what == "command":
        options = [{"name": "words", "type": 3, "value": body["words"]}] if "words" in body else []
        return interact(2, who, channel, {"id": "1", "name": body["name"], "type": 1, "options": options})
    if what == "react":
        message = state["messages"][body["message"]]
        gateway.tell("MESSAGE_REACTION_ADD", {
            "user_id": str(who), "channel_id": message["thread"], "message_id": message["id"], "guild_id": GUILD,
            "emoji": {"id": None, "name": body["emoji"]}, "member": {**member(who), "user": user(who)}, "type": 0})
    if what == "raw":
        gateway.tell(body["kind"], body["d"])
    if what == "fail":
        state["fails"].append({"times": 1, "status": 500, **body})
    if what == "gateway":
        do = body["do"]
        if do in ("forget", "invalid"):
            gateway.forget()
        acts = {"cut": lambda s: s.cut(), "forget": lambda s: s.cut(), "close": lambda s: s.close(body["code"]),
                "reconnect": lambda s: s.send({"op": 7, "s": None, "t": None, "d": None}),
                "invalid": lambda s: s.send({"op": 9, "s": None, "t": None, "d": False})}
        gateway.all(acts[do])
    if what == "down":
        state["down"] = body["on"]
        if body["on"]:
            gateway.all(lambda socket: socket.cut())
    if what == "count":
        state["counting"] = body["on"]
    if what == "may_make":
        state["may_make"] = body["on"]
    if what == "may_read":
        gateway.may_read = body["on"]
    if what == "delete_thread":
        state["threads"][body["thread"]]["deleted"] = True
    if what == "archive":
        state["threads"][body["thread"]]["archived"] = True
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json", headers=None):
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(raw), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(raw)

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        arrived = time.time()
        url = urlsplit(self.path)
        if url.path == "/control/state":
            with lock:
                seen = {key: state[key] for key in ("threads", "calls", "presses", "violations", "commands")}
                seen["messages"], seen["gateway"] = list(state["messages"].values()), gateway.log
                seen["connected"] = sum(1 for socket in gateway.sockets if socket.session)
                seen["refused"], seen["made"] = state["refused"], state["made"]
                raw = json.dumps(seen).encode()
            return self.answer(200, raw)
        if url.path.startswith("/control/"):
            with lock:
                return self.answer(200, control(url.path[len("/control/"):], json.loads(raw or b"{}")))
        if state["down"]:
            return self.cut()
        if url.path == "/gateway/" and self.headers.get("Upgrade"):
            if parse_qs(url.query) != {"v": ["10"], "encoding": ["json"]}:
                violate(f"the gateway by {self.path}")
            return gateway.serve(self, state["port"])
        if url.path in state["files"]:
            if self.headers.get("Authorization"):
                violate("the token was shown for a file")
            return self.answer(200, state["files"][url.path], "application/octet-stream")
        if not url.path.startswith("/api/v10/"):
            return self.answer(404, {"code": 0, "message": "404: Not Found"})
        path = url.path[len("/api/v10/"):]
        is_open = path.startswith(OPEN)
        if not self.headers.get("User-Agent", "").startswith("DiscordBot ("):
            return self.answer(403, b"<html>blocked", "text/html")
        if not is_open and self.headers.get("Authorization") != f"Bot {TOKEN}":
            return self.answer(401, {"code": 0, "message": "401: Unauthorized"})
        with lock:
            state["arrived"] = arrived
            self.call(path, parse_qs(url.query), raw)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one

    def call(self, path, query, raw):
        found = next(((verb, pattern, act, match) for verb, pattern, act in PLACES
                      if verb == self.command and (match := re.fullmatch(pattern, path))), None)
        if found is None:
            violate(f"no such call: {self.command} {path}")
            return self.answer(404, {"code": 0, "message": "404: Not Found"})
        act, match = found[2], found[3]
        name = f"{self.command} {next(word for word in reversed(path.split('/')) if not word.isdigit())}"
        fail = next((one for one in state["fails"] if one["call"] == name and one["times"] > 0), None)
        if fail:
            fail["times"] -= 1
        limits = {"X-RateLimit-Bucket": f"b{hash(name) % 9999}", "X-RateLimit-Limit": 50, "X-RateLimit-Remaining": 49,
                  "X-RateLimit-Reset-After": "1.0", "X-RateLimit-Reset": time.time() + 1}
        if state["counting"] and not path.startswith(OPEN):
            left, more = count("", GLOBAL)
            if left is None:
                return self.too_much(more, True, {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"})
            if name in ("POST messages", "PATCH messages"):
                left, more = count(f"{name} {match.group(1)}", CHANNEL)
                limits.update({"X-RateLimit-Limit": CHANNEL[0], "X-RateLimit-Remaining": left or 0,
                               "X-RateLimit-Reset-After": f"{more:.3f}", "X-RateLimit-Reset": time.time() + more})
                if left is None:
                    return self.too_much(more, False, {**limits, "X-RateLimit-Scope": "user"})
        body, files = self.body(raw)
        call = {"call": name, "path": path, "body": body, "at": time.time(), "ok": False}
        state["calls"].append(call)
        if fail and not fail.get("accept"):
            return self.fail(fail)
        try:
            result = get_messages(query, *match.groups()) if act is None else act(body, files, *match.groups())
        except Refused as refused:
            call["error"] = refused.body
            return self.answer(refused.status, refused.body)
        call["ok"] = True
        if fail:
            return self.fail(fail)
        self.answer(204 if result is None else 200, result, headers=limits)

    def too_much(self, wait, everywhere, headers):
        state["refused"] += 1
        body = {"message": "You are being rate limited.", "retry_after": wait, "global": everywhere}
        self.answer(429, body, headers={**headers, "Retry-After": int(wait) + 1})

    def fail(self, fail):
        if fail.get("cut"):
            return self.cut()
        if "json" in fail:
            return self.answer(fail["status"], fail["json"], headers=fail.get("headers"))
        self.answer(fail["status"], fail.get("body", "").encode(), "text/html", fail.get("headers"))

    def body(self, raw):
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            if raw and kind != "application/json":
                violate(f"a body that is {kind}")
            return json.loads(raw or b"{}"), {}
        body, files = {}, {}
        for part in raw.split(b"--" + kind.split("boundary=")[1].encode())[1:-1]:
            head, _, content = part[2:-2].partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head).group(1).decode()
            filename = re.search(rb'filename="([^"]*)"', head)
            if filename:
                files[name] = (filename.group(1).decode(), content)
            elif name == "payload_json":
                body = json.loads(content)
        return body, files


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state["port"] = server.server_port
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
