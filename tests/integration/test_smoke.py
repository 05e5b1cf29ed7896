"""Each command of neon-redo once, on one cluster: what make check runs in seconds.

What the commands promise in detail is for the modules of their own; here stands that each of them
starts, reads this cluster and ends well.
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

from cluster import ROOT, Cluster, copy_module, neon_redo_program, run_neon_redo
from test_manager import key_of_block
from test_worker import begin, get, push
from wal_server import WalServer

sys.path.insert(0, str(ROOT / "tests" / "bench"))

import make_wal  # noqa: E402  (needs the path above)

PAGE = 8192
WAIT = 30  # seconds until something that must happen counts as not happening
PAGE_SERVER_RECORD = "record: 0/8 ClearVisibilityMapFlags 1 - 3"


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {**make_wal.SETTINGS, "wal_level": "logical"}
        cls.cluster = cls.enterClassContext(Cluster(settings=settings))
        cls.module = copy_module(cls.cluster.directory)
        cls.cluster.psql(make_wal.SHORT_TABLES)
        cls.cluster.psql("CREATE TABLE logical (a int); CREATE PUBLICATION p FOR TABLE logical")
        cls.cluster.psql("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        cls.backup = cls.cluster.basebackup("backup", "--wal-method=none", "--no-manifest")
        cls.cluster.psql(make_wal.SHORT)
        cls.cluster.psql(make_wal.MEDIUM)
        cls.cluster.psql("INSERT INTO logical VALUES (7)")
        cls.path = cls.cluster.psql("SELECT pg_relation_filepath('medium')")
        # Both receivers end by themselves at this LSN, once WAL goes on after it.
        cls.end = cls.cluster.psql("SELECT pg_current_wal_insert_lsn()")
        cls.cluster.psql("CREATE TABLE moves_the_end_of_wal (a int)")
        cls.archive = os.path.join(cls.cluster.directory, "archive")
        os.mkdir(cls.archive)
        cls.received = cls.receive("receive", "--wal", cls.archive)
        cls.logical = cls.receive("receive-logical", "--slot", "s", "--publication", "p")
        cls.cluster.stop()

    @classmethod
    def receive(cls, command, *arguments):
        """Runs one of the receivers up to cls.end; its result is for the test to look at."""
        where = f"host={cls.cluster.directory} port={cls.cluster.port} user=postgres dbname=postgres"
        return subprocess.run(
            [neon_redo_program(), command, "--dbname", where, "--until", cls.end, *arguments],
            env=cls.cluster.environment(),
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )

    def redo(self, command, *arguments):
        return run_neon_redo(command, *arguments, timeout=WAIT).stdout

    def block(self, number):
        with open(os.path.join(self.cluster.data, self.path), "rb") as file:
            file.seek(number * PAGE)
            return file.read(PAGE)

    def test_verify(self):
        text = self.redo(
            "verify", "--base-backup", self.backup, "--wal", self.cluster.wal,
            "--against", self.cluster.data, "--module", self.module,
        )  # fmt: skip
        self.assertRegex(text, r"\nAll [0-9,]+ pages are equal\.\n")

    def test_verify_without_a_cluster(self):
        """What is compared with nothing is not called equal."""
        options = ["--base-backup", self.backup, "--wal", self.cluster.wal, "--module", self.module]
        text = self.redo("verify", *options)
        self.assertRegex(text, r"\nWAL replays to .*Nothing was compared")
        self.assertRegex(text, r"(?m)^Resource manager +Rebuilt  Not rebuilt$")
        self.assertRegex(text, r"(?m)^Total +[0-9,]+ +0$")

    def test_waldump(self):
        self.assertIn("Heap", self.redo("waldump", "--wal", self.cluster.wal))

    def test_ingest(self):
        result = json.loads(self.redo("ingest", "--wal", self.cluster.wal, "--format", "json"))
        self.assertEqual(result["unknown"], [])
        self.assertGreater(result["changes"]["record"], 10000)

    def test_page(self):
        output = os.path.join(self.cluster.directory, "page")
        self.redo(
            "page", f"{self.path}/3", "--wal", self.cluster.wal, "--lsn", "end",
            "--base-backup", self.backup, "--index", os.path.join(self.cluster.directory, "index"),
            "--module", self.module, "--output", output,
        )  # fmt: skip
        page = pathlib.Path(output).read_bytes()
        # The LSN and the free space; hint bits are not logged.
        self.assertEqual((page[:8], page[12:20]), (self.block(3)[:8], self.block(3)[12:20]))

    def test_receive(self):
        self.assertEqual(self.received.returncode, 0, self.received.stderr)
        segments = [name for name in os.listdir(self.archive) if len(name.split(".")[0]) == 24]
        self.assertEqual(len(segments), 1)
        received = pathlib.Path(self.archive, segments[0]).read_bytes()
        written = pathlib.Path(self.cluster.wal, segments[0].split(".")[0]).read_bytes()
        high, low = self.end.split("/")
        length = ((int(high, 16) << 32) + int(low, 16)) % len(written)
        self.assertGreater(length, 0)
        self.assertEqual(received[:length], written[:length])

    def test_receive_logical(self):
        self.assertEqual(self.logical.returncode, 0, self.logical.stderr)
        events = [json.loads(line) for line in self.logical.stdout.splitlines()]
        inserted = [event["new"] for event in events if event["action"] == "insert"]
        self.assertEqual(inserted, [{"a": "7"}])

    def test_serve_wal(self):
        with WalServer(self.cluster.wal) as server:
            fields = server.query("IDENTIFY_SYSTEM").split("|")
            self.assertEqual(fields[1], "1")
            # The connection that asks is not in the list.
            show = [server.program, "serve-wal", "--status", "--json", "--socket", server.directory]
            status = json.loads(server.run(show).stdout)
            self.assertEqual(status["wal_senders"], [])
            self.assertEqual(server.stop(), 0)

    def test_worker(self):
        block, page = (0, 1663, 5, 16384, 3), self.block(3)  # fork first
        frames = begin(block) + push(block, page) + get(block)
        command = [neon_redo_program(), "worker", "--module", self.module]
        result = subprocess.run(
            command, input=frames, capture_output=True, timeout=WAIT, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, page)

    def test_doctor(self):
        text = self.redo("doctor", "--module", self.module)
        self.assertRegex(text, r"(?m)^filter +yes +yes ")

    def test_bench(self):
        common = ["--wal", self.cluster.wal, "--module", self.module, "--format", "json"]
        report = json.loads(self.redo("bench", *common, "--runs", "1", "--seconds", "0.01"))
        self.assertEqual(len(report["throughput"]), 9)

    def test_replay(self):
        capture = pathlib.Path(self.cluster.directory, "capture")
        head = ["neon-redo capture 1", "error: none", f"key: {key_of_block(1663, 5, 16384, 2, 0)}"]
        head += ["lsn: 0/1", "kind: read", f"base: {PAGE}", PAGE_SERVER_RECORD, "", ""]
        capture.write_bytes("\n".join(head).encode() + b"\xff" * PAGE)
        self.assertIn("The request succeeds now.", self.redo("replay", capture))


if __name__ == "__main__":
    unittest.main()
