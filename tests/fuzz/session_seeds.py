#!/usr/bin/env python3
"""Writes seeds for session_fuzz and tls_fuzz: session_seeds.py SESSION-DIR TLS-DIR."""

import pathlib
import struct
import sys


def packet(code, body=b""):
    return struct.pack("!iI", len(body) + 8, code) + body


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def pieces(data, between=b"\0"):
    """With their lengths; the client reads in between."""
    out = b""
    for at in range(0, len(data), 200):
        part = data[at : at + 200]
        out += bytes([len(part)]) + part + between
    return out


STARTUP = packet(3 << 16, b"user\0u\0replication\0true\0application_name\0a\0_pq_.x\0y\0\0")
STATUS = struct.pack("!cQQQqB", b"r", 0x3FC100, 0x3FC100, 0, 0, 1)
FEEDBACK = struct.pack("!cqIIII", b"h", 0, 700, 0, 700, 0)
COMMANDS = (
    "IDENTIFY_SYSTEM", "SHOW wal_segment_size;", "SHOW neon_redo.status", "TIMELINE_HISTORY 1",
    'CREATE_REPLICATION_SLOT "s" TEMPORARY PHYSICAL ( RESERVE_WAL, X \'y\' )',
    "READ_REPLICATION_SLOT s", "DROP_REPLICATION_SLOT s WAIT",
    "START_REPLICATION SLOT s PHYSICAL 0/3FC000 TIMELINE 1", "START_REPLICATION FF/0",
    "BASE_BACKUP", "CREATE_REPLICATION_SLOT s LOGICAL p", "SELECT 1",
)  # fmt: skip
FIRST = b"SCRAM-SHA-256\0" + struct.pack("!i", 16) + b"n,,n=,r=abcdefgh"

SEEDS = {
    "startup": b"\0" + pieces(packet(80877103)) + pieces(packet(80877104)) + pieces(STARTUP),
    "cancel": b"\0" + pieces(packet(80877102, bytes(8))),
    "login_and_stream": b"\0" + pieces(STARTUP + query("START_REPLICATION 0/3FC000")),
    "commands": b"\1" + pieces(b"".join(query(text) for text in COMMANDS)),
    # More answers than a session keeps for a client that does not read.
    "deaf": b"\1" + pieces(1000 * message(b"F", b""), between=b""),
    "extended": b"\1" + pieces(message(b"P", b"\0\0\0\0") + message(b"S", b"") + message(b"F", b"")),
    "slot": b"\1" + pieces(query("CREATE_REPLICATION_SLOT s PHYSICAL RESERVE_WAL"))
    + pieces(query("START_REPLICATION SLOT s 0/3FC000") + message(b"d", STATUS)),
    "stream": b"\2" + pieces(message(b"d", STATUS) + message(b"d", FEEDBACK)) + b"\xff\xff"
    + pieces(message(b"c", b"") + query("IDENTIFY_SYSTEM") + message(b"X", b"")),
    "timeout": b"\2" + b"\xff" * 7,
    "password": b"\3" + pieces(STARTUP) + pieces(message(b"p", FIRST))
    + pieces(message(b"p", b"c=biws,r=abcdefghX,p=" + b"A" * 43 + b"=")),
    "right_password": b"\3" + pieces(STARTUP) + b"\xfe\0\xfe\0" + pieces(query("IDENTIFY_SYSTEM")),
    "remote": b"\4" + pieces(query("SHOW neon_redo.status") + query("START_REPLICATION 0/3FC000")),
}  # fmt: skip

DATA, KEY_UPDATE, RAW, RECORD, RENEGOTIATE, HALF_CLOSE, READ, BY_BYTE = range(8)


def step(kind, data=b""):
    return bytes([kind, len(data)]) + data


# The start of a ClientHello of 100 kB, one byte in each record.
PIECES = b"".join(b"\x16\x03\x01\0\1" + bytes([byte]) for byte in b"\1\1\x86\xa0\3\3" + bytes(30))
HELLO = b"\x16\x03\x01\0\x06\1\0\0\2\3\3"

TLS_SEEDS = {
    "no_tls": b"\0" + step(RAW, STARTUP),
    "half_hello": b"\0" + step(RAW, HELLO) + step(HALF_CLOSE),
    "hello_in_pieces": b"\0" + step(RAW, PIECES),
    "records": b"\0" + b"".join(step(RECORD, bytes([kind]) + bytes(20)) for kind in range(5)),
    "startup": b"\1" + step(DATA, STARTUP) + step(READ) + step(HALF_CLOSE),
    "startup_by_byte": b"\1" + step(BY_BYTE, STARTUP) + step(READ),
    "few_key_updates": b"\1" + step(KEY_UPDATE, bytes(20)) + step(DATA, STARTUP),
    "many_key_updates": b"\1" + step(KEY_UPDATE, bytes(60)) + step(KEY_UPDATE, bytes(60)),
    "renegotiate": b"\2" + step(DATA, STARTUP) + step(RENEGOTIATE),
    "bad_record": b"\2" + step(DATA, STARTUP) + step(RECORD, b"\3" + bytes(40)),
    "commands": b"\3" + step(DATA, query("IDENTIFY_SYSTEM")) + step(KEY_UPDATE, b"\0")
    + step(DATA, query("START_REPLICATION 0/3FC000") + message(b"d", STATUS)) + step(READ),
    "dead": b"\3" + step(DATA, query("IDENTIFY_SYSTEM")[:7]) + step(HALF_CLOSE),
}  # fmt: skip

for directory, seeds in zip(sys.argv[1:], (SEEDS, TLS_SEEDS)):
    target = pathlib.Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (target / name).write_bytes(data)
