# SPDX-License-Identifier: Apache-2.0
"""For the session scenarios: nodes in the namespaces that the script made, peers of session_peer.py that dial them over their
loopback interface, and datagrams that are counted where they come out.

BIN, WORK and RUN (the prefix of the namespaces' names) come from the environment.
"""
import collections
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402
import peer200 as p  # noqa: E402
import session_peer as s  # noqa: E402

BIN, WORK, RUN = (os.environ[x] for x in ("BIN", "WORK", "RUN"))
PORT, UNHEARD, SO_RCVBUFFORCE = 7000, 7999, 33
SAMPLE = re.compile(r'^mycelium_(\w+?)(?:_total)?(?:\{(?:reason|state)="(\w+)"\})? (\d+)$', re.M)
PREFIX = {"dropped_packets": "drop_", "session_refused": "refused_", "sessions": "sessions_"}


def space(host):
    return f"/run/netns/{RUN}-{host}"


def inside(host):
    """Sockets made in this block belong to that host."""
    return api.namespace(space(host))


def run(host, *words, timeout=60):
    """A command on a host; what it printed, and its exit code."""
    r = subprocess.run(["nsenter", f"--net={space(host)}", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return r.stdout.decode(errors="replace"), r.returncode


def ping(host, address, *options, wait=2):
    """What ping prints for one packet; it ends with the answer, an error, or after so many seconds."""
    return run(host, "ping", "-6", "-n", "-c", "1", "-W", str(wait), *options, p.show(p.addr(address)))


def pings(host, address, wait=2):
    return ping(host, address, wait=wait)[1] == 0


def heard(peer, address, seconds=20):
    """A ping of the peer is answered: of several, for what was just asked of a node reaches its fastpath a little later."""
    def answered():
        try:
            return peer.ping(address, 0.5)
        except p.Timeout:
            return False
    return api.until(answered, seconds, "an answer")


class Tap(api.Tap):
    """Strict: what a check returns must be true. Says where the time goes."""

    last = time.monotonic()

    def check(self, what, function):
        def strict():
            value = function()
            if not value:
                raise AssertionError(f"got {value!r}")
        super().check(what, strict)
        took, self.last = time.monotonic() - self.last, time.monotonic()
        if took > 1:
            print(f"# {took:.1f} s", flush=True)

    def equal(self, what, got, want):
        def compare():
            if got != want:
                raise AssertionError(f"got {got!r}, expected {want!r}")
            return True
        self.check(what, compare)


class Node:
    """A node of ours on a host; key, state and log in WORK/host."""

    def __init__(self, host, *options, start=True, program="controld"):
        self.host, self.options, self.process, self.dir = host, options, None, f"{WORK}/{host}"
        self.program = f"{BIN}/{program}"
        self.api = api.Api(space(host))
        if start:
            self.start()

    def start(self, *options):
        """options: others than before."""
        self.options = options or self.options
        with open(f"{self.dir}/log", "ab") as log, open(f"{self.dir}/out", "ab") as out:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={space(self.host)}", self.program, "-k", f"{self.dir}/key", "--run-dir", f"{self.dir}/run",
                 "--state-dir", f"{self.dir}/state", "--disable-peer-discovery", *self.options], stdin=subprocess.DEVNULL, stdout=out,
                stderr=log)
        api.until(self.answers, 30, f"{self.host} answers")
        self.key = bytes.fromhex(self.api.get("/api/v1/admin").json()["nodePubkey"])
        self.address = p.address_of(self.key)
        self.text = p.show(self.address)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"controld of {self.host} ended with {self.process.returncode}: {self.log()[-300:]}")
        try:
            return self.api.get("/readyz").status == 200
        except OSError:
            self.api.close()
            return False

    def stop(self, how=signal.SIGTERM):
        self.api.close()
        self.process.send_signal(how)
        return self.process.wait(30)

    def fastpath(self):
        """Its pid; None: there is none just now."""
        for pid in run(self.host, "ip", "netns", "pids", f"{RUN}-{self.host}")[0].split():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == "fastpath":
                    return int(pid)
        return None

    def kill_fastpath(self):
        """And waits for the next one."""
        old = self.fastpath()
        os.kill(old, signal.SIGKILL)
        api.until(lambda: self.fastpath() not in (None, old) and self.answers(), 20, f"a new fastpath of {self.host}")

    def kill_both(self, *options):
        """And starts it again."""
        fast = self.fastpath()
        self.stop(signal.SIGKILL)
        os.kill(fast, signal.SIGKILL)
        return self.start(*options)

    def log(self):
        with open(f"{self.dir}/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def logged(self, pattern, since=0):
        return len(re.findall(pattern, self.log()[since:], re.M))

    def counts(self):
        """name -> value: those of the packet path by their names, what the session core refused as refused_REASON."""
        found = collections.Counter()
        for name, label, value in SAMPLE.findall(self.api.get("/metrics").body.decode()):
            found[PREFIX.get(name, name + "_") + label if label else name] += int(value)
        return found

    def unwanted(self):
        """How many packets went no further, or were refused, for whatever reason."""
        return sum(n for name, n in self.counts().items() if name.startswith(("drop_", "refused_")))

    def static(self):
        """Packets sealed and opened under static keys."""
        c = self.counts()
        return c["sealed"] - c["session_sealed"], c["opened"] - c["session_opened"]

    def sessions(self):
        return {x["address"]: x for x in self.api.get("/api/v1/admin/sessions").json()}

    def session(self, address):
        """Its element of the list; {}: not in it."""
        return self.sessions().get(p.show(p.addr(address)), {})

    def wait_session(self, address, seconds=20, **members):
        """Until the element has these members; it."""
        last = {}

        def fits():
            last.clear()
            last.update(self.session(address))
            return last and all(last.get(k) == v for k, v in members.items()) and dict(last)
        try:
            return api.until(fits, seconds, f"{members} at {self.host}")
        except TimeoutError as e:
            raise TimeoutError(f"{e}; it is {last}") from None

    def is_same(self, address, before, renewed=True):
        """The session of this element still lives; renewed: it may have another key by now. Its beginning is told in whole seconds,
        of two clocks."""
        now = self.session(address)
        return now["state"] == "session" and now["pinned"] and abs(now["since"] - before["since"]) <= 1 and (
            renewed or now["keyAgeSeconds"] >= before["keyAgeSeconds"])

    def wait_settled(self, address, seconds=20):
        """In a session, and no handshake under way."""
        return self.wait_session(address, seconds, state="session", pinned=True, handshake=False)

    def knows(self, address):
        return self.api.get(f"/api/v1/pubkey/{p.show(p.addr(address))}").status == 200

    def command(self, *words):
        return run(self.host, f"{BIN}/controld", *words, timeout=120)


def join(node, kind=s.SessionPeer, **switches):
    """A fresh peer with a connection to the node; each knows the other."""
    peer = kind(p.Identity.generate(), **switches)
    with inside(node.host):
        peer.connect("127.0.0.1")
    peer.wait_key(node.address)
    peer.announce_now()
    api.until(lambda: node.knows(peer.id.address), 20, "the node knows the peer")
    return peer


def udp(src, dst, payload, port=PORT, sport=6999):
    """An IPv6 packet with one datagram."""
    length = 8 + len(payload)
    covered = src + dst + struct.pack(">IIHHHH", length, 17, sport, port, length, 0) + payload
    covered += b"\0" * (len(covered) & 1)
    total = sum(struct.unpack(f">{len(covered) // 2}H", covered))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return p.ipv6(src, dst, 17, 64, struct.pack(">HHHH", sport, port, length, (0xFFFF ^ total) or 0xFFFF) + payload)


class Sink:
    """Counts the datagrams that reach a host, by their payload."""

    def __init__(self, host, port=PORT):
        with inside(host):
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind(("::", port))
        self.got, self.total = collections.Counter(), 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            payload = self.socket.recv(2048)
            self.got[payload] += 1
            self.total += 1

    def has(self, payload, seconds=20):
        return api.until(lambda: self.got[payload], seconds, f"the datagram {payload[:30]!r}")

    def repeated(self):
        return sum(n - 1 for n in self.got.values() if n > 1)


class Flow:
    """Numbered datagrams from host to host, so many a second, until end()."""

    numbers = iter(range(1, 1000))

    def __init__(self, source, target, sink, rate=500):
        with inside(source.host):
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.to, self.sink, self.rate, self.sent, self.stop = (target.text, PORT), sink, rate, 0, threading.Event()
        self.name = f"flow {next(self.numbers)} ".encode()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        start = time.monotonic()
        while not self.stop.is_set():
            due = int((time.monotonic() - start) * self.rate)
            while self.sent < due:
                with contextlib.suppress(OSError):                   # an ICMP error that came back
                    self.socket.sendto(self.name + b"%d" % self.sent, self.to)
                self.sent += 1
            self.stop.wait(1 / self.rate)

    def come(self):
        """How many came, each counted once."""
        return sum(self.name + b"%d" % n in self.sink.got for n in range(self.sent))

    def goes_on(self, seconds=20):
        """Datagrams sent from now on come."""
        since = self.sent
        return api.until(lambda: any(self.name + b"%d" % n in self.sink.got for n in range(since, self.sent)), seconds, "datagrams come")

    def go_on(self, count):
        """So many more are sent."""
        since = self.sent
        api.until(lambda: self.sent >= since + count, 60, "datagrams are sent")

    def end(self):
        """Ends it; how many were lost. A last one comes behind all others."""
        self.stop.set()
        self.thread.join()
        self.socket.sendto(self.name + b"end", self.to)
        self.sink.has(self.name + b"end")
        return self.sent - self.come()


def tap_end(tap, *nodes):
    """The last line of all: nobody died on the way."""
    for n in nodes:
        tap.equal(f"{n.host}: no process died", (n.process.poll(), n.logged(r"fastpath.*died|assert|Sanitizer")), (None, 0))
    tap.end()
