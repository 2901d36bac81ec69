#!/usr/bin/env python3
"""A Telegram Bot API server for tests: one bot, one forum group, and people who are steered over HTTP.

It speaks the wire format of Bot API 9 as far as the bridge needs it and refuses what Telegram refuses: unknown
parameters, HTML that is not well formed or has other tags, texts over 4096 UTF-16 units, button data over 64 bytes,
edits that change nothing, unknown and closed topics, answers to presses that are too late or given twice, a second poll
at the same time. Prints its port on the first line.

Steering (JSON both ways):
  GET  /control/state                  messages, topics, calls, answers to presses, what was refused
  POST /control/text                   {user, text?, thread?, reply_to?, chat?, private?, date?, file?: {name, base64}, photo?: base64}
  POST /control/press                  {user, message, label | data}    a press of a button of that message
  POST /control/fail                   {method, times, status, body?, retry_after?, accept?, cut?}
  POST /control/down                   {on}                             nothing is answered at all
  POST /control/delete_topic           {thread}
  POST /control/expire                 {}                               presses so far can be answered no more
  POST /control/count                  {on}                             20 messages and edits a minute in the group, no more
"""

import base64
import json
import re
import sys
import threading
import time
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "4242:test-token"
GROUP = -1001234567890
BOT = {"id": 777000, "is_bot": True, "first_name": "Rig", "username": "rig_bot"}
TAGS = {"b", "i", "s", "u", "code", "pre", "a", "blockquote"}

lock = threading.Condition()
state = {
    "updates": [],  # not confirmed yet
    "next_update": 1000,
    "next_message": 100,
    "messages": {},  # by id
    "topics": {},  # by id: {name, closed, deleted}
    "calls": [],
    "presses": {},  # by id: {answered, expired, text}
    "violations": [],
    "fails": [],
    "files": {},
    "commands": [],
    "polling": 0,
    "polled": False,
    "down": False,
    "counting": False,
    "counted": [],
    "refused": 0,
}


class Refused(Exception):
    def __init__(self, code, description, parameters=None):
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


def units(text):
    return len(text.encode("utf-16-le")) // 2


class Checker(HTMLParser):
    """Takes the text out of Telegram's HTML, or says what is wrong with it."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.open, self.text, self.wrong = [], "", None

    def handle_starttag(self, tag, attrs):
        if tag not in TAGS:
            self.wrong = f'Unsupported start tag "{tag}"'
        allowed = {"a": {"href"}, "code": {"class"}}.get(tag, set())
        if any(name not in allowed for name, _ in attrs):
            self.wrong = f"unsupported attribute of {tag}"
        self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong = f'Unmatched end tag "{tag}"'

    def handle_data(self, data):
        if "<" in data or "&" in data:
            self.wrong = "unescaped markup"
        self.text += data

    def handle_entityref(self, name):
        known = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
        if name not in known:
            self.wrong = f"unknown entity {name}"
        self.text += known.get(name, "")


def parse(text, mode):
    if mode is None:
        return text
    if mode != "HTML":
        raise Refused(400, "Bad Request: unsupported parse_mode")
    checker = Checker()
    checker.feed(text)
    checker.close()
    if checker.open and not checker.wrong:
        checker.wrong = f'Can\'t find end tag corresponding to start tag "{checker.open[-1]}"'
    if checker.wrong:
        state["violations"].append(f"{checker.wrong}: {text[:300]}")
        raise Refused(400, f"Bad Request: can't parse entities: {checker.wrong}")
    return checker.text


def check_text(text, mode, limit=4096):
    if not text or not text.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if units(text) > 16000:
        raise Refused(400, "Bad Request: message is too long")
    plain = parse(text, mode)
    if units(plain) > limit:
        state["violations"].append(f"a text of {units(plain)} units")
        raise Refused(400, "Bad Request: message is too long")
    return plain


def check_keyboard(markup):
    if markup is None:
        return []
    if "force_reply" in markup and "inline_keyboard" not in markup:
        only(markup, {"force_reply", "input_field_placeholder", "selective"})
        if len(markup.get("input_field_placeholder") or "x") > 64:
            raise Refused(400, "Bad Request: placeholder is too long")
        return []
    only(markup, {"inline_keyboard"})
    for row in markup["inline_keyboard"]:
        for button in row:
            only(button, {"text", "callback_data", "style"})
            size = len(button.get("callback_data", "").encode())
            if not 1 <= size <= 64 or not button.get("text", "").strip():
                state["violations"].append(f"a button {button}")
                raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    return markup["inline_keyboard"]


def only(params, allowed):
    unknown = set(params) - allowed
    if unknown:
        state["violations"].append(f"unknown parameters {sorted(unknown)}")
        raise Refused(400, f"Bad Request: unknown parameters {sorted(unknown)}")


def check_chat(params):
    chat = int(params["chat_id"])
    if chat != GROUP and chat < 0:
        raise Refused(400, "Bad Request: chat not found")
    thread = params.get("message_thread_id")
    if thread is not None:
        topic = state["topics"].get(int(thread))
        if topic is None or topic["deleted"]:
            raise Refused(400, "Bad Request: message thread not found")
    return chat, int(thread) if thread is not None else None


def chat_object(chat):
    if chat > 0:
        return {"id": chat, "type": "private", "first_name": "Somebody"}
    return {"id": chat, "type": "supergroup", "title": "Forum", "is_forum": True}


def new_message(sender, chat, thread, **more):
    number = state["next_message"]
    state["next_message"] += 1
    message = {"message_id": number, "date": int(time.time()), "chat": chat_object(chat), "from": sender, **more}
    if thread is not None:
        message["message_thread_id"] = thread
        message["is_topic_message"] = True
    return message


def keep(message, text, html, buttons, params):
    state["messages"][message["message_id"]] = {
        "id": message["message_id"],
        "thread": message.get("message_thread_id"),
        "chat": message["chat"]["id"],
        "text": text,
        "html": html,
        "buttons": [[button["text"] for button in row] for row in buttons],
        "data": {button["text"]: button["callback_data"] for row in buttons for button in row},
        "edits": 0,
        "quiet": bool(params.get("disable_notification")),
        "asks": "force_reply" in (params.get("reply_markup") or {}),
        "reply_to": (params.get("reply_parameters") or {}).get("message_id"),
    }


def get_me(params):
    return BOT


def get_chat(params):
    check_chat(params)
    return {**chat_object(GROUP), "accent_color_id": 1, "max_reaction_count": 11,
            "accepted_gift_types": {"unlimited_gifts": True, "limited_gifts": True, "unique_gifts": True,
                                    "premium_subscription": True, "gifts_from_channels": True}}


def get_chat_member(params):
    rights = ["can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats",
              "can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users",
              "can_post_stories", "can_edit_stories", "can_delete_stories", "can_manage_topics"]
    return {"status": "administrator", "user": BOT, **{right: True for right in rights}}


def set_my_commands(params):
    only(params, {"commands"})
    for command in params["commands"]:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]) or not 1 <= len(command["description"]) <= 256:
            state["violations"].append(f"a command {command}")
            raise Refused(400, "Bad Request: BOT_COMMAND_INVALID")
    state["commands"] = params["commands"]
    return True


def create_topic(params):
    only(params, {"chat_id", "name", "icon_color"})
    if not 1 <= len(params["name"]) <= 128:
        raise Refused(400, "Bad Request: TOPIC_NAME_INVALID")
    number = state["next_message"]
    state["next_message"] += 1
    state["topics"][number] = {"id": number, "name": params["name"], "closed": False, "deleted": False}
    return {"message_thread_id": number, "name": params["name"], "icon_color": params.get("icon_color", 7322096)}


def edit_topic(params):
    only(params, {"chat_id", "message_thread_id", "name"})
    _, thread = check_chat(params)
    if state["topics"][thread]["name"] == params["name"]:
        raise Refused(400, "Bad Request: TOPIC_NOT_MODIFIED")
    state["topics"][thread]["name"] = params["name"]
    return True


def close_topic(params, closed):
    _, thread = check_chat(params)
    if state["topics"][thread]["closed"] == closed:
        raise Refused(400, "Bad Request: TOPIC_NOT_MODIFIED")
    state["topics"][thread]["closed"] = closed
    return True


def send_message(params):
    only(params, {"chat_id", "message_thread_id", "text", "parse_mode", "link_preview_options", "disable_notification",
                  "reply_parameters", "reply_markup"})
    chat, thread = check_chat(params)
    text = check_text(params["text"], params.get("parse_mode"))
    buttons = check_keyboard(params.get("reply_markup"))
    message = new_message(BOT, chat, thread, text=text)
    keep(message, text, params["text"], buttons, params)
    return message


def edit_message(params):
    only(params, {"chat_id", "message_id", "text", "parse_mode", "link_preview_options", "reply_markup"})
    chat = int(params["chat_id"])
    known = state["messages"].get(params["message_id"])
    if known is None or known["chat"] != chat:
        raise Refused(400, "Bad Request: message to edit not found")
    text = check_text(params["text"], params.get("parse_mode"))
    buttons = check_keyboard(params.get("reply_markup"))
    labels = [[button["text"] for button in row] for row in buttons]
    if known["html"] == params["text"] and known["buttons"] == labels:
        raise Refused(400, "Bad Request: message is not modified: specified new message content is the same")
    known.update(text=text, html=params["text"], buttons=labels, edits=known["edits"] + 1)
    known["data"] = {button["text"]: button["callback_data"] for row in buttons for button in row}
    message = new_message(BOT, chat, known["thread"], text=text)
    message["message_id"] = known["id"]
    return message


def send_document(params, files):
    chat, thread = check_chat(params)
    name, content = files["document"]
    if len(params.get("caption", "")) > 1024:
        raise Refused(400, "Bad Request: message caption is too long")
    document = {"file_id": f"out-{name}", "file_unique_id": name, "file_name": name, "file_size": len(content)}
    message = new_message(BOT, chat, thread, document=document)
    keep(message, params.get("caption", ""), "", [], {})
    state["messages"][message["message_id"]]["file"] = {"name": name, "base64": base64.b64encode(content).decode()}
    return message


def answer_press(params):
    only(params, {"callback_query_id", "text", "show_alert"})
    press = state["presses"].get(params["callback_query_id"])
    if len(params.get("text") or "") > 200:
        raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
    if press is None or press["answered"] or press["expired"]:
        raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    press["answered"], press["text"] = True, params.get("text") or ""
    return True


def get_file(params):
    if params["file_id"] not in state["files"]:
        raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
    path = f"documents/{params['file_id']}"
    return {"file_id": params["file_id"], "file_unique_id": "u", "file_size": 1, "file_path": path}


# "Bots are not able to send more than 20 messages per minute to the same group" (core.telegram.org/bots/faq).
COUNTED = {"sendMessage", "sendDocument", "editMessageText"}
MOST, WITHIN = 20, 60


def count(method, params):
    """Seconds to wait, if this is too much."""
    if not state["counting"] or method not in COUNTED or int(params["chat_id"]) != GROUP:
        return None
    now = time.time()
    state["counted"] = [at for at in state["counted"] if now - at < WITHIN]
    if len(state["counted"]) >= MOST:
        state["refused"] += 1
        return int(state["counted"][0] + WITHIN - now) + 1
    state["counted"].append(now)
    return None


METHODS = {
    "getMe": get_me,
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "setMyCommands": set_my_commands,
    "createForumTopic": create_topic,
    "editForumTopic": edit_topic,
    "closeForumTopic": lambda params: close_topic(params, True),
    "reopenForumTopic": lambda params: close_topic(params, False),
    "sendMessage": send_message,
    "editMessageText": edit_message,
    "answerCallbackQuery": answer_press,
    "getFile": get_file,
    "sendChatAction": lambda params: bool(check_chat(params)),
}


def get_updates(params):
    """Called with the lock held; waits on it."""
    only(params, {"offset", "timeout", "limit", "allowed_updates"})
    if not params.get("allowed_updates"):
        state["violations"].append("getUpdates without allowed_updates")
    if state["polling"]:
        # Telegram ends the older one.
        state["polling"] += 1
        lock.notify_all()
        raise Refused(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
    state["polled"] = True
    offset = params.get("offset")
    if offset is not None:
        state["updates"] = [update for update in state["updates"] if update["update_id"] >= offset]
    state["polling"] = 1
    try:
        deadline = time.time() + min(params.get("timeout") or 0, 2)
        while not state["updates"] and time.time() < deadline and state["polling"] == 1 and not state["down"]:
            lock.wait(max(0.01, deadline - time.time()))
        if state["polling"] > 1:
            raise Refused(409, "Conflict: terminated by other getUpdates request")
        return list(state["updates"])[: params.get("limit") or 100]
    finally:
        state["polling"] = 0


def update(**content):
    state["updates"].append({"update_id": state["next_update"], **content})
    state["next_update"] += 1
    lock.notify_all()


def person(number):
    names = {1: "Alice", 2: "Bob", 99: "Mallory"}
    return {"id": number, "is_bot": False, "first_name": names.get(number, f"User{number}")}


def control(path, body):
    if path == "text":
        chat = body.get("chat", body["user"] if body.get("private") else GROUP)
        thread = body.get("thread")
        more = {"text": body["text"]} if "text" in body else {}
        if "file" in body:
            handle = f"in-{len(state['files'])}"
            content = base64.b64decode(body["file"]["base64"])
            state["files"][handle] = content
            more.pop("text", None)
            more["document"] = {"file_id": handle, "file_unique_id": handle, "file_name": body["file"]["name"],
                                "file_size": len(content)}
            more["caption"] = body.get("text", "")
        if "photo" in body:
            handle = f"in-{len(state['files'])}"
            content = base64.b64decode(body["photo"])
            state["files"][handle] = content
            more.pop("text", None)
            more["photo"] = [{"file_id": handle, "file_unique_id": handle, "width": 4, "height": 4, "file_size": len(content)}]
            more["caption"] = body.get("text", "")
        if body.get("reply_to"):
            other = state["messages"].get(body["reply_to"], {"text": "", "thread": thread})
            reply = new_message(BOT, chat, thread, text=other["text"])
            state["next_message"] -= 1
            reply["message_id"] = body["reply_to"]
            more["reply_to_message"] = reply
        message = new_message(person(body["user"]), chat, thread, **more)
        message["date"] += body.get("later", 0)
        update(message=message)
        return {"message_id": message["message_id"]}
    if path == "press":
        known = state["messages"][body["message"]]
        data = body.get("data") or known["data"][body["label"]]
        number = f"press{len(state['presses'])}"
        state["presses"][number] = {"answered": False, "expired": False, "text": None}
        message = new_message(BOT, known["chat"], body.get("thread", known["thread"]), text=known["text"])
        state["next_message"] -= 1
        message["message_id"] = known["id"]
        update(callback_query={"id": number, "from": person(body["user"]), "message": message, "chat_instance": "c",
                               "data": data})
        return {"press": number}
    if path == "fail":
        state["fails"].append({"times": 1, **body})
        return {}
    if path == "down":
        state["down"] = body["on"]
        lock.notify_all()
        return {}
    if path == "delete_topic":
        state["topics"][body["thread"]]["deleted"] = True
        return {}
    if path == "count":
        state["counting"] = body["on"]
        return {}
    if path == "expire":
        for press in state["presses"].values():
            press["expired"] = True
        return {}
    if path == "raw":
        update(**body)
        return {}
    raise KeyError(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def cut(self):
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        if self.path == "/control/state":
            with lock:
                shown = {key: state[key] for key in ("topics", "calls", "presses", "violations", "commands", "polled", "refused")}
                shown["messages"] = list(state["messages"].values())
                shown["waiting"] = len(state["updates"])
                raw = json.dumps(shown).encode()
            return self.answer(200, raw)
        prefix = f"/file/bot{TOKEN}/documents/"
        if self.path.startswith(prefix) and self.path[len(prefix):] in state["files"]:
            return self.answer(200, state["files"][self.path[len(prefix):]], "application/octet-stream")
        self.answer(404, {"ok": False, "error_code": 404, "description": "Not Found"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else self.chunked()
        if self.path.startswith("/control/"):
            with lock:
                return self.answer(200, control(self.path[len("/control/"):], json.loads(raw or b"{}")))
        if state["down"]:
            return self.cut()
        prefix = f"/bot{TOKEN}/"
        if not self.path.startswith(prefix):
            return self.answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        method = self.path[len(prefix):]
        params, files = self.params(raw)
        with lock:
            self.method(method, params, files)

    def method(self, method, params, files):
        fail = next((fail for fail in state["fails"] if fail["method"] == method and fail["times"] > 0), None)
        if fail:
            fail["times"] -= 1
        call = {"method": method, "params": params, "at": time.time(), "ok": False}
        if method != "getUpdates":
            state["calls"].append(call)
        if fail and not fail.get("accept"):
            return self.fail(fail)
        wait = count(method, params)
        if wait is not None:
            return self.fail({"status": 429, "retry_after": wait, "description": f"Too Many Requests: retry after {wait}"})
        try:
            if method == "getUpdates":
                result = get_updates(params)
            elif method == "sendDocument":
                result = send_document(params, files)
            elif method in METHODS:
                result = METHODS[method](params)
            else:
                state["violations"].append(f"unknown method {method}")
                raise Refused(404, "Not Found")
        except Refused as refused:
            body = {"ok": False, "error_code": refused.code, "description": refused.description}
            call["error"] = refused.description
            return self.answer(refused.code, body)
        call["ok"] = True
        call["result"] = result.get("message_id") if isinstance(result, dict) else None
        if fail:
            return self.fail(fail)
        try:
            self.answer(200, {"ok": True, "result": result})
        except BrokenPipeError:
            pass

    def fail(self, fail):
        if fail.get("cut"):
            return self.cut()
        status = fail.get("status", 500)
        if "body" in fail:
            return self.answer(status, fail["body"].encode(), "text/html")
        body = {"ok": False, "error_code": status, "description": fail.get("description", "Too Many Requests")}
        if "retry_after" in fail:
            body["parameters"] = {"retry_after": fail["retry_after"]}
        self.answer(status, body)

    def chunked(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        body = b""
        while True:
            size = int(self.rfile.readline().strip() or b"0", 16)
            piece = self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return body
            body += piece

    def params(self, raw):
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return json.loads(raw or b"{}"), {}
        boundary = kind.split("boundary=")[1].strip('"').encode()
        params, files = {}, {}
        for part in raw.split(b"--" + boundary)[1:-1]:
            head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head).group(1).decode()
            filename = re.search(rb'filename="([^"]*)"', head)
            if filename:
                files[name] = (filename.group(1).decode(), content)
            else:
                params[name] = content.decode()
        return params, files


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
