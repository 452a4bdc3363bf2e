# SPDX-License-Identifier: Apache-2.0
"""A daemon for api.py, and connections to it that say exactly what they are told to."""
import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402
import api_rows as rows  # noqa: E402

BIN, WORK = os.environ["BIN"], os.environ["WORK"]
M = "/api/v1/messages"
NOBODY = "ab" * 32  # a key that nobody has: messages to it stay on their way
cors = []  # headers that must not be there


class Node:
    """A daemon; its log in WORK/name.log."""

    ports = iter(range(18001, 18100))

    def __init__(self, name, *options, addr="127.0.0.1", state=None, port=None, wait=True):
        self.name, self.port, self.options, self.addr = name, port or next(self.ports), options, addr
        self.state = state or f"{WORK}/{name}.state"
        self.start(wait)

    def start(self, wait=True):
        self.log = open(f"{WORK}/{self.name}.log", "ab")
        self.process = subprocess.Popen(
            [f"{BIN}/controld", "-k", f"{WORK}/{self.name}.key", "--run-dir", f"{WORK}/{self.name}.run", "--state-dir", self.state,
             "--no-tun", "--listen", "none", "--disable-peer-discovery", "--api-addr", f"{self.addr}:{self.port}", *self.options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        atexit.register(self.process.kill)
        if wait:
            api.until(self.answers, 30, f"{self.name} answers")
            self.key = self.text().split("Pubkey: ")[-1][:64]

    def answers(self):
        try:
            return ask(self, "GET /livez HTTP/1.1\r\n{H}\r\n").status in (200, 401)
        except OSError:
            return False

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(30)
        self.log.close()
        return code

    def text(self):
        with open(f"{WORK}/{self.name}.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def resident(self):
        """KiB; 0 under a sanitizer, which gives nothing back."""
        with open(f"/proc/{self.process.pid}/maps", encoding="ascii") as f:
            if "libasan" in f.read():
                return 0
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Reply:
    def __init__(self, head, body):
        self.lines = head.decode("latin-1").split("\r\n")
        self.status, self.body = int(self.lines[0].split(" ")[1]), body
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in self.lines[1:])}
        cors.extend(k for k in self.headers if k.startswith("access-control-"))


class Conn:
    """One connection that says exactly what it is told to."""

    def __init__(self, node, source="127.0.0.1", host="127.0.0.1", small=False):
        self.s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if small:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(60)
        if ":" not in host:
            self.s.bind((source, 0))
        self.s.connect((host, node.port))
        self.data = b""

    def send(self, data):
        """The node may have hung up already: then what it said counts."""
        try:
            self.s.sendall(data)
        except OSError:
            pass
        return self

    def more(self):
        try:
            got = self.s.recv(1 << 16)
        except ConnectionResetError:
            got = b""
        self.data += got
        return got

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise EOFError(f"closed after {self.data[:200]!r}")
        head, self.data = self.data.split(mark, 1)
        return head

    def take(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError(f"closed after {len(self.data)} of {n} bytes")
        body, self.data = self.data[:n], self.data[n:]
        return body

    def reply(self, method="GET"):
        head = Reply(self.until(b"\r\n\r\n"), b"")
        if method == "HEAD" or head.status < 200 or head.status == 204:
            return head
        if head.headers.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                head.body += self.take(size)
                self.take(2)
            self.take(2)
        else:
            head.body = self.take(int(head.headers["content-length"]))
        return head

    def rest(self):
        while self.more():
            pass
        return self.data

    def cut(self, reset=False):
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


def letter(node=None, payload=b"", **more):
    return json.dumps({"dst": {"pk": node.key if node else NOBODY}, "payload": api.b64(payload), **more}, separators=(",", ":"))


def fill(text, node, body=""):
    """The bytes that a row of a table means."""
    port = node.port
    names = {"{H}": "Host: localhost:{P}\r\n", "{A}": "Authorization: Bearer {T}", "{T}": rows.TOKEN, "{N}": str(len(body)),
             "{X}": f"{len(body):x}", "{P}": str(port), "{Q}": str(port + 1), "{W}": str(port + 65536), "{B}": body}
    for name, value in names.items():
        text = text.replace(name, value)
    return text.encode()


def ask(node, text, body="", method="GET", **how):
    with Conn(node, **how) as c:
        return c.send(fill(text, node, body)).reply(method)


def request(node, method, path, body=None, lines="", **how):
    if isinstance(body, str):
        body = body.encode()
    head = f"{method} {path} HTTP/1.1\r\n{{H}}{lines}"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with Conn(node, **how) as c:
        return c.send(fill(head + "\r\n", node) + (body or b"")).reply(method)


def expect(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, expected {want!r}")


def post(node, body, want=201, path=M, **how):
    r = request(node, "POST", path, body, **how)
    expect((r.status, r.body[:200] if r.status != want else b""), (want, b""))
    return json.loads(r.body)["id"] if want in (200, 201, 408) else r


def nothing_came(node, lines=""):
    """Messages come in order: so there was none before this one."""
    r = request(node, "POST", M, letter(node), lines)
    got = request(node, "GET", M + "?timeout=20", lines=lines)
    expect(got.body and json.loads(got.body)["id"], json.loads(r.body)["id"])
    expect(request(node, "GET", M, lines=lines).status, 204)


UPGRADE = ("GET /api/v1/messages/stream HTTP/1.1\r\n{L}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{S}\r\n")
PROTOCOL = "Sec-WebSocket-Protocol: mycelium.msg.v1+json\r\n"
