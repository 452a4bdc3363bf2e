# SPDX-License-Identifier: Apache-2.0
"""Figures of messages and of the API; called by bench.py. The client is apiload.c, one process beside the nodes."""
import json
import os
import statistics
import subprocess
import sys
import time

from lab import TOOLS, Lab, memory_kb, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402

OPTIONS = ["--inbox-messages", "1000000", "--inbox-bytes", "4G", "--api-max-body", "128M", "--max-message", "64M"]


def apiload(lab, host, *words):
    p = subprocess.run(["nsenter", f"--net=/run/netns/{lab.tag}{host}", f"{TOOLS}/apiload", *map(str, words)],
                       stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(p.stdout)


def empty(lab, host):
    """Takes everything out of the inbox."""
    a = api.Api(f"/run/netns/{lab.tag}{host}")
    while a.receive(0).status == 200:
        pass


def pair(lab):
    lab.host("a", "b")
    n = lab.wire("a", "b")
    lab.key("a"), lab.key("b")
    b = lab.node("b", *OPTIONS, "--state-dir", f"{lab.work}/b.state")
    a = lab.node("a", *OPTIONS, "--state-dir", f"{lab.work}/a.state", "--peers", f"10.{n}.0.2:9651")
    address = lab.key("b")
    wait_for(lambda: lab.pings("a", address), what="ping")
    return a, b, address


def measure(say, iperf, runs):
    livez, post, ratio, stream, drained, mega, large, tcp = [], [], [], [], [], [], [], []
    with Lab() as lab:
        _, b, address = pair(lab)
        for _ in range(runs):
            livez.append(apiload(lab, "a", "livez", 20000)["per_second"])
            drain = lab.start("b", [f"{TOOLS}/apiload", "drain", "5000", "64"])
            post.append(apiload(lab, "a", "post", 5000, 100, address)["per_second"])
            drain.wait(60)
            ratio.append(post[-1] / livez[-1])
            drain = lab.start("b", [f"{TOOLS}/apiload", "drain", "50000", "64"])
            stream.append(apiload(lab, "a", "stream", 50000, 100, 64, address)["per_second"])
            drained.append(json.loads(drain.communicate(timeout=60)[0])["per_second"])
            mega += [apiload(lab, "a", "post", 1, 1000000, address)["seconds"] * 1e3 for _ in range(5)]
            empty(lab, "b")
            tcp.append(iperf(lab, "a", "b", address)[0])
            large.append(64 * 2**20 * 8 / apiload(lab, "a", "post", 1, 64 * 2**20, address)["seconds"] / 1e9)
            empty(lab, "b")
    say("GET /livez, one keep-alive client", livez, "1/s")
    say("100-byte messages, one keep-alive HTTP client, sent to received", post, "1/s")
    say("the same to GET /livez", ratio, "ratio", ">= 0.5")
    say("100-byte messages, one WebSocket, 64 on their way, sent to received", stream, "1/s", ">= 15000", drained=statistics.median(drained))
    say("1 MB message, POST to received", mega, "ms", "<= 15")
    say("64 MiB message to TCP through the overlay", [x / y for x, y in zip(large, tcp)], "ratio", ">= 0.4", gbits=statistics.median(large))


def measure_waiting(say):
    with Lab() as lab:
        _, b, _ = pair(lab)
        controld = lab.pids(b)[:1]
        time.sleep(2)
        before = memory_kb(controld)
        count = 250
        p = lab.start("b", [f"{TOOLS}/apiload", "wait", str(count), "6"])
        p.stdout.readline()
        time.sleep(2)
        say("resident for each waiting client", (memory_kb(controld) - before) / count, "KiB", "<= 32")
        p.wait()
        slow = apiload(lab, "b", "loris", 1000, 10)
        say("GET /livez beside 1,000 slow-loris connections, p99", slow["p99_ms"], "ms", "< 20", p50=slow["p50_ms"], max=slow["max_ms"])
