"""The gateway of the Discord for tests: WebSocket frames, sessions, what is told and told again."""

import base64
import hashlib
import json
import struct
import threading

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
INTENTS = {"guilds": 1 << 0, "messages": 1 << 9, "reactions": 1 << 10, "direct": 1 << 12, "content": 1 << 15}


class Socket:
    """One connection."""

    def __init__(self, handler):
        self.rfile, self.raw = handler.rfile, handler.connection
        self.lock, self.session, self.open = threading.Lock(), None, True

    def send(self, payload):
        data = json.dumps(payload).encode()
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x81, size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x81, 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 127, size)
        self.frame(head + data)

    def frame(self, data):
        with self.lock:
            try:
                self.raw.sendall(data)
            except OSError:
                self.open = False

    def close(self, code):
        self.frame(struct.pack("!BBH", 0x88, 2, code))

    def cut(self):
        self.open = False
        try:
            self.raw.shutdown(2)
        except OSError:
            pass

    def read(self):
        """The next text, or None at the end."""
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return None
            code, size = head[0] & 15, head[1] & 127
            if size == 126:
                size = struct.unpack("!H", self.rfile.read(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.rfile.read(8))[0]
            mask = self.rfile.read(4) if head[1] & 128 else b"\0\0\0\0"
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size)))
            if code == 8:
                return None
            if code == 9:
                self.frame(struct.pack("!BB", 0x8A, len(data)) + data)
            if code == 1:
                return json.loads(data)


class Gateway:
    """All sessions of one bot."""

    def __init__(self, token, ready, rule):
        self.token, self.ready, self.rule = token, ready, rule
        self.sessions, self.sockets, self.log = {}, [], []
        self.may_read = True
        self.lock = threading.RLock()

    def serve(self, handler, port):
        key = handler.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
        handler.wfile.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        handler.wfile.flush()
        handler.close_connection = True
        socket = Socket(handler)
        self.sockets.append(socket)
        socket.send({"op": 10, "s": None, "t": None, "d": {"heartbeat_interval": 5000}})
        try:
            while socket.open:
                said = socket.read()
                if said is None:
                    break
                self.heard(socket, said, port)
        except OSError:
            pass
        self.sockets.remove(socket)

    def heard(self, socket, said, port):
        op, d = said.get("op"), said.get("d")
        with self.lock:
            if op == 1:
                socket.send({"op": 11})
            elif op == 2:
                self.identify(socket, d, port)
            elif op == 6:
                self.resume(socket, d)
            else:
                self.rule(f"an opcode {op}")
                socket.close(4001)

    def identify(self, socket, d, port):
        self.log.append("identify")
        if d["token"].removeprefix("Bot ") != self.token:
            return socket.close(4004)
        wanted = d["intents"]
        if wanted & INTENTS["content"] and not self.may_read:
            return socket.close(4014)
        for name, bit in INTENTS.items():
            if not wanted & bit:
                self.rule(f"no intent for {name}")
        session = {"id": f"s{len(self.sessions) + 1}", "events": [], "seq": 0, "socket": socket}
        self.sessions[session["id"]] = session
        socket.session = session
        url = f"ws://127.0.0.1:{port}/gateway"
        self.tell_one(session, "READY", {**self.ready, "session_id": session["id"], "resume_gateway_url": url})

    def resume(self, socket, d):
        session = self.sessions.get(d["session_id"])
        if session is None or d["seq"] > session["seq"]:
            self.log.append("refused resume")
            return socket.send({"op": 9, "s": None, "t": None, "d": False})
        self.log.append("resume")
        session["socket"], socket.session = socket, session
        for event in session["events"]:
            if event["s"] > d["seq"]:
                socket.send(event)
        self.tell_one(session, "RESUMED", {})

    def tell_one(self, session, kind, d):
        session["seq"] += 1
        event = {"op": 0, "s": session["seq"], "t": kind, "d": d}
        if kind != "RESUMED":
            session["events"].append(event)
        session["socket"].send(event)

    def tell(self, kind, d):
        with self.lock:
            for session in self.sessions.values():
                self.tell_one(session, kind, d)

    def forget(self):
        """No session can be gone on with."""
        with self.lock:
            self.sessions.clear()

    def all(self, what):
        for socket in list(self.sockets):
            what(socket)
