#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receives datagrams on a port until none has come for a second; prints the longest time between two as JSON.  gap.py PORT"""
import json
import socket
import sys
import time

s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", int(sys.argv[1])))
s.settimeout(30)
count, longest, last = 0, 0.0, None
try:
    while s.recv(2048):
        now = time.monotonic()
        longest, last, count = max(longest, now - last) if last else 0.0, now, count + 1
        s.settimeout(2)
except TimeoutError:
    pass
print(json.dumps({"packets": count, "longest": longest}))
