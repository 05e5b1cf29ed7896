"""neon-redo verify --follow verifies the WAL of running servers as it arrives.

With NEON_REDO_LONG=1 (make test-follow-long) the mixed loads run for half an hour instead of ten seconds.
"""

import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from cluster import Cluster, copy_module, make_directory, neon_redo_program
from test_receive import WAIT, load, lsn, wait_for, wait_for_stream

MIXED_SECONDS = 1800 if os.environ.get("NEON_REDO_LONG") else 10
ROW = "i, md5(i::text), ARRAY[i % 9, i % 7], point(i, i)"
EVERY_INDEX = f"""CREATE EXTENSION bloom;
    CREATE TABLE m (id int, h text, g int[], p point);
    INSERT INTO m SELECT {ROW} FROM generate_series(1, 2000) i;
    CREATE INDEX ON m USING hash (h);
    CREATE INDEX ON m USING bloom (id);
    CREATE INDEX ON m USING gin (g);
    CREATE INDEX ON m USING gist (p);
    CREATE INDEX ON m USING spgist (p);
    CREATE INDEX ON m USING brin (id);
    CREATE INDEX ON m (id);"""


class VerifyFollow(unittest.TestCase):
    def follow(self, cluster, *arguments):
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.out = self.enterContext(tempfile.TemporaryFile("w+"))
        self.errors = self.enterContext(tempfile.TemporaryFile("w+"))
        command = [neon_redo_program(), "verify", "--follow", "--format", "json"]
        command += ["--dbname", f"host={cluster.directory} user=postgres"]
        command += ["--module", copy_module(directory), *arguments]
        process = subprocess.Popen(command, stdout=self.out, stderr=self.errors)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait(WAIT)

        self.addCleanup(end)
        return process

    def read(self, file):
        file.seek(0)
        return file.read()

    def result(self, process, status=0):
        self.assertEqual(process.wait(WAIT), status, self.read(self.errors))
        return json.loads(self.read(self.out))

    def caught_up(self, cluster, slot="s"):
        end = cluster.psql("SELECT pg_current_wal_flush_lsn()")
        query = f"SELECT restart_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'"
        # An idle server has a record of its own in the end; positions are of whole records.
        cluster.psql("SELECT pg_logical_emit_message(false, '', '')")
        wait_for("the slot at the end of WAL", lambda: cluster.psql(query) == "t")

    def start(self, cluster, *arguments):
        cluster.psql("SELECT pg_create_physical_replication_slot('s', true)")
        return self.follow(cluster, "--slot", "s", *arguments)

    def test_images_of_consistency_checking(self):
        """Continues over a lost connection."""
        settings = {"wal_consistency_checking": "all", "wal_level": "replica"}
        cluster = self.enterContext(Cluster(settings=settings))
        process = self.start(cluster, "--metrics", "127.0.0.1:0")
        cluster.pgbench("-i", "-q")
        wait_for_stream(cluster)
        with load(cluster):
            time.sleep(1.5)
            cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
            time.sleep(1.5)
        self.caught_up(cluster)
        port = int(re.search(r"metrics on port (\d+)", self.read(self.errors))[1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT) as answer:
            metrics = answer.read().decode()
        self.assertRegex(metrics, r"neon_redo_verify_images_compared_total [1-9]")
        self.assertRegex(metrics, r"neon_redo_verify_mismatches_total 0")
        process.send_signal(signal.SIGINT)
        result = self.result(process)
        self.assertEqual(result["mismatches"], [])
        self.assertGreater(result["images_compared"], 1000)
        self.assertGreater(result["native_share"], 0.9)
        self.assertIn("streaming again", self.read(self.errors))

    def test_full_page_images(self):
        """Without consistency checking, images of deletes and hint records are compared."""
        cluster = self.enterContext(Cluster(settings={"wal_level": "replica"}))
        process = self.start(cluster)
        cluster.pgbench("-i", "-q")
        for modulus in (7, 11, 13):
            cluster.psql(
                f"CHECKPOINT; DELETE FROM pgbench_accounts WHERE aid % {modulus} = 0;"
                "SELECT count(*) FROM pgbench_accounts"
            )
        with load(cluster):
            time.sleep(1)
        self.caught_up(cluster)
        process.send_signal(signal.SIGINT)
        result = self.result(process)
        self.assertEqual(result["mismatches"], [])
        self.assertGreater(result["images_compared"], 1000)

    def test_images_of_changes_in_block_data(self):
        """Such a record leaves its data out, so that there is nothing to compare its image with."""
        settings = {"wal_level": "replica", "autovacuum": "off"}
        cluster = self.enterContext(Cluster(settings=settings))
        process = self.start(cluster)
        cluster.psql(EVERY_INDEX + "CREATE SEQUENCE s;")
        # Each statement is the first to change its pages after a checkpoint, twice.
        for statement in (
            "INSERT INTO m SELECT i, md5(i::text), ARRAY[i % 9], point(i, i)"
            " FROM generate_series(2001, 3000) i",
            "DELETE FROM m WHERE id % 10 = 0",
            "VACUUM m",
            "UPDATE m SET h = h || 'x' WHERE id % 7 = 0",
            "SELECT count(*) FROM m WHERE h > 'a'",
            "DELETE FROM m WHERE id % 5 = 1",
            "VACUUM (FREEZE) m",
            "SELECT nextval('s')",
        ):
            cluster.psql(f"CHECKPOINT;\n{statement};\nCHECKPOINT;\n{statement}")
        self.caught_up(cluster)
        process.send_signal(signal.SIGINT)
        result = self.result(process)
        self.assertEqual(result["mismatches"], [])
        self.assertGreater(result["images_compared"], 10)

    def test_mixed_loads(self):
        """Writers, VACUUM and checkpoints at once, with an index of each kind."""
        settings = {"wal_level": "replica", "autovacuum_naptime": "1s", "max_wal_size": "2GB"}
        cluster = self.enterContext(Cluster(settings=settings))
        process = self.start(cluster)
        cluster.psql(EVERY_INDEX)
        end = time.monotonic() + MIXED_SECONDS

        def write(seed):
            chance = random.Random(seed)
            while time.monotonic() < end:
                start, part = chance.randrange(1_000_000), chance.randint(3, 30)
                some = f"id % {part} = {chance.randrange(part)}"
                cluster.psql(
                    chance.choice(
                        [
                            f"INSERT INTO m SELECT {ROW} FROM generate_series({start}, {start} + 500) i",
                            f"DELETE FROM m WHERE {some}",
                            f"UPDATE m SET h = md5(h) WHERE {some} AND id < {start}",
                            f"SELECT count(*) FROM m WHERE {some}",
                            f"BEGIN; DELETE FROM m WHERE {some}; ROLLBACK",
                            f"DELETE FROM m WHERE id > {chance.randint(3000, 30000)}",
                        ]
                    )
                )

        def maintain():
            while time.monotonic() < end:
                cluster.psql("VACUUM m")
                cluster.psql("CHECKPOINT")
                time.sleep(min(5, MIXED_SECONDS / 5))

        with concurrent.futures.ThreadPoolExecutor() as pool:
            for work in [pool.submit(write, 1), pool.submit(write, 2), pool.submit(maintain)]:
                work.result()
        self.caught_up(cluster)
        process.send_signal(signal.SIGINT)
        result = self.result(process)
        self.assertEqual(result["mismatches"], [])
        self.assertGreater(result["images_compared"], 100)

    def test_a_page_changed_behind_the_servers_back_is_found(self):
        cluster = self.enterContext(
            Cluster(settings={"wal_level": "replica", "autovacuum": "off"}, checksums=False)
        )
        process = self.start(cluster)
        cluster.psql("CREATE TABLE t AS SELECT i, 'some text' AS b FROM generate_series(1, 100) i")
        path = cluster.psql("CHECKPOINT; SELECT pg_relation_filepath('t')")
        cluster.stop()
        with open(os.path.join(cluster.data, path), "r+b") as file:
            page = file.read(8192)
            at = page.index(b"some text")
            file.seek(at)
            file.write(b"SOME")
        cluster.start()
        cluster.psql("DELETE FROM t WHERE i = 50")
        self.caught_up(cluster)
        process.send_signal(signal.SIGINT)
        result = self.result(process, 1)
        self.assertEqual(len(result["mismatches"]), 1, result)
        found = result["mismatches"][0]
        self.assertEqual(found["block"], 0)
        self.assertEqual(found["first_differing_offset"], at)
        self.assertIn("DELETE", found["last_record"])
        self.assertIn("full-page image", self.read(self.errors))

    def test_until_and_refusals(self):
        cluster = self.enterContext(Cluster(settings={"wal_level": "replica"}))
        start = cluster.psql("SELECT pg_current_wal_flush_lsn()")
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10000)")
        until = cluster.psql("SELECT pg_current_wal_flush_lsn()")
        cluster.psql("SELECT pg_logical_emit_message(true, '', '')")
        result = self.result(self.follow(cluster, "--start", start, "--until", until))
        self.assertGreaterEqual(lsn(result["end_lsn"]), lsn(until))
        self.assertGreater(result["records"], 1)
        for arguments, words in (
            (["--slot", "none"], 'replication slot "none" does not exist'),
            (["--start", "x"], "x"),
            (["--wal", "/tmp"], "--follow takes its WAL from a server"),
        ):
            process = self.follow(cluster, *arguments)
            self.assertEqual(process.wait(WAIT), 2)
            self.assertIn(words, self.read(self.errors))


if __name__ == "__main__":
    unittest.main()
