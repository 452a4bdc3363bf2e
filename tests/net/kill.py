#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills controld (SIGKILL) of either node at random moments while messages flow: none is lost, none is doubled but for its id,
every status is true. TAP.

    kill.py BIN WORK NAMESPACE-A NAMESPACE-B [KILLS]      (makes and ends both nodes itself; b dials 10.1.0.1)
"""
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402

BIN, WORK = sys.argv[1:3]
NS = {"a": sys.argv[3], "b": sys.argv[4]}
KILLS = int(sys.argv[5]) if len(sys.argv) > 5 else 10
PEERS = {"a": [], "b": ["--peers", "10.1.0.1:9651"]}
seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
print(f"# SEED={seed}")
rng = random.Random(seed)
tap = api.Tap("kill")
nodes = {}


def start(h):
    with open(f"{WORK}/{h}/log", "ab") as log:
        nodes[h] = subprocess.Popen(
            ["nsenter", f"--net={NS[h]}", f"{BIN}/controld", "-k", f"{WORK}/{h}/key", "--run-dir", f"{WORK}/{h}/run", "--state-dir",
             f"{WORK}/{h}/state", *PEERS[h]], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def answers(h):
    try:
        return api.Api(NS[h]).get("/livez").status == 200
    except OSError:
        return False


class State:
    def __init__(self):
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.accepted = {}                   # id -> payload: POST answered
        self.unsure = set()                  # payloads whose POST was cut
        self.got = {}                        # id -> payload
        self.repeats = self.changed = 0

    def deliver(self, m):
        with self.lock:
            if m["id"] in self.got:
                self.repeats += 1
                self.changed += self.got[m["id"]] != m["payload"]
            self.got[m["id"]] = m["payload"]


state = State()


def send(number):
    r, n, a = random.Random(f"{seed} {number}"), 0, api.Api(NS["a"])
    while not state.stop.is_set():
        n += 1
        payload = f"{number}.{n} ".encode() + r.randbytes(r.choice([0, 100, 3000, 60000]))
        try:
            answer = a.send(address["b"], payload)
        except Exception:
            with state.lock:
                state.unsure.add(api.b64(payload))
            a.close()
            api.until(lambda: answers("a"), 30, "a is back")
            continue
        if answer.status == 201:
            with state.lock:
                state.accepted[answer.json()["id"]] = api.b64(payload)


def receive():
    a = api.Api(NS["b"])
    while not state.stop.is_set() or len(state.got) < len(state.accepted):
        try:
            answer = a.receive(1)
            if answer.status == 200:
                state.deliver(answer.json())
        except Exception:
            a.close()
            if done.is_set():
                return
            api.until(lambda: answers("b"), 30, "b is back")
        if done.is_set():
            return


async def stream():
    resume = None
    while not done.is_set():
        try:
            s = api.connect(NS["b"])
            s.setblocking(False)
            async with websockets.connect("ws://127.0.0.1:8989/api/v1/messages/stream", sock=s, max_size=None,
                                          subprotocols=["mycelium.msg.v1+json"]) as ws:
                await ws.send(json.dumps({"type": "init", "window": 8, **({"resume": resume} if resume else {})}))
                ack = json.loads(await asyncio.wait_for(ws.recv(), 30))
                resume = {k: ack[k] for k in ("epoch", "stream", "offset")}
                while not done.is_set():
                    try:
                        m = json.loads(await asyncio.wait_for(ws.recv(), 1))
                    except asyncio.TimeoutError:
                        continue
                    state.deliver(m)
                    await ws.send(json.dumps({"type": "ack", "offset": m["offset"]}))
                    resume["offset"] = m["offset"]
        except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
            await asyncio.sleep(0.02)


for h in "ab":
    start(h)
    api.until(lambda: answers(h), 30, f"{h} answers")
keys = {h: api.Api(NS[h]).get("/api/v1/admin").json() for h in "ab"}
address = {h: keys[h]["address"] for h in "ab"}
api.until(lambda: api.Api(NS["a"]).get(f"/api/v1/pubkey/{address['b']}").status == 200, 30, "a knows b")
done = threading.Event()
senders = [threading.Thread(target=send, args=(n,), daemon=True) for n in range(3)]
receivers = [threading.Thread(target=receive, daemon=True), threading.Thread(target=lambda: asyncio.run(stream()), daemon=True)]
for t in senders + receivers:
    t.start()
kills = {"a": 0, "b": 0}
for _ in range(KILLS):
    h, goal = rng.choice("ab"), len(state.got) + rng.randrange(1, 120)
    api.until(lambda: len(state.got) >= goal, 60, "messages flow")
    nodes[h].send_signal(signal.SIGKILL)
    nodes[h].wait()
    kills[h] += 1
    start(h)
    api.until(lambda: answers(h), 30, f"{h} is back")
state.stop.set()
for t in senders:
    t.join(60)
tap.check("all that was accepted was delivered", lambda: api.until(lambda: set(state.accepted) <= set(state.got), 120, "deliveries") or True)
ends = {}


def settled():
    a = api.Api(NS["a"])
    for i in state.accepted:
        if ends.get(i) not in ("received", "read"):
            ends[i] = (a.status(i) or {"state": "unknown"})["state"]
    return all(s in ("received", "read") for s in ends.values())


tap.check("every status says so", lambda: api.until(settled, 60, "statuses"))
done.set()
for t in receivers:
    t.join(60)
tap.equal("every payload is what was sent", sum(state.got[i] != p for i, p in state.accepted.items()), 0)
tap.equal("nothing came under one id with two contents", state.changed, 0)
extra = [p for i, p in state.got.items() if i not in state.accepted]
tap.equal("nothing came that was not sent", [p[:20] for p in extra if p not in state.unsure], [])
tap.equal("no payload came under two ids", len(set(state.got.values())), len(state.got))
tap.check("messages came", lambda: len(state.got) > KILLS)
print(f"# kills: a {kills['a']}, b {kills['b']}; {len(state.accepted)} accepted, {len(state.unsure)} POSTs cut (of these {len(extra)} were delivered); "
      f"{state.repeats} deliveries repeated under the same id after a kill; "
      f"statuses: {sum(s == 'read' for s in ends.values())} read, {sum(s == 'received' for s in ends.values())} received")
for h in "ab":
    nodes[h].terminate()
tap.equal("both nodes end in order", [nodes[h].wait(30) for h in "ab"], [0, 0])
tap.end()
