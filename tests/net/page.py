# SPDX-License-Identifier: Apache-2.0
"""Drives the page of a node with a headless browser, in the network namespace of the node.

page.py node ADDRESS KEY PEER_ADDRESS PEER_KEY PEER_NAMESPACE PID
page.py token TOKEN ADDRESS

Prints `ok TEXT` or `not_ok TEXT` for each thing that must be so, and `end` when it ran through. It waits for states, with
a limit that only a failure reaches.
"""
import base64
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

URL = "http://127.0.0.1:8989"
LIMIT_S = 30
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]


class Page:
    """The page in a browser of its own."""

    def __init__(self, profile):
        options = Options()
        for flag in FLAGS + [f"--user-data-dir={profile}", "--window-size=1280,1000"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        return self.js("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector)

    def write(self, selector, text):
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def press(self, selector):
        self.driver.find_element("css selector", selector).click()

    def await_that(self, what, condition):
        """A line of the test: the condition comes about."""
        try:
            WebDriverWait(self.driver, LIMIT_S, poll_frequency=0.05).until(lambda _: condition())
            check(what, True)
        except TimeoutException:
            check(what, False)
            print("# the page says:", " | ".join(self.text("body").splitlines())[:1500])

    def send(self, to, topic, text):
        self.write("#send-to", to)
        self.write("#send-topic", topic)
        self.write("#send-text", text)
        self.press("#send-form button")

    def complaints(self):
        """What the browser did not like, but for refusals by status, which tests provoke."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"]]


def check(what, good):
    print("ok" if good else "not_ok", what, flush=True)


def encode(data):
    return base64.b64encode(data).decode()


def curl(namespace, path, body=None):
    """Status and text of an answer of the API in that namespace, or here."""
    command = ["nsenter", f"--net={namespace}"] if namespace else []
    command += ["curl", "-s", "-m", "20", "-w", "\n%{http_code}", URL + path]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text, status = answer.rsplit("\n", 1)
    return int(status), text


def state_of(namespace, message):
    status, text = curl(namespace, f"/api/v1/messages/status/{message}")
    return json.loads(text)["state"] if status == 200 else None


def check_status(page, address, key, peer_net):
    page.await_that("the page says that the node is ready", lambda: page.text("#ready") == "ready")
    page.await_that("it shows the node's address", lambda: address in page.text("#status"))
    page.await_that("it shows the node's key", lambda: key in page.text("#status"))
    page.await_that("it shows the peer as alive", lambda: any(
        "10.1.0.2:9651" in row and "alive" in row for row in page.texts("#peers tbody tr")))
    page.await_that("it shows the route", lambda: any(peer_net in row for row in page.texts("#routes tbody tr")))
    page.await_that("and how many there are", lambda: page.text("#route-count") == "1")
    page.await_that("it shows the session", lambda: any(
        peer_net in row and "session" in row and "packets" in row for row in page.texts("#sessions tbody tr")))
    page.await_that("with the end of its pin", lambda: any(
        re.search(r"\b20\d\d-\d\d-\d\d\b", row) for row in page.texts("#sessions tbody tr")))
    page.await_that("and how many there are of them", lambda: page.text("#session-count") == "1")
    page.await_that("the status counts it too", lambda: "1 in a session, 0 static, 0 waiting, 0 idle; 1 pinned" in page.text("#status"))


def check_sending(page, peer, peer_key, namespace):
    text = "Grüße <b>nobody</b>\nsecond line"
    page.send(peer, "greeting", text)
    page.await_that("a message that was sent is said to have arrived", lambda: "has arrived" in page.text("#send-note"))
    _, answer = curl(namespace, "/api/v1/messages?timeout=20")
    message = json.loads(answer)
    check("it arrives as it was written", base64.b64decode(message["payload"]).decode() == text)
    check("with its topic", message["topic"] == encode(b"greeting"))
    page.await_that("and is said to have been read", lambda: "has been read" in page.text("#send-note"))
    page.send(peer_key, "", "to a key")
    page.await_that("a message to a key arrives", lambda: "has arrived" in page.text("#send-note"))
    _, answer = curl(namespace, "/api/v1/messages?timeout=20")
    check("without a topic", "topic" not in json.loads(answer))
    page.send("nobody", "", "x")
    page.await_that("a refusal is shown in its words", lambda: "dst.ip" in page.text("#send-note"))
    page.send(peer, "t" * 256, "x")
    page.await_that("a topic that is too long is explained", lambda: "255" in page.text("#send-note"))


def check_receiving(page, address, namespace):
    def post(payload, topic=None):
        body = {"dst": {"ip": address}, "payload": encode(payload)}
        if topic:
            body["topic"] = encode(topic)
        status, text = curl(namespace, "/api/v1/messages", body)
        assert status == 201, text
        return json.loads(text)["id"]

    markup = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    first = post(markup.encode(), b"a topic")
    page.await_that("a message arrives", lambda: state_of(namespace, first) == "received")
    page.await_that("and is counted", lambda: page.text("#message-count") == "1 in the inbox")
    check("nothing is taken before the button is pressed", not page.texts("#messages li"))
    check("the page says that it takes", "takes messages out" in page.text("main"))
    page.press("#receive")
    page.await_that("it is shown then", lambda: page.texts("#messages pre") == [markup])
    check("with its sender and topic", all(
        part in page.text("#messages li") for part in (page.peer_address, "topic a topic")))
    check("as text, which does nothing", page.js(
        "return !window.hacked && !document.querySelector('#messages script, #messages img')"))
    page.await_that("and acknowledged", lambda: state_of(namespace, first) == "read")
    binary = post(bytes(range(256)))
    page.await_that("what is no text is shown as base64", lambda: encode(bytes(range(256))) in page.texts("#messages pre"))
    page.await_that("and acknowledged too", lambda: state_of(namespace, binary) == "read")
    page.press("#receive")
    page.await_that("the button ends it", lambda: page.text("#receive-note") == "Not receiving.")
    last = post(b"later")
    page.await_that("a later message arrives", lambda: state_of(namespace, last) == "received")
    status, text = curl(None, "/api/v1/messages?peek=true&timeout=20")
    check("and stays in the inbox", status == 200 and json.loads(text)["id"] == last)
    check("not on the page", len(page.texts("#messages li")) == 2)


def check_limits(page):
    hacked = "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
    check("no script but its own runs", page.js(hacked + "return window.hacked === undefined"))
    page.driver.set_script_timeout(LIMIT_S)
    refused = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://10.1.0.2:9651/').then(() => done(false), () => done(true))")
    check("it reaches no other host", refused)
    blocked = [line for line in page.complaints() if "Content Security Policy" in line]
    check("both because it is not allowed to", len(blocked) >= 2)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})
    check("it fits on a phone", page.js("return document.documentElement.scrollWidth") <= 390)


def check_end(page, pid):
    page.press("#receive")
    page.await_that("it receives again", lambda: page.text("#receive-note") == "Receiving.")
    subprocess.run(["kill", "-TERM", pid], check=True)
    page.await_that("it says when the connection breaks, and why", lambda: "going away" in page.text("#receive-note"))
    page.await_that("and when the node does not answer", lambda: page.text("#ready") == "no answer from the node")


def run_node(page, address, key, peer, peer_key, namespace, pid):
    page.peer_address = peer
    page.driver.get(URL + "/")
    check_status(page, address, key, ":".join(peer.split(":")[:2]))
    check_sending(page, peer, peer_key, namespace)
    check_receiving(page, address, namespace)
    complaints = page.complaints()
    check("the browser has nothing to complain of", not complaints)
    for line in complaints:
        print("#", line)
    check_limits(page)
    check_end(page, pid)


def run_token(page, token, address):
    kept = "return [localStorage.length, sessionStorage.length, document.cookie, location.search + location.hash]"
    page.driver.get(URL + "/")
    page.await_that("without the token the page asks for it", lambda: page.text("#ready") == "token needed")
    check("and shows nothing", not page.text("#status"))
    page.write("#token", "a guess")
    page.press("#token-form button")
    page.await_that("a wrong one is refused", lambda: "does not accept" in page.text("#token-note"))
    page.write("#token", token)
    page.press("#token-form button")
    page.await_that("with the right one it goes on", lambda: page.text("#ready") == "ready")
    page.await_that("and shows the node", lambda: address in page.text("#status"))
    page.press("#receive")
    page.await_that("messages are received with it too", lambda: page.text("#receive-note") == "Receiving.")
    check("the token is kept nowhere", page.js(kept) == [0, 0, "", ""])
    check("the field is empty again", page.js("return document.querySelector('#token').value") == "")
    page.driver.refresh()
    page.await_that("so that a new page asks again", lambda: page.text("#ready") == "token needed")
    stranger = urllib.parse.urlsplit(URL)._replace(netloc="[::1]:8989").geturl()
    page.driver.get(stranger + "/")
    page.await_that("the page is served on ::1 too", lambda: page.text("#ready") == "token needed")


def main():
    with tempfile.TemporaryDirectory() as profile:
        page = Page(profile)
        try:
            {"node": run_node, "token": run_token}[sys.argv[1]](page, *sys.argv[2:])
            print("end")
        finally:
            page.driver.quit()


main()
