#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API of running nodes under attack: strangers' heads, bodies and connections, tokens, a full disk, a signal. TAP.

    BIN=build/release WORK=folder api.py     (as root, in a network and a mount namespace of its own)
"""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402
import api_rows as rows  # noqa: E402
from api_crowd import Loris, memory, polls  # noqa: E402
from api_node import M, PROTOCOL, UPGRADE, WORK, Conn, Node, ask, cors, expect, fill, letter, nothing_came, post, request  # noqa: E402

tap = api.Tap("api")


def guard_row(node, lines, want, auth=""):
    lines += "\r\n" if lines else ""
    body = letter(node)
    r = ask(node, "POST " + M + " HTTP/1.1\r\n" + lines + rows.JSON + "Content-Length: {N}\r\n\r\n{B}", body)
    expect((r.status, r.body if r.status != 201 and want == rows.GOOD else b""), (201 if want == rows.GOOD else want, b""))
    if want == rows.GOOD:
        got = request(node, "GET", M + "?timeout=20", lines=auth)
        expect(json.loads(got.body)["id"], json.loads(r.body)["id"])
    elif r.status != 431:
        assert r.body and r.headers["content-type"] == rows.TEXT, (r.body, r.headers)
        expect(r.headers.get("www-authenticate"), "Bearer" if want == 401 else None)
        assert rows.TOKEN.encode() not in r.body
    r = ask(node, UPGRADE.replace("{L}", lines).replace("{S}", PROTOCOL))
    expect(("upgrade", r.status), ("upgrade", 101 if want == rows.GOOD else want))


def guards(node, table, auth, host="127.0.0.1"):
    for what, lines, want in table:
        tap.check(f"{node.name}: {what}: {want}", lambda: guard_row(node, lines, want, auth))
    tap.check(f"{node.name}: no refused request left a message", lambda: nothing_came(node, auth))
    tap.check(f"{node.name}: the same by IPv6", lambda: expect(
        [ask(node, "GET /livez HTTP/1.1\r\nHost: " + h + "\r\n" + auth + "\r\n", host="::1").status for h in ("[::1]:{P}", "evil.example:{P}")],
        [200, 403]))


def frame_row(node, text, want):
    r = ask(node, text, letter(node))
    expect((r.status, r.body if r.status != want else b""), (want, b""))
    if want == 201:
        got = request(node, "GET", M + "?timeout=20")
        expect(json.loads(got.body)["id"], json.loads(r.body)["id"])


def smuggled(node, text):
    """A body that is a request itself must never be taken for one: a page can send it, and its head was refused."""
    inner = "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: " + str(len(letter(node))) + "\r\n\r\n" + letter(node)
    with Conn(node) as c:
        c.send(fill(text, node, fill(inner, node).decode()))
        r = c.reply()
        assert r.status >= 400, r.status
        expect((r.headers.get("connection"), c.rest()), ("close", b""))


SMUGGLERS = {
    "a foreign Host": "POST " + M + " HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {N}\r\n\r\n{B}",
    "a foreign origin": "POST " + M + " HTTP/1.1\r\n{H}Origin: http://evil.example\r\nContent-Type: text/plain\r\nContent-Length: {N}\r\n\r\n{B}",
    "an unknown path": "POST /nothing HTTP/1.1\r\n{H}Content-Length: {N}\r\n\r\n{B}",
    "a wrong method": "PUT " + M + " HTTP/1.1\r\n{H}Content-Length: {N}\r\n\r\n{B}",
    "a bad head": "POST " + M + " HTTP/1.1\r\n{H}X : y\r\nContent-Length: {N}\r\n\r\n{B}",
    "two lengths": "POST " + M + " HTTP/1.1\r\n{H}Content-Length: 0\r\nContent-Length: {N}\r\n\r\n{B}",
    "chunked and length": "POST " + M + " HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{B}",
    "a bad chunk": "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n{B}",
    "an upgrade with a body": UPGRADE.replace("{L}", "{H}Content-Length: {N}\r\n").replace("{S}", PROTOCOL) + "{B}",
    "an upgrade by POST": UPGRADE.replace("{L}", "{H}Content-Length: {N}\r\n").replace("{S}", PROTOCOL).replace("GET", "POST") + "{B}",
    "too long a body": "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: 2097153\r\n\r\n{B}",
}


def wire_row(node, method, path, body, status, type_, allow, begin):
    r = request(node, method, path, body)
    got = r.status, r.headers.get("content-type"), r.headers.get("allow"), r.body[:len(begin)].decode() if begin else r.body.decode() or None
    expect(got, (status, type_, allow, begin))
    if type_ == rows.TEXT and begin:
        assert len(r.body) > len(begin) or begin.startswith("Invalid"), r.body
    if type_ == rows.TYPE and status in (201, 408):
        assert len(r.body) == len('{"id":"0123456789abcdef"}') and r.body.endswith(b'"}'), r.body
    if status == 204:
        assert "content-length" not in r.headers
    elif method != "HEAD":
        expect(r.headers["content-length"], str(len(r.body)))


def reading(node):
    """wire-200 7.2 and 7.6, to the byte."""
    where = ask(node, "GET /api/v1/admin HTTP/1.1\r\n{H}\r\n").body
    ip = json.loads(where)["address"]

    def whole(id_, topic, payload):
        t = f'"topic":"{api.b64(topic)}",' if topic else ""
        return (f'{{"id":"{id_}","srcIp":"{ip}","srcPk":"{node.key}","dstIp":"{ip}","dstPk":"{node.key}",{t}'
                f'"payload":"{api.b64(payload)}"}}').encode()

    def get(query="", method="GET"):
        r = request(node, method, M + query)
        return r.status, r.headers.get("content-type"), r.body

    one = post(node, letter(node, b"one", topic=api.b64(b"t?>")))
    two = post(node, json.dumps({"dst": {"ip": ip}, "payload": api.b64(b"two")}))
    want = [(200, rows.TYPE, whole(one, b"t?>", b"one")), (200, rows.TYPE, whole(two, b"", b"two"))]
    nothing = (204, None, b"")
    expect(get("?timeout=20&peek=true"), want[0])
    head = request(node, "HEAD", M)
    expect((head.status, head.headers["content-length"], head.headers["content-type"]), (200, str(len(want[0][2])), rows.TYPE))
    expect(get("?peek=true&topic=" + api.b64(b"t?>").replace("+", "%2B")), want[0])
    expect(get("?topic=" + api.b64(b"t?")), nothing)
    expect(get("?topic=" + api.b64(b"other") + "&timeout=0"), nothing)
    api.until(lambda: get("?topic=&peek=true") == want[1], 60, "the second message by its empty topic")
    expect(get("?peek=false"), want[0])
    expect(get("?topic="), want[1])
    expect(get(), nothing)
    s = api.until(lambda: (r := request(node, "GET", rows.S + one)) and b'"read"' in r.body and r, 30, "one is read")
    j = json.loads(s.body)
    expect(s.body.decode(), f'{{"dst":"{ip}","state":"read","created":{j["created"]},"deadline":{j["created"] + 300},"msgLen":3}}')


def replies(node):
    """wire-200 7.3 and 7.4: a reply in time, and one that is late."""
    answer = []
    waiter = threading.Thread(target=lambda: answer.append(request(node, "POST", M + "?reply_timeout=20", letter(node, b"q"))))
    waiter.start()
    id_ = json.loads(request(node, "GET", M + "?timeout=20").body)["id"]
    expect(request(node, "POST", rows.R + id_, letter(node, b"answer", topic="AAAA")).status, 204)
    waiter.join(60)
    got = json.loads(answer[0].body)
    expect((answer[0].status, got["id"], got["payload"], "topic" in got), (200, id_, api.b64(b"answer"), False))
    late = post(node, letter(node, b"q"), 408, M + "?reply_timeout=0")
    expect(json.loads(request(node, "GET", M + "?timeout=20").body)["id"], late)
    expect(request(node, "POST", rows.R + late, letter(node, b"late")).status, 204)
    expect(json.loads(request(node, "GET", M + "?timeout=20").body)["payload"], api.b64(b"late"))
    nothing_came(node)


# Bodies


def chunks(body, size, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for i in range(0, len(body), size) if (piece := body[i:i + size])) + end


def sized(node, length, chunked, want):
    body = letter(node).ljust(length).encode()
    head = "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON
    head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {length}\r\n\r\n"
    with Conn(node) as c:
        r = c.send(fill(head, node)).send(chunks(body, 65536) if chunked else body).reply()
    expect((r.status, r.body[:36] if want == 413 else b""), (want, b"Failed to buffer the request body: " + b"m" if want == 413 else b""))
    nothing_came(node) if want == 413 else expect(request(node, "GET", M + "?timeout=20").status, 200)


def byte_by_byte(node, chunked):
    body = letter(node, b"in pieces").encode()
    text = "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {len(body)}\r\n\r\n"
    data = fill("POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + text, node) + (chunks(body, 1) if chunked else body)
    with Conn(node) as c:
        for i in range(len(data)):
            c.send(data[i:i + 1])
        expect(c.reply().status, 201)
    expect(json.loads(request(node, "GET", M + "?timeout=20").body)["payload"], api.b64(b"in pieces"))


def awaits_go_on(node):
    body = letter(node).encode()
    head = "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Expect: 100-Continue\r\nContent-Length: "
    with Conn(node) as c:
        expect(c.send(fill(f"{head}{len(body)}\r\n\r\n", node)).reply().status, 100)
        expect(c.send(body).reply().status, 201)
        expect(c.send(fill("GET " + M + "?timeout=20 HTTP/1.1\r\n{H}\r\n", node)).reply().status, 200)
    for text, want in ((f"{head}2097153\r\n\r\n", 413), (f"{head}5\r\nOrigin: null\r\n\r\n", 403), ("PUT" + head[4:] + "5\r\n\r\n", 405)):
        expect(ask(node, text).status, want)


def pipelined(node):
    wanted = []
    with Conn(node) as c:
        data = b""
        for i in range(40):
            text, want = [("GET /livez HTTP/1.1\r\n{H}\r\n", 200), ("HEAD /livez HTTP/1.1\r\n{H}\r\n", 200), ("GET /nothing HTTP/1.1\r\n{H}\r\n", 404),
                          ("POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: {N}\r\n\r\n{B}", 201),
                          ("GET " + M + "?timeout=20 HTTP/1.1\r\n{H}\r\n", 200)][i % 5]
            data += fill(text, node, letter(node, b"%d" % i))
            wanted.append((text.split()[0], want, api.b64(b"%d" % (i - 1)) if i % 5 == 4 else None))
        c.send(data)
        for method, want, payload in wanted:
            r = c.reply(method)
            expect((r.status, json.loads(r.body)["payload"] if payload else None), (want, payload))
        expect(c.data, b"")


def vanishes(node):
    body = letter(node).encode()
    head = "POST " + M + " HTTP/1.1\r\n{H}" + rows.JSON
    for data in (fill(f"{head}Content-Length: {len(body)}\r\n\r\n", node) + body,
                 fill(head + "Transfer-Encoding: chunked\r\n\r\n", node) + chunks(body, 40)):
        for i in range(len(data)):
            Conn(node, source=f"127.0.3.{i // 32 + 1}").send(data[:i]).cut(reset=i % 2 == 0)
            if i % 16 == 0:
                api.until(node.answers)  # it has seen the others go
    api.until(node.answers)
    nothing_came(node)


def gone_while_answered(node):
    """A message that a client did not take, larger than what the sockets hold, goes to the next."""
    body = letter(node, random.randbytes(12_000_000)).encode()
    id_ = json.loads(request(node, "POST", M, body).body)["id"]
    for reset in (False, True):
        c = Conn(node, small=True)
        c.send(fill("GET " + M + "?timeout=20 HTTP/1.1\r\n{H}\r\n", node)).until(b"\r\n\r\n")
        c.cut(reset)
    expect(json.loads(request(node, "GET", M + "?timeout=20").body)["id"], id_)
    nothing_came(node)


def many_keys(node):
    """One thread judges it; nobody is forgotten meanwhile, and nothing of it stays."""
    def body(count):
        return ('{"dst":{"pk":"' + node.key + '"},"payload":"",' + ",".join(f'"k{i}":0' for i in range(count)) + "}").encode()
    large, answers, before = body(1_000_000), [], node.resident()
    asker = threading.Thread(target=lambda: answers.append(request(node, "POST", M, large, source="127.0.0.2").status))
    asker.start()
    asked = 0
    while asker.is_alive() or not asked:
        expect(ask(node, "GET /livez HTTP/1.1\r\n{H}\r\n").status, 200)
        asked += 1
    expect(answers, [400])
    expect(request(node, "POST", M, b"[" + b"0," * 1_000_000 + b"0]").status, 400)
    expect(request(node, "POST", M, b"[" * 10_000_000).status, 400)
    expect(request(node, "POST", M, body(60_000)[:-1] + b',"k1":0}').status, 422)
    expect(request(node, "POST", M, body(60_000)).status, 201)
    expect(request(node, "GET", M + "?timeout=20").status, 200)
    assert node.resident() < before + 16384, f"{before} KiB, then {node.resident()} KiB"


# Starts


def refuses_to_start(what, sentence, *options, addr="127.0.0.1", port=None):
    def run():
        n = Node("refused", *options, addr=addr, port=port, wait=False)
        expect(n.process.wait(20), 1)
        last = n.text().rstrip().split("\n")[-1]
        os.unlink(f"{WORK}/refused.log")
        assert last.startswith("Error: ") and sentence in last and rows.TOKEN not in last, last
    tap.check(f"does not start: {what}", run)


def token_file(name, text, mode=0o600):
    path = f"{WORK}/{name}.token"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def starts():
    for what, sentence, path in (
            ("token readable by the group", "chmod 600", token_file("group", rows.TOKEN, 0o640)),
            ("token readable by others", "chmod 600", token_file("others", rows.TOKEN, 0o604)),
            ("token writable by others", "chmod 600", token_file("writable", rows.TOKEN, 0o602)),
            ("an empty token", "must be 16 to", token_file("empty", "")),
            ("a token of an empty line", "must be 16 to", token_file("line", "\n" + rows.TOKEN)),
            ("a short token", "must be 16 to", token_file("short", "123456789012345\n")),
            ("a long token", "must be 16 to", token_file("long", "a" * 257)),
            ("a token with a space", "must be 16 to", token_file("space", "correct horse battery staple")),
            ("no token file", "cannot be opened", WORK + "/nothing"),
            ("a folder as token", "is no file", WORK)):
        refuses_to_start(what, sentence, "--api-token-file", path)
    refuses_to_start("an outside address without a token", "--api-token-file", addr="0.0.0.0")
    refuses_to_start("an outside IPv6 address without a token", "--api-insecure", addr="[::]")
    refuses_to_start("a port in use", "--api-addr", port=main.port)


def insecure():
    n = Node("insecure", "--api-insecure", addr="0.0.0.0")
    expect([ask(n, "GET /livez HTTP/1.1\r\n" + line + "\r\n").status for line in
            ("Host: anything\r\n", "Host: anything\r\nOrigin: http://evil.example\r\n", "Host: anything\r\nSec-Fetch-Site: cross-site\r\n", "")],
           [200, 403, 403, 403])
    expect(n.end(), 0)


# Disks, and the end


def disk_full():
    disk = f"{WORK}/disk"
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", disk], check=True)
    with open(f"{disk}/filler", "wb") as f:
        f.write(bytes(1_500_000))
    n = Node("full", state=f"{disk}/state")
    inbox = [post(n, letter(n, random.randbytes(100_000))) for _ in range(3)]
    api.until(lambda: json.loads(ask(n, "GET /api/v1/admin HTTP/1.1\r\n{H}\r\n").body)["counts"]["messages"] == 3, 30, "three came")
    accepted = []
    while (r := request(n, "POST", M, letter(None, random.randbytes(60_000)))).status == 201:
        accepted.append(json.loads(r.body)["id"])
        assert len(accepted) < 100
    expect((r.status, r.headers["content-type"], b"disk is full" in r.body), (507, rows.TEXT, True))
    assert len(accepted) > 5, accepted
    expect(ask(n, "GET /livez HTTP/1.1\r\n{H}\r\n").status, 200)
    ready = ask(n, "GET /readyz HTTP/1.1\r\n{H}\r\n")
    expect((ready.status, b"[-]store" in ready.body), (503, True))
    expect([json.loads(request(n, "GET", M).body)["id"] for _ in inbox], inbox)
    while (r := request(n, "POST", M, letter(None, random.randbytes(60_000)))).status == 201:  # what was read has left room
        accepted.append(json.loads(r.body)["id"])
    expect(r.status, 507)
    assert all(request(n, "GET", rows.S + i).status == 200 for i in accepted)
    expect(request(n, "GET", M).status, 204)
    n.end(signal.SIGKILL)
    n.start()
    expect([i for i in accepted if request(n, "GET", rows.S + i).status != 200], [])
    os.unlink(f"{disk}/filler")
    r = api.until(lambda: (r := request(n, "POST", M, letter(None, b"x" * 60_000))).status == 201 and r, 30, "it goes on")
    accepted.append(json.loads(r.body)["id"])
    api.until(lambda: ask(n, "GET /readyz HTTP/1.1\r\n{H}\r\n").status == 200, 30, "it is ready")
    n.end(signal.SIGKILL)
    n.start()
    lost = [i for i in accepted if request(n, "GET", rows.S + i).status != 200]
    expect(lost, [])
    expect(request(n, "GET", M).status, 204)
    expect(n.end(), 0)
    subprocess.run(["umount", disk], check=True)


def corrupt(name, spoil):
    n = Node(name)
    post(n, letter(None, b"x"))
    expect(n.end(), 0)
    path = n.state + "/store.db"
    with open(path, "r+b") as f:
        spoil(f)
    with open(path, "rb") as f:
        spoiled = f.read()
    n.start()
    kept = [f for f in os.listdir(n.state) if f.startswith("store.db.corrupt-") and f[-1].isdigit()]
    expect(len(kept), 1)
    with open(f"{n.state}/{kept[0]}", "rb") as f:
        assert f.read() == spoiled, "what was there is not kept as it was"
    assert kept[0] in n.text(), "the log does not say so"
    post(n, letter(n))
    expect((request(n, "GET", M + "?timeout=20").status, n.end()), (200, 0))


def masked(text):
    data = text.encode()
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def ends_well(node):
    streams = [Conn(node).send(fill(UPGRADE.replace("{L}", "{H}").replace("{S}", PROTOCOL), node)) for _ in range(3)]
    for c in streams:
        expect(c.reply("HEAD").status, 101)
        c.send(masked('{"type":"init"}')).take(2)
    events = Conn(node).send(fill(UPGRADE.replace("messages/stream", "events").replace("{L}", "{H}").replace(
        "{S}", PROTOCOL.replace("msg", "events")), node))
    expect(events.reply("HEAD").status, 101)
    waiting = [Conn(node).send(fill("GET " + M + "?timeout=200&topic=AAAA HTTP/1.1\r\n{H}\r\n", node)) for _ in range(5)]
    waiting.append(Conn(node).send(fill("POST " + M + "?reply_timeout=600 HTTP/1.1\r\n{H}" + rows.JSON + "Content-Length: {N}\r\n\r\n{B}",
                                        node, letter())))
    half = Conn(node).send(b"GET / HT")
    expect(ask(node, "GET /livez HTTP/1.1\r\n{H}\r\n").status, 200)
    node.process.terminate()
    for c in waiting:
        r = c.reply()
        expect((r.status, r.body, c.rest()), (503, b"The node is shutting down.", b""))
    for c in streams + [events]:
        data = c.rest()
        assert b"\x88" in data, data
        at = data.rindex(b"\x88")
        expect(struct.unpack(">H", data[at + 2:at + 4])[0], 1001)
    expect((half.rest(), node.process.wait(30)), (b"", 0))


loris = Loris(Node("loris"))
loris.start()
main = Node("main")
guards(main, rows.GUARD, "")
tokened = Node("tokened", "--api-token-file", token_file("good", rows.TOKEN + "\n"), "--api-host", "proxy.example", "--api-host", "tls.example:443",
               "--api-host", "odd.example:1234", "--api-origin", "https://page.example", "--api-origin", "null")
AUTH = f"Authorization: Bearer {rows.TOKEN}\r\n"
guards(tokened, rows.TOKENED, AUTH)
for offered, answer in rows.SUBPROTOCOLS:
    tap.check(f"tokened: subprotocols {offered[:50]}: {answer}", lambda: expect(
        ask(tokened, UPGRADE.replace("{L}", "{H}").replace("{S}", f"Sec-WebSocket-Protocol: {offered}\r\n")).status, answer))
tap.check("tokened: a subprotocol is no token to a plain request", lambda: expect(
    ask(tokened, f"GET /livez HTTP/1.1\r\n{{H}}Sec-WebSocket-Protocol: bearer.{rows.B64}\r\n\r\n").status, 401))
tap.check("tokened: the page needs no token, all else does, however it is spelt", lambda: expect(
    [request(tokened, "GET", p).status for p in ("/", "/page.js", "/page.css", "/%70age.js", "/?", "/page.js/", "//", "/livez", "/metrics", "/nothing", M)],
    [200, 200, 200, 401, 200, 401, 401, 401, 401, 401, 401]))
for row, head, answer in rows.FRAMES:
    tap.check(f"{row}: {answer}", lambda: frame_row(main, head, answer))
for row, head in SMUGGLERS.items():
    tap.check(f"a request inside of a body: {row}", lambda: smuggled(main, head))
tap.check("none of these left a message", lambda: nothing_came(main))
for row in rows.WIRE:
    tap.check(f"{row[0]} {row[1][:60]} {row[2] if row[2] is None else row[2][:60]!r}: {row[3]}", lambda: wire_row(main, *row))
for kind, answer in rows.TYPES:
    tap.check(f"Content-Type {kind}: {answer}", lambda: expect(ask(
        main, "POST " + M + " HTTP/1.1\r\n{H}" + ("" if kind is None else f"Content-Type: {kind}\r\n") + "Content-Length: {N}\r\n\r\n{B}",
        letter()).status, answer))
tap.check("messages are read as wire-200 7.2 says", lambda: reading(main))
tap.check("replies", lambda: replies(main))
for length, kind, answer in ((1 << 21, False, 201), (1 << 21, True, 201), ((1 << 21) + 1, False, 413), ((1 << 21) + 1, True, 413)):
    tap.check(f"a body of {length} bytes, {'in chunks' if kind else 'announced'}: {answer}", lambda: sized(main, length, kind, answer))
for kind in (False, True):
    tap.check(f"byte by byte{', a chunk each' if kind else ''}", lambda: byte_by_byte(main, kind))
tap.check("Expect: 100-continue", lambda: awaits_go_on(main))
tap.check("requests one behind the other are answered in order", lambda: pipelined(main))
tap.check("a client that goes after any byte of a POST", lambda: vanishes(main))
tap.check("100 long polls: each message goes to one of them", lambda: polls(main))
tap.check("slow ones: 32 of an address, 256 in all; others are served", loris.result)
starts()
tap.check("--api-insecure: any Host, but no pages of others", insecure)
big = Node("big", "--api-max-body", "64M")
tap.check("a client that goes while it is answered loses no message", lambda: gone_while_answered(big))
tap.check("a million members", lambda: many_keys(big))
tap.check("memory after 2,000 refused and cut requests", lambda: memory(loris.node))
tap.check("a full disk: 507, and on when there is room; nothing accepted is lost", disk_full)
tap.check("a store that is none", lambda: corrupt("garbage", lambda f: f.write(random.randbytes(65536))))
tap.check("a store cut short", lambda: corrupt("short", lambda f: f.truncate(9000)))
tap.check("SIGTERM: who waits is told, streams end with 1001", lambda: ends_well(main))
for daemon in (tokened, big, loris.node):
    tap.equal(f"{daemon.name} ends well", daemon.end(), 0)
tap.equal("no CORS header in any answer", cors, [])
tap.end()
