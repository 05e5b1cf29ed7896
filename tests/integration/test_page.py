"""neon-redo page: every SLRU page and pages of all relations are rebuilt from a base backup and WAL and
compared with the stopped cluster's files. Pages at earlier LSNs are compared, too.
"""

import json
import os
import random
import struct
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
        cls.store = os.path.join(cls.cluster.directory, "store")

    def page(self, name, *more, lsn="end", check=True):
        """The program's result as JSON, and the page's bytes."""
        output = os.path.join(self.cluster.directory, "page")
        result = run_neon_redo(
            "page", name, "--wal", self.cluster.wal, "--lsn", lsn, "--base-backup", self.backup,
            "--store", self.store, "--module", self.module, "--format", "json", "--output", output,
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
        self.page("pg_xact/0000/0")  # the store has all WAL before the server writes more
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
