# SPDX-License-Identifier: Apache-2.0
"""Hosts (network namespaces), wires and nodes for the benchmarks; removed at the end, whatever happens."""
import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BIN", os.path.join(TOP, "build", "release"))
TOOLS = os.path.join(TOP, "build", "tools")


def sh(command, check=True):
    return subprocess.run(command, shell=True, check=check, capture_output=True, text=True).stdout


def build_tools():
    os.makedirs(TOOLS, exist_ok=True)
    sh(f"cc -O3 -march=native -o {TOOLS}/ref {TOP}/tests/bench/ref.c -lIPSec_MB -lpthread")
    sh(f"cc -O2 -o {TOOLS}/load {TOP}/tests/bench/load.c")
    sh(f"cc -O2 -std=gnu17 -D_GNU_SOURCE -o {TOOLS}/apiload {TOP}/tests/bench/apiload.c")
    sh(f"cc -O2 -std=gnu17 -D_GNU_SOURCE -iquote {TOP} -o {TOOLS}/blast {TOP}/tests/bench/blast.c -lsodium")


def wait_for(test, seconds=20, what="state"):
    end = time.monotonic() + seconds
    while not (value := test()):
        if time.monotonic() > end:
            raise RuntimeError(f"no {what} within {seconds} s")
        time.sleep(0.005)
    return value


def cpu_ns(pids):
    """CPU time of all threads of these processes, in nanoseconds."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total


def memory_kb(pids, field="Rss"):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith(field + ":"))
    return total


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


class Lab:
    def __init__(self, strict=False):
        self.tag, self.strict = f"mb{os.getpid()}", strict
        self.hosts, self.processes, self.wires = [], [], 0
        self.work = tempfile.mkdtemp(prefix="mycelium-bench-")
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()
        for h in self.hosts:
            for pid in sh(f"ip netns pids {self.tag}{h}", False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sh(f"ip netns del {self.tag}{h}", False)
        self.hosts, self.processes = [], []
        shutil.rmtree(self.work, ignore_errors=True)

    def host(self, *names):
        for h in names:
            sh(f"ip netns add {self.tag}{h}")
            self.hosts.append(h)
            self.on(h, "ip link set lo up; sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 "
                       "net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0; "
                       "sysctl -qw net.ipv4.tcp_congestion_control=cubic || :")

    def on(self, h, command, check=True):
        return subprocess.run(["nsenter", f"--net=/run/netns/{self.tag}{h}", "sh", "-c", command], check=check, capture_output=True,
                              text=True).stdout

    def start(self, h, args, log=None):
        out = open(log, "ab") if log else subprocess.PIPE
        p = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.tag}{h}", *args], stdin=subprocess.DEVNULL, stdout=out,
                             stderr=out if log else subprocess.DEVNULL)
        self.processes.append(p)
        return p

    def command(self, h, args):
        """A program that is talked to, in lines."""
        p = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.tag}{h}", *map(str, args)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        self.processes.append(p)
        return p

    def wire(self, a, b):
        self.wires += 1
        n = self.wires
        sh(f"ip link add {a}-{b} netns {self.tag}{a} type veth peer name {b}-{a} netns {self.tag}{b}")
        for h, other, i in ((a, b, 1), (b, a, 2)):
            dev = f"{h}-{other}"
            self.on(h, f"ip addr add 10.{n}.0.{i}/24 dev {dev}; ip addr add fd00:{n}::{i}/64 dev {dev} nodad; ip link set {dev} up")
            if self.strict:
                self.on(h, f"ethtool -K {dev} tso off gso off tx-udp-segmentation off gro on", False)
        return n

    # -- nodes of ours

    def key(self, h):
        path = f"{self.work}/{h}.key"
        out = json.loads(sh(f"{BIN}/controld -k {path} inspect --json"))
        return out["address"]

    def node(self, h, *options):
        p = self.start(h, [f"{BIN}/controld", "-k", f"{self.work}/{h}.key", "--run-dir", f"{self.work}/{h}.run", "--disable-peer-discovery", *options],
                       f"{self.work}/{h}.log")
        p.host = h
        return p

    def pids(self, node):
        """controld and fastpath of a node."""
        found = [int(x) for x in sh(f"ip netns pids {self.tag}{node.host}").split()]
        return [x for x in found if comm(x) in ("controld", "fastpath")]

    def counter(self, node, name):
        log = f"{self.work}/{node.host}.log"
        size = os.path.getsize(log)
        node.send_signal(signal.SIGUSR2)
        wait_for(lambda: "babel_requests_sent" in open(log).read()[size:], what="counters")
        time.sleep(0.02)
        rows = dict(line.split() for line in open(log).read()[size:].splitlines() if len(line.split()) == 2)
        return int(rows.get(name, 0))

    def pings(self, h, address):
        return " 0% packet loss" in self.on(h, f"ping -6 -n -c 1 -W 1 {address}", False)

    # -- the yardstick

    def ref_pair(self, a, b, n):
        r = [self.start(a, [f"{TOOLS}/ref", "tun", "ref1", "5000", f"::ffff:10.{n}.0.2", "5000"]),
             self.start(b, [f"{TOOLS}/ref", "tun", "ref0", "5000", f"::ffff:10.{n}.0.1", "5000"])]
        for h, dev, address in ((a, "ref1", "fd99::1"), (b, "ref0", "fd99::2")):
            wait_for(lambda: self.on(h, f"ip link show {dev}", False), what="TUN of ref")
            self.on(h, f"ip link set {dev} mtu 1400 txqueuelen 1000 up; ip addr add {address}/64 dev {dev} nodad")
        wait_for(lambda: self.pings(a, "fd99::2"), what="ping through ref")
        return r
