#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes messages from the stream of the node in this network namespace, acknowledges each, prints one line for it.

    ws_receive.py COUNT
"""
import asyncio
import base64
import json
import sys

import websockets


async def main(count):
    async with websockets.connect("ws://127.0.0.1:8989/api/v1/messages/stream", subprotocols=["mycelium.msg.v1+json"]) as ws:
        await ws.send(json.dumps({"type": "init"}))
        print(json.loads(await ws.recv())["type"], flush=True)
        for _ in range(count):
            m = json.loads(await ws.recv())
            print(f"{m['id']} from {m['srcIp']}: {base64.b64decode(m['payload']).decode()}", flush=True)
            await ws.send(json.dumps({"type": "ack", "offset": m["offset"]}))

asyncio.run(main(int(sys.argv[1])))
