# SPDX-License-Identifier: Apache-2.0
"""A neighbour that floods a node with handshakes of many peers, each genuine and never finished.

    flood.py HOST PORT SINK KEY PEERS EACH RATE
                          SINK: port on HOST of a program that throws away what it reads; KEY: public key of the node, in
                          hex; EACH: handshakes of each peer made before it begins

Says `ready` when all peers are known to the node; then obeys lines on stdin: `node` floods it with RATE frames a second, `sink`
sends the same bytes to the sink, which is what the flood costs this machine by itself; `stop` pauses and prints how many were
sent. Frames go round and round: those that come again are old to the node."""
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import peer200 as p  # noqa: E402
import session_peer as s  # noqa: E402


def main():
    host, port, sink, key, peers, each, rate = sys.argv[1:]
    public = bytes.fromhex(key)
    node = p.address_of(public)
    crowd = [s.SessionPeer(p.Identity.generate(), answer_inits=False) for _ in range(int(peers))]
    for peer in crowd:
        peer.learn(public)
    first = crowd[0]
    link = first.connect(host, int(port))
    first.wait_key(node)
    nowhere = socket.create_connection((host, int(sink)))

    def announce():
        for peer in crowd:
            link.send(peer.own_update())

    def frame():
        body = peer.init(node).body
        sealed = p.seal(peer.id.secret_with(public), p.user_data(s.INIT, body))
        return p.Data(peer.id.address, node, 64, sealed).encode()

    announce()
    frames = []
    for _ in range(int(each)):
        for peer in crowd:
            frames.append(frame())
        announce()
    print("ready", flush=True)
    sent, running, at, begun, told = 0, False, 0, 0.0, 0.0
    while True:
        if select.select([sys.stdin], [], [], 0 if running else 1)[0]:
            word = sys.stdin.readline().strip()
            if not word:
                return
            running, begun, base = word in ("node", "sink") and word, time.monotonic(), sent
            if word == "stop":
                print(sent, flush=True)
        if time.monotonic() - told > 2:
            told = time.monotonic()
            announce()
        if not running:
            continue
        due = base + int((time.monotonic() - begun) * float(rate)) - sent
        if due < 20:
            time.sleep(0.001)
            continue
        chunk = [frames[(at + i) % len(frames)] for i in range(due)]
        at, sent = (at + due) % len(frames), sent + due
        if running == "node":
            link.send(b"".join(chunk))
        else:
            nowhere.sendall(b"".join(chunk))


main()
