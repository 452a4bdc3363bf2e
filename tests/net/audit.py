#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the processes of two nodes in turns while both blast small packets at each other, until so many were sealed in sessions;
then has the log of their nonces and the nonces on the wire judged. TAP.

    audit.py BIN WORK NAMESPACE-A NAMESPACE-R NAMESPACE-B RESTARTS PACKETS SEEN RATE

PACKETS: at least so many sealed, SEEN: so many nonces on the wire; RATE: packets a second that each side sends. The layout of the
log is tests/support/nonce_audit.h."""
import json
import mmap
import os
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402

BIN, WORK = sys.argv[1:3]
NS = dict(zip("arb", sys.argv[3:6]))
RESTARTS, PACKETS, SEEN, RATE = map(int, sys.argv[6:])
PEERS = {"a": ["--peers", "10.1.0.2:9651"], "b": []}
PORT, PATIENCE_S = 7000, 60
AGAIN = 500         # packets in sessions after which traffic is said to flow again
PROCESSES, PROCESS, RANGE = 1024, struct.Struct("=IIQQ"), struct.Struct("=QQIIIIHBBI")
PROCESS_AT, RANGE_AT = 16, 16 + 1024 * PROCESS.size
SESSION = 1
GENERATION_AT = 32  # struct lanes_header
tap = api.Tap("audit")
nodes, others = {}, []


def make_file(path, size):
    with open(path, "w+b") as f:
        f.truncate(size)
        return mmap.mmap(f.fileno(), size)


# A range holds a packet or more; what finds no room is a failure.
log = make_file(f"{WORK}/log.nonces", RANGE_AT + RANGE.size * (2 * PACKETS + 1000000))
wire = make_file(f"{WORK}/wire.nonces", 16 + 16 * (2 * PACKETS + 1000000))


def start(h):
    with open(f"{WORK}/{h}/log", "ab") as out:
        nodes[h] = subprocess.Popen(
            ["nsenter", f"--net={NS[h]}", f"{BIN}/controld", "-k", f"{WORK}/{h}/key", "--run-dir", f"{WORK}/{h}/run", "--state-dir",
             f"{WORK}/{h}/state", "--fastpath", f"{BIN}/fastpath-audit", "--disable-peer-discovery", *PEERS[h]],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "NONCE_AUDIT_FILE": f"{WORK}/log.nonces"})


def beside(h, *command):
    others.append(subprocess.Popen(["nsenter", f"--net={NS[h]}", f"{BIN}/nonces", *command], stdin=subprocess.DEVNULL))


def until(test, what):
    return api.until(test, PATIENCE_S, what)


def answers(h):
    try:
        return api.Api(NS[h]).get("/livez").status == 200
    except OSError:
        return False


def process(n):
    """Of the log: pid, static prefixes drawn, ranges and packets in sessions."""
    return PROCESS.unpack_from(log, PROCESS_AT + PROCESS.size * n)


def fastpath(h):
    """Number in the log of the fastpath that lives in this node's network namespace, the youngest; None: none."""
    own = os.stat(NS[h]).st_ino
    for n in reversed(range(struct.unpack_from("=Q", log, 8)[0])):
        try:
            if os.stat(f"/proc/{process(n)[0]}/ns/net").st_ino == own:
                return n
        except OSError:
            pass
    return None


def packets(n):
    return process(n)[3]


def total():
    return sum(packets(n) for n in range(struct.unpack_from("=Q", log, 8)[0]))


def total_of(h):
    n = fastpath(h)
    return 0 if n is None else packets(n)


def ranges():
    return min(struct.unpack_from("=Q", log)[0], (len(log) - RANGE_AT) // RANGE.size)


def keys_since(first, n):
    """Names of the session keys with which a process has sealed, in the log from a range on."""
    part = log[RANGE_AT + RANGE.size * first:RANGE_AT + RANGE.size * ranges()]
    return {r[0] for r in RANGE.iter_unpack(part) if r[6] == n and r[8] == SESSION}


def live(h):
    until(lambda: fastpath(h) is not None, f"a fastpath of {h}")
    return fastpath(h)


def flows(h, than=None):
    """A fastpath of the node, not that one, seals in sessions."""
    n = fastpath(h)
    return n is not None and n != than and packets(n) >= AGAIN


def both_flow(what):
    """Both seal on from here, whatever they did before."""
    goals = {h: total_of(h) + AGAIN for h in "ab"}
    until(lambda: all(total_of(h) >= goals[h] for h in "ab"), f"traffic in sessions after {what}")


def kill_controld(h):
    nodes[h].send_signal(signal.SIGKILL)
    nodes[h].wait()


def kill_fastpath(h):
    """With SIGKILL; its number."""
    n = live(h)
    os.kill(process(n)[0], signal.SIGKILL)
    return n


def restart_controld(h):
    n = live(h)
    kill_controld(h)
    start(h)
    until(lambda: answers(h), f"{h} is back")
    if fastpath(h) != n:
        raise AssertionError(f"the fastpath of {h} did not outlive its controld")


def restart_fastpath(h):
    n = kill_fastpath(h)
    until(lambda: flows(h, n), f"a new fastpath of {h} seals in sessions")


def lose_memory(h):
    kill_controld(h)
    n = kill_fastpath(h)
    until(lambda: fastpath(h) is None, f"the fastpath of {h} is gone")
    start(h)
    until(lambda: flows(h, n), f"a new start of {h} seals in sessions")


def memfd(h):
    """Path of the shared memory among the descriptors of the node's controld."""
    folder = f"/proc/{nodes[h].pid}/fd"
    for fd in os.listdir(folder):
        if os.readlink(f"{folder}/{fd}").startswith("/memfd:") and os.stat(f"{folder}/{fd}").st_size > 1 << 24:
            return f"{folder}/{fd}"
    raise FileNotFoundError(f"no shared memory of {h}")


def raise_generation(h):
    n, first = live(h), ranges()
    old, prefixes = keys_since(max(0, first - 100000), n), process(n)[1]
    with open(memfd(h), "r+b", buffering=0) as f, mmap.mmap(f.fileno(), 4096) as header:
        value = struct.unpack_from("=Q", header, GENERATION_AT)[0]
        struct.pack_into("=Q", header, GENERATION_AT, value + 1)
    until(lambda: keys_since(first, n) - old, f"a new key of {h} in another generation")
    until(lambda: process(n)[1] > prefixes, f"a new static prefix of {h} in another generation")


# What happens in turns, on a and b; in a long run what is common comes most often.
TURNS = [restart_controld, restart_fastpath, raise_generation, lose_memory]
if RESTARTS >= 50:
    TURNS = [restart_controld, restart_fastpath] * 4 + [raise_generation, lose_memory]

beside("r", "relay", "9651", "10.2.0.2", "9651", f"{WORK}/wire.nonces")
for h in "ba":
    start(h)
    until(lambda: answers(h), f"{h} answers")
address = {h: api.Api(NS[h]).get("/api/v1/admin").json()["address"] for h in "ab"}
beside("a", "blast", address["b"], str(PORT), str(RATE))
beside("b", "blast", address["a"], str(PORT), str(RATE))
done = {f.__name__: 0 for f in TURNS}


def restarts():
    both_flow("the start")
    for i in range(RESTARTS):
        turn, h = TURNS[i // 2 % len(TURNS)], "ab"[i % 2]
        until(lambda: total() >= PACKETS // (RESTARTS + 1) * i, "packets")
        turn(h)
        both_flow(f"{turn.__name__} {h}")
        done[turn.__name__] += 1


tap.check(f"traffic in sessions comes back after each of {RESTARTS} restarts", restarts)
tap.check(f"{PACKETS} packets are sealed in sessions", lambda: api.until(lambda: total() >= PACKETS, 600, "packets") or True)
tap.check(f"{SEEN} nonces are seen on the wire",
          lambda: api.until(lambda: struct.unpack_from("=Q", wire)[0] >= SEEN, 600, "nonces on the wire") or True)
for p in others[1:]:
    p.kill()
for h in "ab":
    nodes[h].terminate()
tap.equal("both nodes end in order", [nodes[h].wait(30) for h in "ab"], [0, 0])
others[0].kill()
for p in others:
    p.wait()
answer = subprocess.run([f"{BIN}/nonces", "check", f"{WORK}/log.nonces", f"{WORK}/wire.nonces"], capture_output=True, text=True)
found = json.loads(answer.stdout)
tap.equal("all ranges found room in the log", found["lost"], 0)
tap.equal("no counter of a key and lane was taken twice", found["overlaps"], 0)
tap.equal("no static prefix was drawn twice", found["repeated"], 0)
tap.equal("no nonce was seen twice on the wire", found["wire_repeated"], 0)
tap.equal("every nonce on the wire is of a recorded range or prefix", found["wire_unrecorded"], 0)
tap.check("most of what was on the wire was sealed in sessions", lambda: found["wire_session"] > found["wire_static"])
print(f"# {done}; {json.dumps(found)}")
tap.end()
