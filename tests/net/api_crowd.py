# SPDX-License-Identifier: Apache-2.0
"""Clients of api.py that come in crowds: slow ones, waiting ones, and those that only make trouble."""
import json
import os
import random
import select
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402
import api_rows as rows  # noqa: E402
from api_node import M, PROTOCOL, UPGRADE, Conn, ask, expect, fill, letter, nothing_came, post  # noqa: E402


class Loris(threading.Thread):
    """1,001 connections that say a byte now and then, from seven addresses; then silent ones from sixteen."""

    def __init__(self, node):
        super().__init__()
        self.node, self.held, self.refused, self.asked, self.full, self.fault = node, {}, 0, 0, [], None

    def alive(self):
        expect(ask(self.node, "GET /livez HTTP/1.1\r\n{H}\r\n").status, 200)
        self.asked += 1

    def crowd(self, addresses, each, first):
        conns = {}
        for a in range(addresses):
            for _ in range(each):
                c = Conn(self.node, source=f"127.0.{1 if first else 2}.{a + 1}").send(first)
                conns[c.s.fileno()] = (c, a)
        return conns

    def drip(self):
        conns = self.crowd(7, 143, b"GET /livez HTTP/1.1\r\nX-A: ")
        poll = select.poll()
        for fd in conns:
            poll.register(fd, select.POLLIN)
        while conns:
            self.alive()
            for fd, _ in poll.poll(20):
                c, a = conns[fd]
                if c.more():
                    continue
                poll.unregister(fd)
                del conns[fd]
                late = b" 408 " in c.data[:20]
                self.held[a] = self.held.get(a, 0) + late
                self.refused += not late
                c.cut()
            for c, _ in random.sample(list(conns.values()), len(conns) // 4):
                c.send(b"a")

    def fill_up(self):
        conns = self.crowd(16, 20, b"")
        poll = select.poll()
        for fd in conns:
            poll.register(fd, select.POLLIN)
        api.until(lambda: len(poll.poll(0)) >= 64, 20, "those above 256 are refused")
        self.full = [len(conns) - len(poll.poll(0))]
        r = ask(self.node, "GET /livez HTTP/1.1\r\n{H}\r\n")
        self.full += [r.status, r.headers["retry-after"]]
        for c, _ in conns.values():
            c.cut()
        api.until(self.node.answers, 20, "there is room again")

    def run(self):
        try:
            self.drip()
            self.fill_up()
        except Exception as e:  # told in the main thread
            self.fault = e

    def result(self):
        self.join(120)
        if self.fault:
            raise self.fault
        expect((sorted(self.held.values()), self.refused, self.asked > 10), ([32] * 7, 1001 - 224, True))
        expect(self.full, [256, 503, "1"])


def polls(node):
    """100 who wait, and two who gave up."""
    wait = fill("GET " + M + "?timeout=200 HTTP/1.1\r\n{H}\r\n", node)
    for reset in (False, True):
        Conn(node, source="127.0.0.9").send(wait).cut(reset)
    conns = [Conn(node, source=f"127.0.0.{i % 5 + 2}").send(wait) for i in range(100)]
    sent = {post(node, letter(node, b"%d" % i)) for i in range(100)}
    got = [json.loads(c.reply().body)["id"] for c in conns]
    expect((len(got), set(got)), (100, sent))
    assert all(c.data == b"" for c in conns)
    for c in conns:
        c.cut()
    nothing_came(node)


def nuisance(node, i):
    text = ["GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: 900000\r\n\r\n",
            "GET /livez HTTP/1.1\r\n{H}X-A: " + "a" * 9000, "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: 9999999\r\n\r\n",
            "GET " + M + "?timeout=20 HTTP/1.1\r\n{H}\r\n", UPGRADE.replace("{L}", "{H}").replace("{S}", PROTOCOL),
            "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: 20000\r\n\r\n" + "[" * 20000, "nonsense\r\n\r\n"][i % 8]
    with Conn(node, source=f"127.0.4.{i // 8 % 64 + 1}") as c:
        c.send(fill(text, node))
        if i % 8 == 1:
            c.send(b"{" * 100_000)
        if i % 8 not in (1, 4):
            c.until(b"\r\n")
        c.cut(reset=i % 16 >= 8)


def memory(node):
    for i in range(2000):
        nuisance(node, i)
    api.until(node.answers, 30)
    before = node.resident()
    for i in range(2000):
        nuisance(node, i)
    api.until(node.answers, 30)
    after = node.resident()
    assert after <= before + 1024, f"{before} KiB, then {after} KiB"
