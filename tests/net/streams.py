#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The WebSocket stream of a node, by a published client (websockets): many clients, cuts at any frame, limits, close codes. TAP.

    streams.py NAMESPACE-OF-SENDER NAMESPACE-OF-RECEIVER RECEIVER-ADDRESS [CUTS]
"""
import asyncio
import json
import os
import random
import socket
import sys

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402

FROM, TO, DESTINATION = sys.argv[1:4]
CUTS = int(sys.argv[4]) if len(sys.argv) > 4 else 50
PROTOCOL = "mycelium.msg.v1+json"
seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
print(f"# SEED={seed}")
random.seed(seed)
tap = api.Tap("streams")
sender, receiver = api.Api(FROM), api.Api(TO)


async def dial(source="127.0.0.1", protocols=(PROTOCOL,), path="/api/v1/messages/stream", ns=TO, **how):
    with api.namespace(ns):
        s = socket.socket()
    s.bind((source, 0))
    s.connect(("127.0.0.1", 8989))
    return await websockets.connect(f"ws://127.0.0.1:8989{path}", sock=s, subprotocols=list(protocols) or None, max_size=None, **how)


async def hear(ws, seconds=30):
    return json.loads(await asyncio.wait_for(ws.recv(), seconds))


async def say(ws, **frame):
    await ws.send(json.dumps(frame))


async def opened(ws, **init):
    await say(ws, type="init", **init)
    ack = await hear(ws)
    assert ack["type"] == "ack", ack
    return ack


async def code_of(ws):
    """The code that the server closes with; frames before it are let go."""
    try:
        while True:
            await asyncio.wait_for(ws.recv(), 60)
    except websockets.ConnectionClosed:
        return ws.close_code


async def close_of(frames, protocols=(PROTOCOL,)):
    ws = await dial(protocols=protocols)
    for f in frames:
        try:
            await ws.send(f)
        except websockets.ConnectionClosed:
            break
    return await code_of(ws)


INIT = '{"type":"init"}'
CLOSES = [
    ("no subprotocol", [], 4406, ()),
    ("not JSON", ["hello"], 4400, (PROTOCOL,)),
    ("a binary frame", [b'{"type":"init"}'], 4400, (PROTOCOL,)),
    ("a send before init", ['{"type":"send","ref":"1"}'], 4400, (PROTOCOL,)),
    ("an unknown type", [INIT, '{"type":"dance"}'], 4400, (PROTOCOL,)),
    ("init twice", [INIT, INIT], 4400, (PROTOCOL,)),
    ("an acknowledgement of what never came", [INIT, '{"type":"ack","offset":9000000}'], 4400, (PROTOCOL,)),
    ("a repeated member", ['{"type":"init","type":"init"}'], 4400, (PROTOCOL,)),
    ("window 0", ['{"type":"init","window":0}'], 4400, (PROTOCOL,)),
    ("nothing for 5 s", [], 4408, (PROTOCOL,)),
    ("a frame of more than 1 MiB", [INIT, '{"type":"ping","x":"' + "x" * (1 << 20) + '"}'], 1009, (PROTOCOL,)),
]


async def many_clients():
    sources = [f"127.0.0.{n}" for n in range(1, 9)]
    clients = [await dial(s) for s in sources for _ in range(8)]
    for ws in clients:
        await opened(ws, window=4)
    one_more = await code_of(await dial("127.0.0.1")), await code_of(await dial("127.0.0.9"))
    wanted = {sender.send(DESTINATION, b"%d" % n).json()["id"] for n in range(320)}
    got, who = [], set()

    async def consume(n, ws):
        while len(got) < len(wanted):
            m = await hear(ws)
            got.append(m["id"])
            who.add(n)
            await say(ws, type="ack", offset=m["offset"])

    tasks = [asyncio.create_task(consume(n, ws)) for n, ws in enumerate(clients)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    for t in tasks:
        t.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for ws in clients:
        await ws.close()
    return one_more, sorted(got) == sorted(wanted), len(who)


async def cut_often():
    """One consumer that is cut at any frame and comes back: all that was sent comes, each id is acknowledged once."""
    expected, seen, repeats, resume, cuts, refused = {}, {}, 0, None, 0, 0
    n = 0
    while cuts < CUTS or len(seen) < len(expected):
        if cuts < CUTS:
            for _ in range(random.randrange(0, 12)):
                payload = b"%d " % n + random.randbytes(random.choice([0, 10, 1000, 40000]))
                expected[sender.send(DESTINATION, payload).json()["id"]] = payload
                n += 1
        frames = random.randrange(0, 25) if cuts < CUTS else 1 << 30
        ws = await dial()
        try:
            if frames == 0:
                continue
            window, unacked = random.choice([1, 3, 64]), 0
            ack = await opened(ws, window=window, **({"resume": resume} if resume else {}))
            refused += resume is not None and not ack["recovered"]
            resume = {k: ack[k] for k in ("epoch", "stream", "offset")}
            for _ in range(frames):
                if len(seen) == len(expected):
                    break
                m = await hear(ws)
                assert m["offset"] > resume["offset"], (m["offset"], resume)
                repeats += m["id"] in seen
                seen[m["id"]] = m["payload"]
                unacked += 1
                if unacked == window or random.random() < 0.8:
                    await say(ws, type="ack", offset=m["offset"])
                    unacked = 0
                resume["offset"] = m["offset"]
            if cuts >= CUTS:
                await say(ws, type="ack", offset=resume["offset"])
        finally:
            ws.transport.abort()
            cuts += 1
    # What was seen and not acknowledged when the last cut came is acknowledged by coming back.
    ws = await dial()
    ack = await opened(ws, resume=resume)
    refused += not ack["recovered"]
    await ws.close()
    print(f"# {cuts} cuts, {len(expected)} messages, {repeats} came twice and were known by their id")
    assert set(seen) == set(expected), f"{len(set(expected) - set(seen))} lost"
    assert all(seen[i] == api.b64(p) for i, p in expected.items())
    assert refused == 0, f"{refused} resumptions were not recovered"
    return expected


def all_read(ids):
    for i in ids:
        api.until(lambda i=i: sender.status(i)["state"] == "read", 30, f"{i} is read")


async def send_by_socket():
    ws = await dial(ns=FROM)
    await opened(ws)
    consumer = await dial()
    await opened(consumer)
    await say(ws, type="send", ref="r1", dst={"ip": DESTINATION}, topic=api.b64(b"t"), payload=api.b64(b"by socket"))
    sent = await hear(ws)
    assert (sent["type"], sent["ref"]) == ("sent", "r1"), sent
    m = await hear(consumer)
    assert (m["id"], m["payload"], m["topic"]) == (sent["id"], api.b64(b"by socket"), api.b64(b"t")), m
    states = []
    while "received" not in states:
        s = await hear(ws)
        assert s["type"] == "status" and s["id"] == sent["id"], s
        states.append(s["state"] if isinstance(s["state"], str) else "sending")
    assert "read" not in states
    await say(consumer, type="ack", offset=m["offset"])
    while "read" not in states:
        s = await hear(ws)
        states.append(s["state"])
    # The consumer answers by socket too.
    await say(consumer, type="send", ref="r2", dst={"pk": m["srcPk"]}, payload="", replyTo=m["id"])
    r = await hear(ws)
    while r["type"] != "msg":
        r = await hear(ws)
    assert r["id"] == m["id"] and r["payload"] == "", r
    await say(ws, type="ack", offset=r["offset"])
    await say(ws, type="send", ref="r3", dst={"pk": "00"}, payload="")
    e = await hear(ws)
    assert e["type"] == "error" and e["ref"] == "r3", e
    await say(ws, type="ping")
    while e["type"] != "pong":
        e = await hear(ws)
    await ws.close()
    await consumer.close()


async def large():
    """A message beyond 1 MiB comes in fragments, whole."""
    payload = random.randbytes(1_400_000)
    ws = await dial()
    await opened(ws)
    id_ = sender.send(DESTINATION, payload).json()["id"]
    m = await hear(ws, 60)
    assert m["id"] == id_ and m["payload"] == api.b64(payload)
    await say(ws, type="ack", offset=m["offset"])
    await ws.close()


async def shared():
    """HTTP and WebSocket share one inbox, and a topic filter holds."""
    ws = await dial()
    await opened(ws, topic=api.b64(b"mine"))
    other = sender.send(DESTINATION, b"2", b"other").json()["id"]
    mine = sender.send(DESTINATION, b"1", b"mine").json()["id"]
    m = await hear(ws)
    assert m["id"] == mine, m
    assert receiver.receive().json()["id"] == other
    await say(ws, type="ack", offset=m["offset"])
    await ws.close()


async def events():
    ws = await dial(path="/api/v1/events", protocols=["mycelium.events.v1+json"])
    await say_nothing(ws)
    a = receiver.call("POST", "/api/v1/admin/peers", {"endpoint": "tcp://127.0.0.1:1"})
    assert a.status == 204, (a.status, a.body)
    e = await hear(ws)
    while (e["type"], e["change"]) != ("peer", "add"):
        e = await hear(ws)
    assert e["endpoint"] == "127.0.0.1:1", e
    assert receiver.call("DELETE", "/api/v1/admin/peers/127.0.0.1:1").status == 204
    while (e["type"], e["change"]) != ("peer", "flush"):
        e = await hear(ws)
    await ws.close()


async def say_nothing(ws):
    pong = await ws.ping()
    await asyncio.wait_for(pong, 30)


run = asyncio.run
for what, frames, code, protocols in CLOSES:
    tap.check(f"{what}: close code {code}", lambda f=frames, c=code, p=protocols: (lambda got: got == c or print(f"# got {got}") or False)(
        run(close_of(f, p))))
many = run(many_clients())
tap.equal("the ninth client of an address and the 65th of all: 4429", many[0], (4429, 4429))
tap.check("64 clients: every message comes to exactly one of them", lambda: many[1])
tap.check("and many of them had some", lambda: many[2] > 32 or print(f"# {many[2]}") or False)
cut = {}
tap.check(f"{CUTS} cuts at random frames: nothing lost, nothing changed, always recovered", lambda: cut.update(run(cut_often())) or True)
tap.check("every one of them is read at last", lambda: all_read(cut))
tap.check("send, sent, status, read, reply, error and ping on one socket", lambda: run(send_by_socket()))
tap.check("1.4 MB in fragments", lambda: run(large()))
tap.check("one inbox for HTTP and WebSocket, topic filter per consumer", lambda: run(shared()))
tap.check("events: a peer comes and goes", lambda: run(events()))
tap.equal("nothing is left in the inbox", receiver.receive(0).status, 204)
tap.end()
