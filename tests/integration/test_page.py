"""neon-redo page: every SLRU page and pages of all relations are rebuilt from a base backup and WAL and
compared with the stopped cluster's files. Pages at earlier LSNs are compared, too.
"""

import json
import os
import random
import shutil
import struct
import tempfile
import time
import unittest

import workload
from cluster import Cluster, copy_module, run_neon_redo

BLOCK = 8192
ROWS = 200
SLRUS = ["pg_xact", "pg_multixact/offsets", "pg_multixact/members", "pg_commit_ts"]
SAMPLE = 12  # pages of relations; each is a program start


def read_block(path, block):
    with open(path, "rb") as file:
        file.seek(block * BLOCK)
        return file.read(BLOCK)


def lsn_of(page):
    high, low = struct.unpack_from("<II", page)
    return high << 32 | low


class PageAtEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(settings=workload.SETTINGS)
        cls.enterClassContext(cls.cluster)
        workload.prepare(cls.cluster, ROWS)
        cls.backup = workload.basebackup(cls.cluster)
        workload.run(cls.cluster, ROWS, rounds=workload.ROUNDS[2:3])
        cls.cluster.stop()
        cls.module = copy_module(cls.cluster.directory)
        cls.index = os.path.join(cls.cluster.directory, "index")

    def page(self, name, *more, lsn="end", check=True):
        """The program's result as JSON, and the page's bytes."""
        output = os.path.join(self.cluster.directory, "page")
        result = run_neon_redo(
            "page", name, "--wal", self.cluster.wal, "--lsn", lsn, "--base-backup", self.backup,
            "--index", self.index, "--module", self.module, "--format", "json", "--output", output,
            *more, check=check,
        )  # fmt: skip
        if result.returncode != 0:
            return result, None
        with open(output, "rb") as file:
            return json.loads(result.stdout), file.read()

    def test_slru_pages_are_those_on_disk(self):
        compared = 0
        for slru in SLRUS:
            directory = os.path.join(self.cluster.data, slru)
            for segment in sorted(os.listdir(directory)):
                path = os.path.join(directory, segment)
                for block in range(os.path.getsize(path) // BLOCK):
                    with self.subTest(page=f"{slru}/{segment}/{block}"):
                        _, page = self.page(f"{slru}/{segment}/{block}")
                        self.assertEqual(page, read_block(path, block))
                        compared += 1
        self.assertGreaterEqual(compared, len(SLRUS))

    def test_pages_of_relations_are_those_on_disk(self):
        # Hint bits are not logged, so of most pages the header is compared: line pointers, free
        # space. The LSN may be younger on disk: a page that becomes all-visible gets that record's
        # when hint bits need one (heap_xlog_visible). Of the visibility map all bits are compared.
        names = []
        for directory in ("global", *(f"base/{d}" for d in os.listdir(f"{self.cluster.data}/base"))):
            for name in os.listdir(os.path.join(self.cluster.data, directory)):
                path = os.path.join(self.cluster.data, directory, name)
                if name[0].isdigit() and not name.endswith(("_fsm", "_init")):
                    blocks = os.path.getsize(path) // BLOCK
                    names += [(f"{directory}/{name}", block) for block in range(blocks)]
        unlogged = set(
            self.restarted(
                "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relpersistence = 'u'"
            )
        )
        names = [n for n in names if n[0].split("_")[0] not in unlogged]
        maps = [n for n in names if "_vm" in n[0]]
        chosen = random.Random(1).sample(names, SAMPLE) + random.Random(2).sample(maps, 3)
        for name, block in chosen:
            with self.subTest(page=f"{name}/{block}"):
                disk = self.frozen[name][block * BLOCK :][:BLOCK]
                if "_vm" not in name and lsn_of(disk) == 0:
                    # Added ahead of need, which is not logged, and not used: no line pointer
                    # (RelationAddExtraBlocks; _hash_alloc_buckets leaves zeroes).
                    self.assertIn(int.from_bytes(disk[12:14], "little"), (0, 24))
                    continue
                _, page = self.page(f"{name}/{block}")
                if "_vm" in name:
                    self.assertEqual(page[24:], disk[24:])
                else:
                    self.assertEqual(page[12:20], disk[12:20])
                    self.assertLessEqual(lsn_of(page), lsn_of(disk))
                    self.assertGreater(lsn_of(page), 0)

    def restarted(self, query):
        """Query results of the cluster, started for them; copies of its files are in frozen."""
        self.frozen = {}
        for directory, _, files in os.walk(self.cluster.data):
            for name in files:
                path = os.path.join(directory, name)
                relative = os.path.relpath(path, self.cluster.data)
                if name[0].isdigit() and relative.startswith(("base/", "global/")):
                    with open(path, "rb") as file:
                        self.frozen[relative] = file.read()
        self.cluster.start()
        try:
            return self.cluster.psql(query).splitlines()
        finally:
            self.cluster.stop()

    def test_what_cannot_be_had_is_told(self):
        for name, words in (
            ("base/5/1", "neither in the base backup nor made by the WAL"),
            ("base/5", "is not the name of a page"),
        ):
            result, _ = self.page(name + "/0" if name.count("/") == 2 else name, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(len(result.stderr.splitlines()), 1)
            self.assertIn(words, result.stderr)


class Origins(unittest.TestCase):
    """What a page is made from belongs together, or there is no page."""

    SETTINGS = {"wal_level": "replica", "wal_keep_size": "1GB", "autovacuum": "off"}

    def page(self, cluster, backup, path, wal, *more, status=0):
        result = run_neon_redo(
            "page", f"{path}/0", "--wal", wal, "--lsn", "end", "--base-backup", backup,
            "--module", os.path.join(cluster.directory, "neon.so"), *more, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stderr

    def make(self, **options):
        cluster = self.enterContext(Cluster(settings=self.SETTINGS, wal_segment_mb=1, **options))
        cluster.psql("CREATE TABLE t AS SELECT i FROM generate_series(1, 20) i; SELECT pg_switch_wal()")
        copy_module(cluster.directory)
        return cluster, cluster.basebackup(), cluster.psql("SELECT pg_relation_filepath('t')")

    def test_a_wrong_checksum_stays_wrong(self):
        cluster, backup, path = self.make()
        cluster.psql("INSERT INTO t VALUES (100)")
        cluster.stop()
        output = os.path.join(cluster.directory, "page")
        arguments = (cluster, backup, path, cluster.wal, "--output", output)
        self.page(*arguments)
        os.remove(output)
        base = os.path.join(backup, path)
        whole = read_block(base, 0)
        with open(os.path.join(backup, "backup_label"), encoding="utf-8") as label:
            start = label.read().split("START WAL LOCATION: ")[1].split()[0]
        with open(base, "wb") as file:
            file.write(whole[:7000] + bytes([whole[7000] ^ 1]) + whole[7001:])
        # At the backup's start no image has replaced the page.
        error = self.page(*arguments, "--lsn", start, status=2)
        self.assertIn("has a wrong checksum", error)
        self.assertFalse(os.path.exists(output))

    def page_bytes(self, cluster, backup, path, wal, *more):
        """By an index that is used for everything, and by all WAL: the same, or the same message."""
        results = []
        command = f"cp {wal}/%f %p 2>/dev/null"
        for where in (["--wal", wal, "--index", self.index], ["--restore-command", command]):
            output = os.path.join(cluster.directory, "page")
            result = run_neon_redo(
                "page", f"{path}/0", *where, "--lsn", "end", "--base-backup", backup, "--output", output,
                "--module", os.path.join(cluster.directory, "neon.so"), *more,
            )  # fmt: skip
            results.append((read_block(output, 0), result.stdout))
        self.assertEqual(*results)
        return results[0][0]

    def setUp(self):
        self.index = self.enterContext(tempfile.TemporaryDirectory())

    def test_one_index_for_two_clusters(self):
        one, backup, path = self.make()
        one.psql("INSERT INTO t VALUES (100)")
        one.stop()
        other, other_backup, other_path = self.make()
        other.stop()
        pages = [self.page_bytes(one, backup, path, one.wal) for _ in range(2)]
        pages.append(self.page_bytes(other, other_backup, other_path, other.wal))
        self.assertEqual(pages[0], pages[1])
        self.assertNotEqual(pages[0], pages[2])
        error = self.page(one, backup, path, other.wal, status=2)
        self.assertIn("of another cluster", error)

    def test_an_earlier_backup(self):
        cluster, backup, path = self.make()
        cluster.psql("INSERT INTO t VALUES (100); CHECKPOINT; SELECT pg_switch_wal()")
        later = cluster.basebackup("later")
        cluster.psql("INSERT INTO t VALUES (101)")
        cluster.stop()
        pages = [self.page_bytes(cluster, base, path, cluster.wal) for base in (later, backup)]
        self.assertEqual(pages[0][8192 - 100 :], pages[1][8192 - 100 :])  # the rows

    def test_an_index_that_began_without_a_backup(self):
        cluster, backup, path = self.make()
        cluster.psql("INSERT INTO t VALUES (100); SELECT pg_switch_wal()")
        cluster.psql("INSERT INTO t VALUES (101); CHECKPOINT; UPDATE t SET i = 102 WHERE i = 101")
        segment = cluster.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        cluster.stop()
        late = os.path.join(cluster.directory, "late")
        os.mkdir(late)
        shutil.copy(os.path.join(cluster.wal, segment), late)
        run_neon_redo("page", f"{path}/0", "--wal", late, "--lsn", "end", "--index", self.index, check=False)
        self.page_bytes(cluster, backup, path, cluster.wal)

    def test_another_timeline(self):
        primary, backup, path = self.make()
        with Cluster("standby", standby_of=primary, settings=self.SETTINGS) as standby:
            primary.psql("INSERT INTO t VALUES (100)")
            end = primary.psql("SELECT pg_current_wal_flush_lsn()")
            deadline = time.monotonic() + 60
            while standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") != "t":
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(0.1)
            standby.stop()
            primary.psql("DELETE FROM t WHERE i = 5; SELECT pg_switch_wal()")
            primary.stop()
            archive = os.path.join(primary.directory, "archive")
            os.mkdir(archive)

            def copy(wal):
                for name in os.listdir(wal):
                    source = os.path.join(wal, name)
                    if os.path.isfile(source) and not os.path.exists(os.path.join(archive, name)):
                        shutil.copy(source, archive)

            copy(primary.wal)
            first = self.page_bytes(primary, backup, path, archive)
            standby.configure({"primary_conninfo": ""})
            standby.start()
            standby.promote()
            standby.psql("DELETE FROM t WHERE i = 6; SELECT pg_switch_wal()")
            standby.stop()
            copy(standby.wal)
            second = self.page_bytes(primary, backup, path, archive)
            self.assertNotEqual(first, second)
            self.assertEqual(first, self.page_bytes(primary, backup, path, archive, "--timeline", "1"))
            self.assertEqual(second, self.page_bytes(primary, backup, path, archive, "--timeline", "2"))


class PageInThePast(unittest.TestCase):
    def test_each_lsn_has_its_page(self):
        """The page after each change, by pageinspect on the running server and by the program."""
        with Cluster(settings={"wal_keep_size": "1GB", "autovacuum": "off"}) as cluster:
            cluster.psql("CREATE EXTENSION pageinspect; CREATE TABLE t (a int); CHECKPOINT")
            backup = cluster.basebackup()
            path = cluster.psql("SELECT pg_relation_filepath('t')")
            moments = []
            for n in range(8):
                cluster.psql(
                    "CHECKPOINT" if n == 4 else f"INSERT INTO t SELECT generate_series(1, {n + 1})"
                )
                moments.append(
                    (
                        cluster.psql("SELECT pg_current_wal_lsn()"),
                        cluster.psql("SELECT encode(get_raw_page('t', 0), 'hex')"),
                    )
                )
            cluster.stop()
            module = copy_module(cluster.directory)
            output = os.path.join(cluster.directory, "page")
            for lsn, expected in moments:
                result = run_neon_redo(
                    "page", f"{path}/0", "--wal", cluster.wal, "--base-backup", backup,
                    "--lsn", lsn, "--module", module, "--output", output, "--format", "json",
                )  # fmt: skip
                with open(output, "rb") as file:
                    page = file.read()
                # All but the checksum, and hint bits: nothing has read the rows.
                self.assertEqual(page[:8] + page[10:], bytes.fromhex(expected)[:8] + bytes.fromhex(expected)[10:])
                header = json.loads(result.stdout)["header"]
                self.assertEqual(header["lower"], struct.unpack_from("<H", page, 12)[0])
            result = run_neon_redo(
                "page", f"{path}/0", "--wal", cluster.wal, "--lsn", "FF/0", check=False
            )
            self.assertEqual(result.returncode, 2)
            self.assertIn("ends at", result.stderr)


if __name__ == "__main__":
    unittest.main()
