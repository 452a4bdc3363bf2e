# SPDX-License-Identifier: Apache-2.0
"""Clients of a node's API for the tests, in whatever network namespace the node is: a socket made in it works from anywhere."""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import select
import socket
import time
import urllib.parse

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def namespace(path):
    """Sockets made in here belong to the network namespace of that path (None: our own). One thread at a time."""
    if path is None:
        yield
        return
    own, other = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(other, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if _libc.setns(own, CLONE_NEWNET):
                os.abort()
    finally:
        os.close(own)
        os.close(other)


def connect(ns, port=8989, host="127.0.0.1", timeout=60):
    with namespace(ns):
        return socket.create_connection((host, port), timeout)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Answer:
    def __init__(self, r):
        self.status, self.type, self.body, self.headers = r.status, r.getheader("Content-Type"), r.read(), r.headers

    def json(self):
        return json.loads(self.body)


class Api:
    """One keep-alive connection, made anew when it is gone."""

    def __init__(self, ns=None, port=8989, token=None, timeout=120):
        self.ns, self.port, self.token, self.timeout, self.c = ns, port, token, timeout, None

    def call(self, method, path, body=None, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        h = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body, h = json.dumps(body), {"Content-Type": "application/json", **h}
        if self.token:
            h.setdefault("Authorization", f"Bearer {self.token}")
        if self.c and select.select([self.c.sock], [], [], 0)[0]:
            self.close()  # the node has closed it: idle for too long
        if not self.c:
            self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self.c.sock = connect(self.ns, self.port, timeout=self.timeout)
        try:
            self.c.request(method, path, body, h)
            r = self.c.getresponse()
            answer = Answer(r)
        except (http.client.HTTPException, OSError):
            self.close()
            raise
        if r.will_close:
            self.close()
        return answer

    def close(self):
        if self.c:
            self.c.close()
        self.c = None

    def get(self, path, **query):
        return self.call("GET", path, **query)

    def send(self, dst, payload: bytes, topic: bytes | None = None, reply_to=None, extra=None, **query):
        body = {"dst": {"pk": dst} if len(dst) == 64 else {"ip": dst}, "payload": b64(payload), **(extra or {})}
        if topic is not None:
            body["topic"] = b64(topic)
        return self.call("POST", f"/api/v1/messages/reply/{reply_to}" if reply_to else "/api/v1/messages", body, **query)

    def receive(self, timeout=60, **query):
        return self.get("/api/v1/messages", timeout=timeout, **query)

    def status(self, id_):
        a = self.get(f"/api/v1/messages/status/{id_}")
        return a.json() if a.status == 200 else None


def until(test, seconds=60, what="a state"):
    """Polls test() until it is true; its value."""
    end = time.monotonic() + seconds
    while not (value := test()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)
    return value


class Tap:
    """Test lines; a check that raises is a failure."""

    def __init__(self, name):
        self.name, self.count, self.failed = name, 0, 0

    def check(self, what, function):
        self.count += 1
        try:
            result = function()
            good, why = (result is not False), ""
        except Exception as e:
            good, why = False, f"{type(e).__name__}: {e}"
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {self.name}: {what}", flush=True)
        for line in why.splitlines():
            print(f"# {line}", flush=True)

    def equal(self, what, got, want):
        def compare():
            if got != want:
                raise AssertionError(f"got {got!r}, expected {want!r}")
        self.check(what, compare)

    def end(self):
        print(f"1..{self.count}")
        raise SystemExit(1 if self.failed else 0)
