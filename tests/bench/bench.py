#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed and cost of the node, beside the yardstick (ref.c) in the same run. One JSON line per figure; three runs, median.

    bench.py [FIGURE...]      tcp udp transit ping start failover idle routes size messages waiting
                              sessions flood; default: all
RUNS=n and SECONDS_EACH=s change the effort.
"""
import hashlib
import json
import os
import re
import socket
import statistics
import struct
import sys
import threading
import time

import bench_messages
import bench_sessions
from lab import BIN, Lab, build_tools, cpu_ns, memory_kb, sh, TOOLS, wait_for

RUNS = int(os.environ.get("RUNS", 3))
SECS = int(os.environ.get("SECONDS_EACH", 4))


def say(figure, values, unit, target=None, **more):
    values = values if isinstance(values, list) else [values]
    print(json.dumps({"figure": figure, "median": round(statistics.median(values), 4), "unit": unit,
                      "runs": [round(v, 4) for v in values], **({"target": target} if target else {}), **more}), flush=True)


def iperf(lab, a, b, address, secs=SECS):
    server = lab.start(b, ["iperf3", "-6", "-s", "-1", "-p", "5201"])
    wait_for(lambda: ":5201" in lab.on(b, "ss -6ltn"), what="iperf3")
    out = json.loads(lab.on(a, f"iperf3 -6 -c {address} -p 5201 -t {secs} -J", False))
    server.wait(10)
    return out["end"]["sum_received"]["bits_per_second"] / 1e9, out["end"]["sum_received"]["bytes"]


def udp(lab, a, b, address, size=64, secs=SECS, window=1024):
    sink = lab.start(b, [f"{TOOLS}/load", "sink", "7000", str(secs + 2)])
    wait_for(lambda: ":7000" in lab.on(b, "ss -6lun"), what="sink")
    lab.on(a, f"{TOOLS}/load send {address} 7000 {size} {secs} {window} 0")
    out = json.loads(sink.communicate()[0])
    return out["packets"], out["packets"] / out["seconds"]


def pair(lab):
    lab.host("a", "b")
    n = lab.wire("a", "b")
    addresses = lab.key("a"), lab.key("b")
    b = lab.node("b")
    a = lab.node("a", "--peers", f"10.{n}.0.2:9651")
    wait_for(lambda: lab.pings("a", addresses[1]), what="ping")
    return a, b, addresses[1], n


def both(lab):
    """Two nodes of ours and the yardstick between the same hosts: (pids, address) of each."""
    a, b, address, n = pair(lab)
    ref = lab.ref_pair("a", "b", n)
    return {"ours": (lab.pids(a) + lab.pids(b), address), "ref": ([p.pid for p in ref], "fd99::2")}


def measure_tcp(strict):
    wire = "strict" if strict else "veth"
    rate, cost = {"ours": [], "ref": []}, {"ours": [], "ref": []}
    with Lab(strict) as lab:
        for name, (pids, address) in list(both(lab).items()) * RUNS:
            before = cpu_ns(pids)
            gbits, count = iperf(lab, "a", "b", address)
            rate[name].append(gbits)
            cost[name].append((cpu_ns(pids) - before) / (count * 8 / 1e9) / 1e9)
    say(f"tcp flow, ours ({wire})", rate["ours"], "Gbit/s")
    say(f"tcp flow, ref ({wire})", rate["ref"], "Gbit/s")
    say(f"tcp flow, ours to ref ({wire})", [x / y for x, y in zip(rate["ours"], rate["ref"])], "ratio", ">= 0.80")
    say(f"tcp CPU per Gbit, ours to ref ({wire})", [x / y for x, y in zip(cost["ours"], cost["ref"])], "ratio", "<= 1.3",
        seconds_per_gbit={k: round(statistics.median(v), 3) for k, v in cost.items()})


def measure_udp(strict):
    wire = "strict" if strict else "veth"
    rate, cost = {"ours": [], "ref": []}, {"ours": [], "ref": []}
    with Lab(strict) as lab:
        for name, (pids, address) in list(both(lab).items()) * RUNS:
            before = cpu_ns(pids)
            packets, pps = udp(lab, "a", "b", address)
            rate[name].append(pps)
            cost[name].append((cpu_ns(pids) - before) / packets)
    say(f"64-byte UDP, ours ({wire})", rate["ours"], "packets/s")
    say(f"64-byte UDP, ref ({wire})", rate["ref"], "packets/s")
    say(f"64-byte UDP, ours to ref ({wire})", [x / y for x, y in zip(rate["ours"], rate["ref"])], "ratio", ">= 0.85")
    say(f"64-byte UDP CPU per packet, ours to ref ({wire})", [x / y for x, y in zip(cost["ours"], cost["ref"])], "ratio", "<= 1.4",
        ns_per_packet={k: round(statistics.median(v)) for k, v in cost.items()})


def measure_transit(strict):
    wire = "strict" if strict else "veth"
    full, small = [], []
    with Lab(strict) as lab:
        lab.host("a", "b", "c")
        lab.wire("a", "b")
        lab.wire("b", "c")
        lab.key("a")
        target = lab.key("c")
        b = lab.node("b")
        lab.node("a", "--peers", "10.1.0.2:9651")
        lab.node("c", "--peers", "10.2.0.1:9651")
        wait_for(lambda: lab.pings("a", target), what="ping")
        pids = lab.pids(b)
        for _ in range(RUNS):
            for load, into in ((iperf, full), (udp, small)):
                frames, before = lab.counter(b, "transit_frames"), cpu_ns(pids)
                load(lab, "a", "c", target)
                used = cpu_ns(pids) - before
                into.append(used / (lab.counter(b, "transit_frames") - frames))
    say(f"transit between two nodes, CPU of the middle node, full frames ({wire})", full, "ns/frame")
    say(f"transit between two nodes, CPU of the middle node, 64-byte packets, window 1024 ({wire})", small, "ns/frame")
    for size, target in ((1400, "<= 500"), (64, "<= 150")):
        ours, floor = zip(*(bulk(strict, size) for _ in range(RUNS)))
        say(f"transit in bulk, CPU of the middle node, {size}-byte packets ({wire})", list(ours), "ns/frame", target)
        say(f"transit in bulk, the same by a relay that reads nothing ({wire})", list(floor), "ns/frame", size=size)


def bulk(strict, size):
    """Nanoseconds of CPU a frame, as fast as TCP brings and takes them: of the node, and of a mere relay in its place."""
    with Lab(strict) as lab:
        lab.host("n", "p")
        lab.wire("n", "p")
        lab.key("n")
        n = lab.node("n")
        wait_for(lambda: ":9651" in lab.on("n", "ss -6ltn"), what="listener")
        pids = lab.pids(n)
        frames, before = lab.counter(n, "transit_frames"), cpu_ns(pids)
        lab.on("p", f"{TOOLS}/blast 10.1.0.1 9651 {size} {SECS}")
        ours = (cpu_ns(pids) - before) / (lab.counter(n, "transit_frames") - frames)
        relay = lab.start("n", [f"{TOOLS}/blast", "relay", "9700"])
        wait_for(lambda: ":9700" in lab.on("n", "ss -4ltn"), what="relay")
        lab.on("p", f"{TOOLS}/blast 10.1.0.1 9700 {size} {SECS}")
        out = json.loads(relay.communicate()[0])
        return ours, out["cpu_ns"] / (out["bytes"] / (size + 72))


def measure_ping(strict):
    wire = "strict" if strict else "veth"
    rtt = {"ours": [], "ref": []}
    with Lab(strict) as lab:
        for name, (_, address) in list(both(lab).items()) * RUNS:
            out = lab.on("a", f"ping -6 -n -c 1000 -i 0.002 {address}")
            rtt[name].append(statistics.median(float(x) for x in re.findall(r"time=([\d.]+)", out)) * 1000)
    say(f"ping p50, ours ({wire})", rtt["ours"], "us", ref=round(statistics.median(rtt["ref"]), 1))
    say(f"ping p50, ours to ref ({wire})", [x / y for x, y in zip(rtt["ours"], rtt["ref"])], "ratio", "<= 1.15 wanted")


def first_answer(lab, nodes, prober, target_host, target):
    echo = lab.start(target_host, [f"{TOOLS}/load", "echo", "7000", "30"])
    wait_for(lambda: ":7000" in lab.on(target_host, "ss -6lun"), what="echo")
    begin = time.monotonic()
    for h, options in nodes:
        lab.node(h, *options)
    probe = lab.start(prober, [f"{TOOLS}/load", "probe", target, "7000", "500", "20", "first"])
    out = json.loads(probe.communicate()[0])
    echo.kill()
    return out["start"] + out["first"] - begin


def measure_start(_):
    two, three = [], []
    for _ in range(20 if RUNS > 1 else 3):
        with Lab() as lab:
            lab.host("a", "b")
            lab.wire("a", "b")
            lab.key("a")
            two.append(first_answer(lab, [("a", ["--peers", "10.1.0.2:9651"]), ("b", [])], "a", "b", lab.key("b")))
        with Lab() as lab:
            lab.host("a", "b", "c")
            lab.wire("a", "b")
            lab.wire("b", "c")
            lab.key("a"), lab.key("b")
            three.append(first_answer(lab, [("a", ["--peers", "10.1.0.2:9651"]), ("c", ["--peers", "10.2.0.1:9651"]), ("b", [])], "a", "c",
                                      lab.key("c")))
    say("start of two nodes to first answer", two, "s", "<= 0.2 each", worst=round(max(two), 3))
    say("start of a line of three to first answer", three, "s", "<= 0.5 each", worst=round(max(three), 3))


def measure_failover(_):
    gaps = []
    for _ in range(RUNS):
        with Lab() as lab:
            lab.host("a", "b", "c", "d")
            for x, y in ("ab", "ac", "bd", "cd"):
                lab.wire(x, y)
            lab.key("a")
            target = lab.key("d")
            lab.node("b"), lab.node("c")
            a = lab.node("a", "--peers", "10.1.0.2:9651", "10.2.0.2:9651")
            lab.node("d", "--peers", "10.3.0.1:9651", "10.4.0.1:9651")
            wait_for(lambda: lab.pings("a", target), what="ping")
            prefix = ":".join(target.split(":")[:4]) + "::/64 next-hop "

            def ways():
                log = f"{lab.work}/a.log"
                size = os.path.getsize(log)
                a.send_signal(10)
                wait_for(lambda: "Current peers" in open(log).read()[size:], what="dump")
                return [line for line in open(log).read()[size:].splitlines() if line.startswith(prefix)]
            wait_for(lambda: len(ways()) == 2, 30, "two routes")
            dev = "a-b" if "10.1.0.2" in ways()[0] else "a-c"
            gap = lab.start("d", [sys.executable, os.path.join(os.path.dirname(__file__), "gap.py"), "7000"])
            wait_for(lambda: ":7000" in lab.on("d", "ss -6lun"), what="receiver")
            probe = lab.start("a", [f"{TOOLS}/load", "probe", target, "7000", "1000", "3"])
            time.sleep(1)
            lab.on("a", f"ip link set {dev} down")
            probe.wait()
            gaps.append(json.loads(gap.communicate()[0])["longest"])
    say("carrier lost in the diamond to first packet over the other path", gaps, "s", "<= 0.1")


def measure_idle(_):
    with Lab() as lab:
        a, b, *_ = pair(lab)
        pids = lab.pids(a)
        time.sleep(8)
        before, begin = cpu_ns(pids), time.monotonic()
        time.sleep(20)
        say("idle node, CPU", (cpu_ns(pids) - before) / 1e6 / (time.monotonic() - begin), "ms/s", "<= 0.1")
        say("idle node, both processes resident", memory_kb(pids) / 1024, "MB", "<= 12 (Pss)", pss=round(memory_kb(pids, "Pss") / 1024, 2),
            each={open(f"/proc/{p}/comm").read().strip(): round(memory_kb([p]) / 1024, 2) for p in pids})


class Feeder(threading.Thread):
    """A neighbour that announces routes of made-up keys, answers Hellos, and counts the Updates it gets."""

    def __init__(self, lab, host, address, routes):
        super().__init__(daemon=True)
        self.updates, self.first, self.last, self.stop, self.seen = 0, 0.0, 0.0, False, set()
        self.table, self.lock = [], threading.Lock()
        for i in range(routes):
            key = hashlib.sha256(b"%d" % i).digest()
            h = bytearray(hashlib.blake2b(key, digest_size=16).digest())
            h[0] = 2 | h[0] & 1
            self.table.append(b"\1\1\0\0\x2a\2\0\x44\x08\x42\2\0\x40\0\0\x10\0\0\0\x14" + bytes(h[:8]) + bytes(8) + key + bytes(8))
        # The socket is made inside the host's namespace by entering it in this thread only.
        made = threading.Event()

        def connect():
            fd = os.open(f"/run/netns/{lab.tag}{host}", os.O_RDONLY)
            import ctypes
            assert ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) == 0
            os.close(fd)
            self.sock = socket.create_connection(address)
            made.set()
        threading.Thread(target=connect, daemon=True).start()
        assert made.wait(10)
        self.began = time.monotonic()
        self.start()

    def send(self, data):
        with self.lock:
            self.sock.sendall(data)

    def announce(self):
        for i in range(0, len(self.table), 500):
            self.send(b"".join(self.table[i:i + 500]))

    def run(self):
        data = b""
        while not self.stop:
            try:
                more = self.sock.recv(1 << 18)
            except OSError:
                return
            if not more:
                return
            data += more
            at = 0
            while len(data) - at >= 8:
                if data[at + 1] == 0:
                    size = 40 + struct.unpack_from(">H", data, at + 4)[0]
                else:
                    size = 8 + struct.unpack_from(">H", data, at + 6)[0]
                if len(data) - at < size:
                    break
                if data[at + 1] == 1 and data[at + 8] == 4:
                    self.send(bytes.fromhex("010100002a020008050600000000000c") + bytes.fromhex("010100002a0200080406800000010004"))
                elif data[at + 1] == 1 and data[at + 8] == 8:
                    if data[at + 20:at + 28] not in self.seen:
                        self.seen.add(data[at + 20:at + 28])
                        self.last = time.monotonic()
                at += size
            data = data[at:]


def measure_routes(_):
    with Lab() as lab:
        lab.host("n", "p")
        lab.wire("n", "p")
        lab.key("n")
        n = lab.node("n")
        wait_for(lambda: ":9651" in lab.on("n", "ss -6ltn"), what="listener")
        pids = lab.pids(n)
        quiet = Feeder(lab, "p", ("10.1.0.1", 9651), 0)
        time.sleep(5)
        idle = memory_kb(pids)
        feeder = Feeder(lab, "p", ("10.1.0.1", 9651), 1000)
        feeder.announce()
        wait_for(lambda: len(quiet.seen) >= 1000, 30, "1,000 routes")
        again = time.monotonic()
        before = cpu_ns(pids)
        while time.monotonic() < again + 15:
            feeder.announce()
            time.sleep(3)
        say("1,000 routes, steady state, CPU", (cpu_ns(pids) - before) / 1e6 / (time.monotonic() - again), "ms/s", "<= 5")
        feeder.stop = True
        feeder.sock.close()
        many = Feeder(lab, "p", ("10.1.0.1", 9651), 10000)
        many.announce()
        wait_for(lambda: len(quiet.seen) >= 10000, 30, "10,000 routes")
        fresh = Feeder(lab, "p", ("10.1.0.1", 9651), 0)
        wait_for(lambda: len(fresh.seen) >= 10001, 30, "the table on the new link")
        say("10,000 routes, handed to a new link", fresh.last - fresh.began, "s", "<= 0.5")
        time.sleep(3)
        say("10,000 routes, resident above idle", (memory_kb(pids) - idle) / 1024, "MB", "<= 8")


def measure_size(_):
    total = 0
    for name in ("controld", "fastpath"):
        sh(f"strip -o /tmp/{name}.{os.getpid()} {BIN}/{name}")
        total += os.path.getsize(f"/tmp/{name}.{os.getpid()}")
        os.unlink(f"/tmp/{name}.{os.getpid()}")
    say("both programs, stripped", total / 1e6, "MB", "<= 1")


def measure_messages(_):
    bench_messages.measure(say, iperf, RUNS)


def measure_waiting(_):
    bench_messages.measure_waiting(say)


def measure_sessions(_):
    bench_sessions.measure(say, iperf, udp, RUNS)


def measure_flood(_):
    bench_sessions.measure_flood(say, iperf, RUNS)


FIGURES = {"tcp": (measure_tcp, True), "udp": (measure_udp, True), "transit": (measure_transit, True), "ping": (measure_ping, False),
           "start": (measure_start, False), "failover": (measure_failover, False), "idle": (measure_idle, False),
           "routes": (measure_routes, False), "size": (measure_size, False),
           "messages": (measure_messages, False), "waiting": (measure_waiting, False),
           "sessions": (measure_sessions, False), "flood": (measure_flood, False)}

if __name__ == "__main__":
    build_tools()
    for name in sys.argv[1:] or FIGURES:
        function, two_wires = FIGURES[name]
        for strict in (False, True) if two_wires else (False,):
            function(strict)
