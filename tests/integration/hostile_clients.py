#!/usr/bin/env python3
"""Hostile clients of serve-wal, and a probe that shows what they do to the others.

    hostile_clients.py KIND SECONDS SOCKET-DIRECTORY TCP-PORT METRICS-PORT

Runs as the server's user; needs nothing but Python. Each kind does one thing, and takes every refusal
as a reason to do it again. It prints "begun" when it has come to its harm for the first time, does it
for that time, and prints "reached N" with the number of times. `probe` prints a JSON object: how often it asked the
server by its Unix socket for its status, on a connection of its own each time, and the longest time
that one answer took from connecting to its end, in seconds. `salt` asks once and does no harm.

Over TCP they are the role "hostile" with the password "geheim".
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import random
import socket
import ssl
import struct
import sys
import time

kind, seconds, socket_directory, tcp_port, metrics_port = sys.argv[1:]
REFUSALS = (OSError, EOFError, ssl.SSLError, struct.error)
PATIENCE = 60  # seconds for the first harm, on a busy machine


class Harm:
    """How often a kind has come to its harm, and until when it goes on."""

    def __init__(self):
        self.count = 0
        self.end = time.monotonic() + PATIENCE

    def __call__(self):
        if self.count == 0:
            self.end = time.monotonic() + float(seconds)
            print("begun", flush=True)
        self.count += 1


harm = Harm()


def running():
    return time.monotonic() < harm.end


class Client:
    """A connection of the frontend/backend protocol."""

    def __init__(self, local=False, timeout=10):
        if local:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(os.path.join(socket_directory, ".s.PGSQL.5432"))
        else:
            self.socket = socket.create_connection(("127.0.0.1", int(tcp_port)), timeout)
        self.local = local
        self.salt = None  # of the role's verifier, once the server has sent it

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.socket.close()

    def start_tls(self):
        self.socket.sendall(struct.pack("!ii", 8, 80877103))
        if self.read(1) != b"S":
            raise EOFError
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def log_in(self, password="geheim", user="hostile"):
        if not self.local:
            self.start_tls()
        parameters = f"user\0{user}\0replication\0true\0application_name\0hostile\0\0"
        body = struct.pack("!i", 3 << 16) + parameters.encode()
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        if not self.local:
            self.prove(password)
        self.read_until(b"Z")
        return self

    def prove(self, password):
        """SCRAM-SHA-256 (RFC 5802), without channel binding."""
        self.read_until(b"R")
        first = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        message = b"n,," + first.encode()
        self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(message)) + message)
        server_first = self.read_until(b"R")[4:].decode()
        nonce, self.salt, iterations = (part[2:] for part in server_first.split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(self.salt), int(iterations)
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={nonce}"
        signature = hmac.digest(
            hashlib.sha256(key).digest(), f"{first},{server_first},{final}".encode(), "sha256"
        )
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.send(b"p", f"{final},p={base64.b64encode(proof).decode()}".encode())

    def send(self, kind_of_message, body):
        self.socket.sendall(kind_of_message + struct.pack("!i", len(body) + 4) + body)

    def query(self, text):
        self.send(b"Q", text.encode() + b"\0")

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def read_until(self, wanted):
        while True:
            kind_of_message = self.read(1)
            (length,) = struct.unpack("!i", self.read(4))
            body = self.read(length - 4)
            if kind_of_message == wanted:
                return body
            if kind_of_message == b"E":
                raise EOFError(body)

    def answer(self, text):
        self.query(text)
        return self.read_until(b"D")


def probe():
    times = []
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        began = time.monotonic()
        with Client(local=True, timeout=60) as client:
            client.log_in()
            client.query("SHOW neon_redo.status")
            client.read_until(b"Z")
        times.append(time.monotonic() - began)
        time.sleep(0.02)
    print(json.dumps({"asked": len(times), "worst": max(times)}))


def salt():
    """Prints the salt that the server sends for a role that it does not know."""
    with Client() as client:
        with contextlib.suppress(EOFError):
            client.log_in("x", user="nobody")
        print(client.salt)


def silent():
    """As many connections as there can be, which say nothing."""
    held = []
    while running():
        with contextlib.suppress(*REFUSALS):
            held.append(Client())
            harm()
        if len(held) > 300:
            held.pop(0).socket.close()
        if len(held) % 50 == 0:
            time.sleep(0.05)


def trickle():
    """A startup packet a byte at a time."""
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            for byte in struct.pack("!ii", 5000, 3 << 16) + b"x" * 5000:
                client.socket.sendall(bytes([byte]))
                harm()
                time.sleep(0.1)
                if not running():
                    return


def handshakes():
    """Handshakes, and nothing after them."""
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            client.start_tls()
            harm()


def passwords():
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            try:
                client.log_in(random.choice(["wrong", "x" * 1000]))
            except EOFError as refusal:
                if b"password authentication failed" in bytes(*refusal.args):
                    harm()


def garbage():
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            if random.random() < 0.5:
                client.start_tls()
            client.socket.sendall(random.randbytes(random.randrange(1, 20_000)))
            harm()
            client.socket.recv(100)


def syncs():
    """Small messages without an end, by one who has logged in."""
    flood = b"H\0\0\0\4" * 50_000
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            client.log_in()
            while running():
                client.socket.sendall(flood)
                harm()


def statuses():
    """Standby messages without an end, while WAL is streamed and not read."""
    body = b"r" + bytes(33)
    flood = (b"d" + struct.pack("!i", len(body) + 4) + body) * 5000
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            client.log_in()
            position = client.answer("IDENTIFY_SYSTEM").split(b"/")[1][:8].decode("ascii", "ignore")
            client.read_until(b"Z")
            client.query(f"START_REPLICATION PHYSICAL 0/{int(position, 16) & ~0xFFFFF:X}")
            client.read_until(b"W")
            while running():
                client.socket.sendall(flood)
                harm()


def queries():
    """Commands by the thousand, of which the answers are not read."""
    flood = b"".join(
        b"Q" + struct.pack("!i", len(q) + 5) + q + b"\0"
        for q in (b"IDENTIFY_SYSTEM", b"SHOW nonsense", b"TIMELINE_HISTORY 9", b"SELECT 1")
    )
    while running():
        with contextlib.suppress(*REFUSALS), Client(timeout=2) as client:
            client.log_in()
            while running():
                client.socket.sendall(flood * 100)
                harm()
                if random.random() < 0.5:
                    client.socket.recv(1 << 20)


def slots():
    """Slots made and dropped without waiting: each is a write that is flushed."""
    name = f"h{os.getpid()}"
    flood = b"".join(
        b"Q" + struct.pack("!i", len(q) + 5) + q + b"\0"
        for q in (f"CREATE_REPLICATION_SLOT {name} PHYSICAL".encode(),
                  f"DROP_REPLICATION_SLOT {name}".encode())
    )  # fmt: skip
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            client.log_in()
            while running():
                client.socket.sendall(flood * 100)
                if client.socket.recv(1 << 20):
                    harm()


def drop_wait():
    """Waits for a slot in use, and dies."""
    name = f"w{os.getpid()}"
    while running():
        with contextlib.suppress(*REFUSALS), Client() as holder, Client() as waiter:
            holder.log_in()
            waiter.log_in()
            holder.answer(f"CREATE_REPLICATION_SLOT {name} TEMPORARY PHYSICAL")
            holder.read_until(b"Z")
            waiter.query(f"DROP_REPLICATION_SLOT {name} WAIT")
            harm()
            time.sleep(0.1)
            raw = waiter.socket
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
            time.sleep(random.random())


def hoarders():
    """Connections that logged in and then say and read nothing."""
    held = []
    while running():
        with contextlib.suppress(*REFUSALS):
            held.append(Client().log_in())
            harm()
        if len(held) > 10:
            held.pop(0).socket.close()
        time.sleep(0.2)


def segment_ends():
    """Streams from near the end of a segment, again and again."""
    while running():
        with contextlib.suppress(*REFUSALS), Client() as client:
            client.log_in()
            answer = client.answer("IDENTIFY_SYSTEM")
            client.read_until(b"Z")
            end = int(answer.split(b"/")[1][:8].decode("ascii", "ignore"), 16)
            while running():
                start = (random.randrange(1, (end >> 20) + 1) << 20) - 8192
                client.query(f"START_REPLICATION PHYSICAL 0/{start:X}")
                try:
                    client.read_until(b"W")
                    harm()
                    client.send(b"c", b"")
                    client.read_until(b"Z")
                except EOFError:
                    client.read_until(b"Z")


def metrics():
    """Asks for the metrics and does not read them."""
    held = []
    while running():
        with contextlib.suppress(OSError):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            reader.settimeout(5)
            reader.connect(("127.0.0.1", int(metrics_port)))
            reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"\r\n" * random.randrange(2))
            held.append(reader)
            harm()
        if len(held) > 60:
            held.pop(0).close()
        time.sleep(0.02)


if __name__ == "__main__":
    globals()[kind]()
    if kind not in ("probe", "salt"):
        print(f"reached {harm.count}")
