#!/usr/bin/env python3
"""A scripted stand-in for a model provider, so that the real agent programs run offline.

It speaks four streaming dialects on one loopback port:
    POST /v1/messages            Anthropic Messages        (Claude Code, OpenCode, Pi)
    POST /v1/responses           OpenAI Responses          (Codex)
    POST /v1/chat/completions    OpenAI Chat Completions   (OpenCode, Pi, LiteLLM-style clients)
    POST /v1beta/models/M:streamGenerateContent            (Gemini CLI; GOOGLE_GEMINI_BASE_URL)

It keeps no state. What it answers is read from the conversation itself: the last user text that
holds directives is the script, one directive a line, and the tool results that follow that text
say how far the script has come. Any other line is ignored, so a prompt may hold prose too.

    SAY text               say it
    THINK text             reason first (only where the dialect has it)
    STREAM count word      stream `word` `count` times, one delta each
    SLEEP seconds          pause in mid-stream
    SHELL command          call the agent's shell tool
    WRITE path content     call the agent's file-writing tool; the path `{plan}` is the file that Claude Code, once it plans,
                           tells the model to write its plan to
    READ path              call the agent's file-reading tool
    ASK question|a|b       call the agent's question tool (where it has one)
    TOOL name json         call any tool by its name
    FAIL status [message]  answer with that HTTP status instead
    FLAKY name count status [seconds]   the same, but only for the first `count` requests that come to it; with
                           `seconds`, they are told to come back after so long
    DROP [name]            cut the connection in mid-stream; with a name, only the first time
    HOLD name              stop in mid-stream until somebody posts to /release/name
    ECHO                   say the text of the last tool result (a denial's reason, say)
    AND                    between two tool directives: call both in one answer
    PIECES count           stream the input of the next tool calls in pieces of so many characters (Chat Completions)
    REASON field text      reason under this name of a delta's field (Chat Completions)

Several tool directives run one after the other: each request answers up to and with the next tool
call. After the last one it says what is left, or "done".

A test drives HOLD over HTTP: `GET /holds` tells how many requests are stopped at which name
(`{"waiting": {name: count}}`), and `POST /release/name` lets those and all later ones pass.
The log (`--log`) has one line a request, with the steps it answered and how many pictures it held.

usage: model_server.py [--port 0] [--log FILE] [--bodies FILE]   prints the port on its first line
"""
import argparse, json, re, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERBS = {"SAY", "THINK", "STREAM", "SLEEP", "SHELL", "WRITE", "READ", "ASK", "TOOL", "FAIL", "DROP", "HOLD", "ECHO",
         "AND", "PIECES", "REASON", "FLAKY"}
CHAT_ONLY = {"PIECES", "REASON"}
TOOLS = {"SHELL", "WRITE", "READ", "ASK", "TOOL"}
LOG = None
BODIES = None
LOCK = threading.Lock()
HOLDS = threading.Condition()
RELEASED = set()
WAITING = {}
SEEN = {}


def log(kind, **row):
    if LOG:
        with LOCK:
            LOG.write(json.dumps({"at": time.time(), "kind": kind, **row}) + "\n")
            LOG.flush()


def hold(name, alive=lambda: None):
    """Waits until `name` is released. `alive` is called each second and raises when the client is gone."""
    with HOLDS:
        WAITING[name] = WAITING.get(name, 0) + 1
    try:
        while True:
            with HOLDS:
                if name in RELEASED or HOLDS.wait_for(lambda: name in RELEASED, timeout=1):
                    return
            alive()
    finally:
        with HOLDS:
            WAITING[name] -= 1


def times(name):
    """How often this was called with this name, this time included."""
    with LOCK:
        SEEN[name] = SEEN.get(name, 0) + 1
        return SEEN[name]


def parse(text):
    steps = []
    for line in (text or "").splitlines():
        verb, _, rest = line.strip().partition(" ")
        if verb in VERBS:
            steps.append((verb, rest.replace("\\n", "\n")))
    return steps


def plan(turns):
    """turns: ('user', text) | ('tool', text) | ('assistant', text), oldest first."""
    script, done, last = [], 0, ""
    for role, text in turns:
        if role == "user":
            steps = parse(text)
            if steps:
                script, done = steps, 0
        elif role == "tool":
            done += 1
            last = text
    left, skipped = [], 0
    for at, step in enumerate(script):
        if skipped < done:
            skipped += step[0] in TOOLS
            continue
        if step[0] == "AND":
            continue
        left.append(("SAY", last) if step[0] == "ECHO" else step)
        if step[0] in TOOLS and script[at + 1:at + 2] != [("AND", "")]:
            return left
    if not any(v in ("SAY", "STREAM", "FAIL", "DROP") for v, _ in left):
        left.append(("SAY", "done"))
    return left


def tool_call(verb, rest, names):
    """The tool's name and arguments, fitted to the tools that the agent offered."""
    def pick(*wanted):
        for want in wanted:
            for name in names:
                if name.lower() == want.lower():
                    return name
        return wanted[0]
    if verb == "TOOL":
        name, _, args = rest.partition(" ")
        return name, json.loads(args or "{}", strict=False)  # an escaped newline is a newline by now
    if verb == "SHELL":
        name = pick("Bash", "shell_command", "exec_command", "shell", "bash", "local_shell")
        if name == "exec_command":
            return name, {"cmd": rest}
        if name == "shell":
            return name, {"command": ["bash", "-lc", rest]}
        return name, {"command": rest, "description": "scripted"}
    if verb == "WRITE":
        path, _, content = rest.partition(" ")
        name = pick("Write", "write", "apply_patch")
        if name == "apply_patch":
            body = "".join("+%s\n" % row for row in content.split("\n"))
            return name, {"input": "*** Begin Patch\n*** Add File: %s\n%s*** End Patch" % (path, body)}
        key = "file_path" if name == "Write" else ("filePath" if "edit" in names and "todowrite" in names else "path")
        return name, {key: path, "content": content}
    if verb == "READ":
        name = pick("Read", "read")
        key = "file_path" if name == "Read" else ("filePath" if "todowrite" in names else "path")
        return name, {key: rest}
    if verb == "ASK":
        question, *options = rest.split("|")
        name = pick("AskUserQuestion", "question", "request_user_input", "ask_user")
        if name == "ask_user":  # Pi, with our gate's tool
            return name, {"question": question, "options": options}
        choices = [{"label": o, "description": o} for o in options or ["yes", "no"]]
        if name == "request_user_input":  # Codex: each question needs an id, and no other key is allowed
            return name, {"questions": [{"id": "choice", "header": "Choice", "question": question, "options": choices}]}
        return name, {"questions": [{"question": question, "header": "Choice", "multiSelect": False, "options": choices}]}
    raise ValueError(verb)


def text_of(content):
    if isinstance(content, str):
        return content
    return "\n".join(p.get("text", "") for p in content or [] if isinstance(p, dict))


def turns_anthropic(body):
    for m in body.get("messages", []):
        content = m["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for part in content:
            if part["type"] == "tool_result":
                yield "tool", text_of(part.get("content"))
            elif part["type"] == "text":
                # Claude Code tells its model of words that came in mid-turn in the system's name.
                steered = m["role"] == "system" and part["text"].startswith("The user sent a new message")
                yield "user" if steered else m["role"], part["text"]


def turns_chat(body):
    for m in body.get("messages", []):
        yield ("tool" if m["role"] == "tool" else m["role"]), text_of(m.get("content"))


def turns_responses(body):
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": items}]
    for item in items:
        kind = item.get("type", "message")
        if kind.endswith("_output"):
            yield "tool", str(item.get("output"))
        elif kind == "message":
            yield item.get("role"), text_of(item.get("content"))


def turns_gemini(body):
    for m in body.get("contents", []):
        for part in m.get("parts", []):
            if "functionResponse" in part:
                yield "tool", json.dumps(part["functionResponse"].get("response"))
            elif "text" in part:
                yield ("assistant" if m.get("role") == "model" else "user"), part["text"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def json(self, status, body, headers={}):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_HEAD(self):
        self.json(200, {})

    def do_GET(self):
        if self.path == "/holds":
            with HOLDS:
                return self.json(200, {"waiting": {k: v for k, v in WAITING.items() if v}, "released": sorted(RELEASED)})
        log("get", path=self.path)
        if self.path.startswith("/v1/models"):
            models = ["scripted", "claude-sonnet-4-5", "gpt-5"]
            return self.json(200, {"object": "list", "data": [{"id": m, "object": "model", "type": "model", "display_name": m} for m in models]})
        self.json(200, {"ok": True})

    def start(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, name, data):
        head = "event: %s\n" % name if name else ""
        self.wfile.write((head + "data: " + (data if isinstance(data, str) else json.dumps(data)) + "\n\n").encode())
        self.wfile.flush()

    def comment(self):
        self.wfile.write(b": still here\n\n")
        self.wfile.flush()

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "zstd":
            import zstandard
            raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        elif self.headers.get("content-encoding") == "gzip":
            import gzip
            raw = gzip.decompress(raw)
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self.json(400, {"error": {"message": "not JSON"}})
        path = self.path.split("?")[0].rstrip("/")
        if path.startswith("/release/"):
            with HOLDS:
                RELEASED.add(path[len("/release/"):])
                HOLDS.notify_all()
            return self.json(200, {"ok": True})
        if path.endswith("/count_tokens"):
            return self.json(200, {"input_tokens": 10})
        for suffix, turns, answer in (("/messages", turns_anthropic, self.say_anthropic),
                                      ("/chat/completions", turns_chat, self.say_chat),
                                      ("/responses", turns_responses, self.say_responses)):
            if path.endswith(suffix):
                history = list(turns(body))
                steps = plan(history)
                names = [t.get("name") or t.get("function", {}).get("name") or t.get("type", "") for t in body.get("tools") or []]
                if BODIES:
                    with LOCK:
                        BODIES.write(json.dumps({"at": time.time(), "path": path, "body": body}) + "\n")
                        BODIES.flush()
                log("request", path=path, model=body.get("model"), steps=steps, tools=names, turns=len(history), images=len(re.findall(rb'"type": ?"(?:image|image_url|input_image)"', raw)), auth=bool(self.headers.get("authorization") or self.headers.get("x-api-key")))
                fail = next((r for v, r in steps if v == "FAIL"), None)
                flaky = next((r.split() for v, r in steps if v == "FLAKY"), None)
                if any("{plan}" in rest for _, rest in steps):
                    told = re.findall(rb'/[^\s"\\\\]+/plans/[^\s"\\\\]+\.md', raw)
                    steps = [(v, r.replace("{plan}", told[-1].decode() if told else "/no-plan-file-was-told")) for v, r in steps]
                steps = [s for s in steps if s[0] != "FLAKY" and (s[0] not in CHAT_ONLY or answer == self.say_chat)]
                headers = {}
                if flaky and times("FLAKY " + flaky[0]) <= int(flaky[1]):
                    fail = flaky[2]
                    headers = {"retry-after": flaky[3]} if flaky[3:] else {}
                if fail:
                    status, _, message = fail.partition(" ")
                    error = {"type": "api_error", "message": message or "scripted failure %s" % status}
                    return self.json(int(status), {"type": "error", "error": error}, headers)
                try:
                    return answer(body, steps, names)
                except (BrokenPipeError, ConnectionResetError):
                    log("client_gone", path=path)
                    self.close_connection = True
                    return
        if path.endswith(":countTokens"):
            return self.json(200, {"totalTokens": 10})
        if path.endswith((":streamGenerateContent", ":generateContent")):
            history = list(turns_gemini(body))
            steps = plan(history)
            names = [f.get("name", "") for t in body.get("tools") or [] for f in t.get("functionDeclarations") or []]
            log("request", path=path, model=path.rpartition("/")[2].partition(":")[0], steps=steps, tools=names, turns=len(history), images=raw.count(b'"inlineData"'))
            fail = next((r for v, r in steps if v == "FAIL"), None)
            if fail:
                status = int(fail.split()[0])
                return self.json(status, {"error": {"code": status, "status": "INTERNAL", "message": "scripted failure %d" % status}})
            try:
                return self.say_gemini(path, body, steps, names)
            except (BrokenPipeError, ConnectionResetError):
                log("client_gone", path=path)
                self.close_connection = True
                return
        log("unknown", path=self.path)
        self.json(200, {"ok": True})

    def deltas(self, verb, rest):
        if verb == "STREAM":
            count, _, word = rest.partition(" ")
            for _ in range(int(count)):
                yield (word or "word") + " "
        else:
            for piece in re.findall(r"\S+\s*|\s+", rest) or [""]:
                yield piece

    def cut(self, name=""):
        if name and times("DROP " + name) > 1:
            return
        self.wfile.flush()
        self.connection.shutdown(2)
        raise BrokenPipeError

    # -- Anthropic Messages ------------------------------------------------------------------
    def say_anthropic(self, body, steps, names):
        ident = "msg_" + uuid.uuid4().hex[:20]
        usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        if not body.get("stream"):
            content = []
            for verb, rest in steps:
                if verb in ("SAY", "STREAM"):
                    content.append({"type": "text", "text": "".join(self.deltas(verb, rest))})
                elif verb in TOOLS:
                    name, args = tool_call(verb, rest, names)
                    content.append({"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:20], "name": name, "input": args})
            stop = "tool_use" if content and content[-1]["type"] == "tool_use" else "end_turn"
            return self.json(200, {"id": ident, "type": "message", "role": "assistant", "model": body.get("model"), "content": content,
                                   "stop_reason": stop, "stop_sequence": None, "usage": {**usage, "output_tokens": 20}})
        self.start()
        self.event("message_start", {"type": "message_start", "message": {"id": ident, "type": "message", "role": "assistant", "model": body.get("model"),
                   "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}})
        index, stop = 0, "end_turn"
        for verb, rest in steps:
            if verb == "SLEEP":
                deadline = time.time() + float(rest or 1)
                while time.time() < deadline:
                    time.sleep(min(1, max(0, deadline - time.time())))
                    self.event("ping", {"type": "ping"})
                continue
            if verb == "HOLD":
                hold(rest, lambda: self.event("ping", {"type": "ping"}))
                continue
            if verb == "DROP":
                self.cut(rest)
                continue
            if verb in ("SAY", "STREAM", "THINK"):
                think = verb == "THINK"
                block = {"type": "thinking", "thinking": "", "signature": ""} if think else {"type": "text", "text": ""}
                self.event("content_block_start", {"type": "content_block_start", "index": index, "content_block": block})
                for piece in self.deltas(verb, rest):
                    delta = {"type": "thinking_delta", "thinking": piece} if think else {"type": "text_delta", "text": piece}
                    self.event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
                if think:
                    self.event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": {"type": "signature_delta", "signature": "c2NyaXB0ZWQ="}})
            else:
                name, args = tool_call(verb, rest, names)
                self.event("content_block_start", {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:20], "name": name, "input": {}}})
                self.event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": json.dumps(args)}})
                stop = "tool_use"
            self.event("content_block_stop", {"type": "content_block_stop", "index": index})
            index += 1
        self.event("message_delta", {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 20}})
        self.event("message_stop", {"type": "message_stop"})

    # -- OpenAI Chat Completions -------------------------------------------------------------
    def say_chat(self, body, steps, names):
        ident, model = "chatcmpl-" + uuid.uuid4().hex[:20], body.get("model")
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        if not body.get("stream"):
            message, finish = {"role": "assistant", "content": ""}, "stop"
            for verb, rest in steps:
                if verb in ("SAY", "STREAM"):
                    message["content"] += "".join(self.deltas(verb, rest))
                elif verb in TOOLS:
                    name, args = tool_call(verb, rest, names)
                    message["tool_calls"] = [{"id": "call_" + uuid.uuid4().hex[:20], "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}]
                    finish = "tool_calls"
            return self.json(200, {"id": ident, "object": "chat.completion", "created": int(time.time()), "model": model, "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})
        self.start()

        def chunk(delta, finish=None, **more):
            self.event(None, {"id": ident, "object": "chat.completion.chunk", "created": int(time.time()), "model": model,
                              "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})
        chunk({"role": "assistant", "content": ""})
        finish, calls, size = "stop", 0, 0
        for verb, rest in steps:
            if verb == "SLEEP":
                time.sleep(float(rest or 1))
            elif verb == "HOLD":
                hold(rest, self.comment)
            elif verb == "PIECES":
                size = int(rest)
            elif verb == "REASON":
                field, _, text = rest.partition(" ")
                for piece in self.deltas("SAY", text):
                    chunk({field: piece})
            elif verb == "DROP":
                self.cut(rest)
            elif verb == "THINK":
                chunk({"reasoning_content": rest})
            elif verb in ("SAY", "STREAM"):
                for piece in self.deltas(verb, rest):
                    chunk({"content": piece})
            else:
                name, args = tool_call(verb, rest, names)
                text = json.dumps(args)
                first = 0 if size else len(text)
                chunk({"tool_calls": [{"index": calls, "id": "call_" + uuid.uuid4().hex[:20], "type": "function", "function": {"name": name, "arguments": text[:first]}}]})
                for at in range(first, len(text), size or 1):
                    chunk({"tool_calls": [{"index": calls, "function": {"arguments": text[at:at + size]}}]})
                calls += 1
                finish = "tool_calls"
        chunk({}, finish, usage=usage)
        self.event(None, "[DONE]")

    # -- OpenAI Responses --------------------------------------------------------------------
    def say_responses(self, body, steps, names):
        ident = "resp_" + uuid.uuid4().hex[:20]
        freeform = {t.get("name") for t in body.get("tools") or [] if t.get("type") == "custom"}
        extra = [t for i in body.get("input") or [] if isinstance(i, dict) and i.get("type") == "additional_tools" for t in i.get("tools") or []]
        code = next((s for s in extra if any(t.get("name") == "exec" for t in s.get("tools") or [])), None)
        if code and not names:  # Codex's newer models call every tool from JavaScript, given to one tool `exec`
            names = ["exec_command", "apply_patch", "request_user_input"]
        if not names:  # a request without tools (Codex's side requests, such as predictions): only speak
            steps = [step for step in steps if step[0] not in TOOLS] or [("SAY", "done")]
        self.start()
        self.event("response.created", {"type": "response.created", "response": {"id": ident, "object": "response", "status": "in_progress", "model": body.get("model"), "output": []}})
        output = []
        for verb, rest in steps:
            index = len(output)
            if verb == "SLEEP":
                time.sleep(float(rest or 1))
                continue
            if verb == "HOLD":
                hold(rest)
                continue
            if verb == "DROP":
                self.cut(rest)
                continue
            if verb == "THINK":
                item = {"type": "reasoning", "id": "rs_" + uuid.uuid4().hex[:20], "summary": [{"type": "summary_text", "text": rest}], "encrypted_content": None}
                self.event("response.output_item.added", {"type": "response.output_item.added", "output_index": index, "item": {**item, "summary": []}})
                self.event("response.reasoning_summary_text.delta", {"type": "response.reasoning_summary_text.delta", "item_id": item["id"], "output_index": index, "summary_index": 0, "delta": rest})
            elif verb in ("SAY", "STREAM"):
                ident_m, text = "msg_" + uuid.uuid4().hex[:20], ""
                self.event("response.output_item.added", {"type": "response.output_item.added", "output_index": index, "item": {"type": "message", "id": ident_m, "role": "assistant", "status": "in_progress", "content": []}})
                self.event("response.content_part.added", {"type": "response.content_part.added", "item_id": ident_m, "output_index": index, "content_index": 0, "part": {"type": "output_text", "text": ""}})
                for piece in self.deltas(verb, rest):
                    text += piece
                    self.event("response.output_text.delta", {"type": "response.output_text.delta", "item_id": ident_m, "output_index": index, "content_index": 0, "delta": piece})
                self.event("response.output_text.done", {"type": "response.output_text.done", "item_id": ident_m, "output_index": index, "content_index": 0, "text": text})
                item = {"type": "message", "id": ident_m, "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]}
            else:
                name, args = tool_call(verb, rest, names)
                call = "call_" + uuid.uuid4().hex[:20]
                if code and not any(t.get("name") == name and t.get("type") == "function" for t in code["tools"]):
                    given = args["input"] if name == "apply_patch" else args
                    script = "text(JSON.stringify(await tools.%s(%s)))" % (name.replace("::", "__"), json.dumps(given))
                    item = {"type": "custom_tool_call", "id": "ctc_" + uuid.uuid4().hex[:20], "call_id": call, "namespace": code["name"], "name": "exec", "input": script, "status": "completed"}
                elif name in freeform:
                    item = {"type": "custom_tool_call", "id": "ctc_" + uuid.uuid4().hex[:20], "call_id": call, "name": name, "input": args.get("input", json.dumps(args)), "status": "completed"}
                else:
                    item = {"type": "function_call", "id": "fc_" + uuid.uuid4().hex[:20], "call_id": call, "name": name, "arguments": json.dumps(args), "status": "completed"}
                    if code:
                        item["namespace"] = code["name"]
                    if "::" in name:  # Codex keeps MCP tools in namespaces: TOOL mcp__server::tool {...}
                        item["namespace"], _, item["name"] = name.partition("::")
                self.event("response.output_item.added", {"type": "response.output_item.added", "output_index": index, "item": item})
            output.append(item)
            self.event("response.output_item.done", {"type": "response.output_item.done", "output_index": index, "item": item})
        usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120}
        self.event("response.completed", {"type": "response.completed", "response": {"id": ident, "object": "response", "status": "completed", "model": body.get("model"), "output": output, "usage": usage}})

    # -- Gemini generateContent --------------------------------------------------------------
    def say_gemini(self, path, body, steps, names):
        usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}

        def answer(parts, finish=None):
            one = {"content": {"role": "model", "parts": parts}, "index": 0}
            return {"candidates": [{**one, **({"finishReason": finish} if finish else {})}], "usageMetadata": usage, "modelVersion": "scripted"}

        def part_of(verb, rest):
            if verb in GEMINI_TOOLS:
                name, make = GEMINI_TOOLS[verb]
                return {"functionCall": {"name": name, "args": make(rest)}}
            name, args = tool_call(verb, rest, names)
            return {"functionCall": {"name": name, "args": args}}
        if path.endswith(":generateContent"):
            schema = json.dumps(body.get("generationConfig", {}).get("responseJsonSchema") or body.get("generationConfig", {}).get("responseSchema") or {})
            if "model_choice" in schema:
                text = json.dumps({"reasoning": "scripted", "model_choice": "flash"})
            elif "complexity_score" in schema:
                text = json.dumps({"complexity_reasoning": "scripted", "complexity_score": 10})
            else:
                text = "".join("".join(self.deltas(v, r)) for v, r in steps if v in ("SAY", "STREAM")) or "{}"
            return self.json(200, answer([{"text": text}], "STOP"))
        self.start()
        for verb, rest in steps:
            if verb == "SLEEP":
                time.sleep(float(rest or 1))
            elif verb == "HOLD":
                hold(rest)
            elif verb == "DROP":
                self.cut(rest)
            elif verb == "THINK":
                self.event(None, answer([{"text": rest, "thought": True}]))
            elif verb in ("SAY", "STREAM"):
                for piece in self.deltas(verb, rest):
                    self.event(None, answer([{"text": piece}]))
            else:
                self.event(None, answer([part_of(verb, rest)]))
        self.event(None, answer([{"text": ""}], "STOP"))


GEMINI_TOOLS = {"SHELL": ("run_shell_command", lambda r: {"command": r, "description": "scripted"}),
                "WRITE": ("write_file", lambda r: {"file_path": r.partition(" ")[0], "content": r.partition(" ")[2]}),
                "READ": ("read_file", lambda r: {"file_path": r})}


def main():
    global LOG, BODIES
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, default=0)
    args.add_argument("--log")
    args.add_argument("--bodies", help="also append every request body, one JSON line each, to this file")
    args = args.parse_args()
    if args.log:
        LOG = open(args.log, "a")
    if args.bodies:
        BODIES = open(args.bodies, "a")
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
