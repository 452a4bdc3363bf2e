# SPDX-License-Identifier: Apache-2.0
"""Figures of sessions: what they cost beside the static key, and what a flood of handshakes costs; called by bench.py."""
import json
import os
import sys

from lab import TOP, Lab, cpu_ns, memory_kb, wait_for

PEERS, EACH, RATE = 64, 60, 20000
SINK = """
import socket
s = socket.create_server(("0.0.0.0", 9)).accept()[0]
while s.recv(1 << 20):
    pass
"""


def pair(lab, *options):
    lab.host("a", "b")
    n = lab.wire("a", "b")
    lab.key("a")
    address = lab.key("b")
    b = lab.node("b", *options, "--state-dir", f"{lab.work}/b.state")
    a = lab.node("a", *options, "--state-dir", f"{lab.work}/a.state", "--peers", f"10.{n}.0.2:9651")
    wait_for(lambda: lab.pings("a", address), what="ping")
    return a, b, address


def in_session(lab, a, b, address):
    """A packet more each way goes in the session."""
    def both():
        had = [lab.counter(x, "session_opened") for x in (a, b)]
        return lab.pings("a", address) and all(lab.counter(x, "session_opened") > y for x, y in zip((a, b), had))
    wait_for(both, what="session")


def measure(say, iperf, udp, runs):
    rate, cost, pps, each = ({"off": [], "opportunistic": []} for _ in range(4))
    for _ in range(runs):
        for mode in rate:
            with Lab() as lab:
                a, b, address = pair(lab, "--session", mode)
                if mode != "off":
                    in_session(lab, a, b, address)
                pids = lab.pids(a) + lab.pids(b)
                before = cpu_ns(pids)
                gbits, count = iperf(lab, "a", "b", address)
                rate[mode].append(gbits)
                cost[mode].append((cpu_ns(pids) - before) / (count * 8 / 1e9) / 1e9)
                before = cpu_ns(pids)
                packets, speed = udp(lab, "a", "b", address)
                pps[mode].append(speed)
                each[mode].append((cpu_ns(pids) - before) / packets)
    for figure, values, target in (("tcp flow", rate, ">= 1"), ("tcp CPU per Gbit", cost, "<= 1"), ("64-byte UDP", pps, ">= 1"),
                                   ("64-byte UDP CPU per packet", each, "<= 1")):
        say(f"{figure}, session to static", [x / y for x, y in zip(values["opportunistic"], values["off"])], "ratio", target,
            seen={k: [round(x, 3) for x in v] for k, v in values.items()})


def measure_flood(say, iperf, runs):
    with Lab() as lab:
        a, b, address = pair(lab)
        lab.host("x")
        n = lab.wire("x", "b")
        in_session(lab, a, b, address)
        key = json.loads(lab.on("b", "curl -s http://127.0.0.1:8989/api/v1/admin"))["nodePubkey"]
        lab.command("b", [sys.executable, "-c", SINK])
        wait_for(lambda: ":9" in lab.on("b", "ss -4ltn sport = :9"), what="sink")
        flood = lab.command("x", [sys.executable, f"{TOP}/tests/bench/flood.py", f"10.{n}.0.2", "9651", "9", key, PEERS, EACH, RATE])
        assert flood.stdout.readline() == "ready\n"
        pids = lab.pids(b)
        resident = memory_kb(pids)
        gbits, frames = {"sink": [], "node": []}, []
        for target in ("sink", "node") * runs:
            sent = word(flood, "stop")
            flood.stdin.write(target + "\n")
            flood.stdin.flush()
            gbits[target].append(iperf(lab, "a", "b", address)[0])
            frames.append(word(flood, "stop") - sent)
        say("handshake flood, throughput of valid data to that while the same bytes go elsewhere",
            [x / y for x, y in zip(gbits["node"], gbits["sink"])], "ratio", ">= 0.95", frames_a_run=frames,
            gbits={k: [round(x, 2) for x in v] for k, v in gbits.items()},
            answered=lab.counter(b, "session_resps_sent"), dropped=lab.counter(b, "drop_handshake_rate"))
        say("handshake flood, more memory resident", (memory_kb(pids) - resident) / 1024, "MiB", "<= 8")


def word(flood, what):
    """Says it, and reads a number."""
    flood.stdin.write(what + "\n")
    flood.stdin.flush()
    return int(flood.stdout.readline())
