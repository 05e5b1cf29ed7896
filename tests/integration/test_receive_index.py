"""neon-redo receive --index: the index is made while WAL comes, and no failure of it disturbs the receiver."""

import json
import os
import pathlib
import re
import subprocess
import time
import unittest
import urllib.request

import test_receive
from cluster import run_neon_redo
from test_receive import WAIT, load, wait_for


class ReceiveIndex(unittest.TestCase):
    settings = test_receive.Receive.settings
    cluster, directory = test_receive.Receive.cluster, test_receive.Receive.directory
    receive = test_receive.Receive.receive

    def setUp(self):
        self.server = self.cluster()
        self.server.pgbench("-i", "-q")
        self.wal, self.index = self.directory(), self.directory()

    def start(self, *arguments):
        receiver = self.receive(self.server, self.wal, "--index", self.index, *arguments)
        wait_for("a stream", lambda: "receiving into" in receiver.log())
        return receiver

    def indexed(self):
        """Names of the segments that have a file of their own."""
        return {path.stem for path in pathlib.Path(self.index).rglob("*.sst")}

    def complete(self):
        return {name[:24] for name in os.listdir(self.wal) if not name.endswith((".partial", ".history"))}

    def write(self, segments=2):
        """WAL of so many segments, the last of which is complete."""
        before = len(self.complete())
        with load(self.server):
            wait_for("segments", lambda: len(self.complete()) >= before + segments)

    def test_segments_are_indexed_as_they_come(self):
        receiver = self.start("--metrics", "127.0.0.1:0")
        port = re.search(r"metrics on port (\d+)", receiver.log())[1]

        def metric(name):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT) as answer:
                text = answer.read().decode()
            return float(re.search(rf"^neon_redo_receive_{name} (\S+)$", text, re.M)[1])

        self.write()
        # While one is compressed by another program.
        first = min(self.complete())
        subprocess.run(["gzip", os.path.join(self.wal, first)], check=True, timeout=WAIT)
        self.write()
        wait_for("the index", lambda: self.complete() <= self.indexed())
        wait_for("no lag", lambda: metric("index_lag_bytes") == 0)
        self.assertGreater(metric("indexed_lsn_bytes"), 0)
        self.assertEqual(metric("index_failures_total"), 0, receiver.log())
        # The segment in work has no file.
        self.assertEqual(self.indexed(), self.complete())
        # What is missing is made at the next start.
        began = time.monotonic()
        self.assertEqual(receiver.stop(), 0, receiver.log())
        self.assertLess(time.monotonic() - began, 10)
        lost = max(self.indexed())
        next(pathlib.Path(self.index).rglob(f"{lost}.sst")).unlink()
        receiver = self.start()
        wait_for("the lost file", lambda: lost in self.indexed())
        self.assertEqual(receiver.stop(), 0, receiver.log())
        # Nothing of it is made anew by a question, and it answers as a new index does.
        self.assertNotIn("next attempt", receiver.log())
        kept = {path.name: path.stat().st_ino for path in pathlib.Path(self.index).rglob("*.sst")}
        relation = self.server.psql("SELECT pg_relation_filepath('pgbench_history')")
        ask = lambda index: run_neon_redo("history", relation, "--wal", self.wal, "--index", index).stdout
        answer = ask(self.index)
        self.assertGreater(answer.count("\n"), 100)
        self.assertEqual(answer, ask(self.directory()))
        now = {path.name: path.stat().st_ino for path in pathlib.Path(self.index).rglob("*.sst")}
        self.assertEqual({name: now.get(name) for name in kept}, kept)

    def test_failures_are_warnings(self):
        os.rmdir(self.index)
        pathlib.Path(self.index).touch()
        receiver = self.start("--compress", "zstd")
        self.write()
        wait_for("a warning", lambda: "next attempt in" in receiver.log())
        self.assertRegex(receiver.log(), rf'warning: the index in "{self.index}" is not made up to .*Not a directory')
        self.write()
        self.assertIsNone(receiver.process.poll())
        # Once it is possible it is done: at the next attempt, which comes later after each failure.
        os.unlink(self.index)
        os.mkdir(self.index)
        wait_for("the index", lambda: self.complete() <= self.indexed(), 4 * WAIT)
        self.assertEqual(receiver.stop(), 0, receiver.log())
        report = json.loads(run_neon_redo("index", "--wal", self.wal, "--index", self.index, "--format=json").stdout)
        self.assertIsNone(report["damage"])


if __name__ == "__main__":
    unittest.main()
