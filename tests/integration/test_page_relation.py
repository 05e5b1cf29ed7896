"""neon-redo page --relation: a relation's files as they were at an LSN, against the files of the server that
was stopped there.
"""

import json
import os
import shutil
import struct
import unittest

from cluster import Cluster, copy_module, run_neon_redo

BLOCK = 8192
HASHED = 165000  # rows: so many that a hash index has just got 1,024 new buckets at once
SETTINGS = {"wal_keep_size": "1GB", "autovacuum": "off", "max_wal_senders": "4"}
PREPARE = """
CREATE TABLE t (a int, b text); CREATE TABLE gone (a int); CREATE TABLE other (a int);
INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 3000) n;
INSERT INTO gone SELECT generate_series(1, 1000); INSERT INTO other VALUES (1);
CREATE INDEX t_a ON t (a);
CREATE TABLE wide (a int, b text); ALTER TABLE wide ALTER b SET STORAGE PLAIN; CREATE TABLE hashed (a int);
INSERT INTO wide SELECT n, repeat('x', 7000) FROM generate_series(1, 700) n;
CREATE INDEX hashed_a ON hashed USING hash (a) WITH (fillfactor = 10);
"""


def lines_of(page):
    lower = struct.unpack_from("<H", page, 12)[0]
    return [struct.unpack_from("<I", page, at)[0] for at in range(24, min(lower, BLOCK - 3), 4)]


def masked(page):
    """What WAL says of a page: without LSN and checksum, free space, and hints (docs/verify-masks.md)."""
    page = bytearray(page)
    lower, upper, special = struct.unpack_from("<HHH", page, 12)
    page[0:10] = bytes(10)
    page[10:12] = struct.pack("<H", struct.unpack_from("<H", page, 10)[0] & ~7)
    page[20:24] = bytes(4)
    if upper == 0:
        return bytes(page)
    page[lower:upper] = bytes(upper - lower)
    if special == BLOCK:
        for line in lines_of(page):
            at = line & 0x7FFF
            if line >> 15 & 3 == 1:
                frozen = page[at + 21] & 3 == 3
                struct.pack_into("<I", page, at + 8, 0)
                mask = 0xF3FF if frozen else 0x000F
                struct.pack_into("<H", page, at + 20, struct.unpack_from("<H", page, at + 20)[0] & mask)
                end = at + (line >> 17)
                page[end : end + -end % 8] = bytes(-end % 8)
    else:  # of a B-tree
        for at in range(24, lower, 4):
            struct.pack_into("<I", page, at, struct.unpack_from("<I", page, at)[0] & ~(3 << 15))
        struct.pack_into("<HH", page, special + 12, struct.unpack_from("<H", page, special + 12)[0] & ~0x60, 0)
    return bytes(page)


class Relation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster = Cluster(settings=SETTINGS)
        cls.enterClassContext(cluster)
        before = cluster.psql("SELECT pg_current_wal_lsn()")
        cluster.psql(PREPARE)
        cls.paths = {
            name: cluster.psql(f"SELECT pg_relation_filepath('{name}')") for name in ("t", "t_a", "gone", "other")
        }
        cls.catalogue = cluster.psql("SELECT pg_relation_filepath('pg_proc')")  # older than all WAL
        cluster.psql("VACUUM wide")  # and with it hint bits
        cls.wide, cls.hashed = (cluster.psql(f"SELECT pg_relation_filepath('{name}')") for name in ("wide", "hashed_a"))
        cls.backup = cluster.basebackup()
        cls.first = cluster.psql("SELECT pg_current_wal_lsn()")
        cls.before_backup = before
        cls.moments = []
        cls.stop_here()
        for query in (
            # Growth, truncation, growth again; a relation that ends, and one that begins.
            "INSERT INTO t SELECT n, repeat('y', 200) FROM generate_series(3001, 5000) n; UPDATE other SET a = 2",
            "DELETE FROM t WHERE a > 500; VACUUM t; DROP TABLE gone; CREATE TABLE new AS SELECT 1 AS a",
            "INSERT INTO t SELECT n, repeat('z', 50) FROM generate_series(1, 900) n",
        ):
            for part in query.split(";"):  # VACUUM by itself
                cluster.psql(part)
            if query.startswith("DELETE"):
                cls.paths["new"] = cluster.psql("SELECT pg_relation_filepath('new')")
            cls.stop_here()
        cluster.psql("CREATE DATABASE copy TEMPLATE postgres STRATEGY file_copy")
        database = cluster.psql("SELECT oid FROM pg_database WHERE datname = 'copy'")
        cls.paths["copied"] = f"base/{database}/{os.path.basename(cls.paths['t'])}"
        cluster.psql("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 3000) n", dbname="copy")
        cls.stop_here()
        cluster.psql("UPDATE wide SET a = 0 WHERE a = 700")
        cluster.psql(f"INSERT INTO hashed SELECT generate_series(1, {HASHED})")
        cluster.stop()
        cls.module = copy_module(cluster.directory)

    @classmethod
    def stop_here(cls):
        """Files as they are once the server has stopped, by the LSN of that. It is started again."""
        cls.cluster.stop()
        files = {}
        for name, path in cls.paths.items():
            for fork in ("", "_vm"):
                file = os.path.join(cls.cluster.data, path + fork)
                if os.path.exists(file):
                    with open(file, "rb") as opened:
                        files[name + fork] = opened.read()
        cls.cluster.start()
        # After the shutdown's checkpoint nothing concerns a relation.
        cls.moments.append((cls.cluster.psql("SELECT redo_lsn FROM pg_control_checkpoint()"), files))

    def setUp(self):
        self.output = os.path.join(self.cluster.directory, "output")
        os.makedirs(self.output)
        self.addCleanup(shutil.rmtree, self.output)

    def page(self, lsn, *options, backup=None, check=True):
        return run_neon_redo(
            "page", "--wal", self.cluster.wal, "--base-backup", backup or self.backup,
            "--module", self.module, "--index", os.path.join(self.cluster.directory, "index"),
            "--lsn", lsn, "--output", os.path.join(self.output, "file"), *options, check=check,
        )  # fmt: skip

    def relation(self, path, lsn, *options, backup=None, check=True):
        return self.page(lsn, "--relation", path, *options, backup=backup, check=check)

    def written(self):
        with open(os.path.join(self.output, "file"), "rb") as file:
            return file.read()

    def fails(self, path, lsn, words, *options, **more):
        result = self.relation(path, lsn, *options, check=False, **more)
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn(words, result.stderr)
        self.assertEqual(os.listdir(self.output), [])

    def test_files_are_those_of_the_server(self):
        sizes = []
        for number, (lsn, files) in enumerate(self.moments):
            for name, expected in files.items():
                with self.subTest(name=name, moment=number):
                    path = self.paths[name.removesuffix("_vm")] + ("_vm" if name.endswith("_vm") else "")
                    out = json.loads(self.relation(path, lsn, "--jobs", str(1 + number % 2), "--format", "json").stdout)
                    got = self.written()
                    self.assertEqual(len(got), len(expected))
                    self.assertEqual(out["bytes"], len(got))
                    for block in range(0, len(got), BLOCK):
                        a, b = got[block : block + BLOCK], expected[block : block + BLOCK]
                        if name.endswith("_vm"):
                            a, b = a[24:], b[24:]
                        else:
                            a, b = masked(a), masked(b)
                        self.assertTrue(a == b, block // BLOCK)
            sizes.append(len(files["t"]) // BLOCK)
        self.assertLess(sizes[0], sizes[1])
        self.assertGreater(sizes[1], sizes[2] * 2)
        self.assertLess(sizes[2], sizes[3])
        self.assertTrue({"copied", "new", "gone", "t_vm"} <= {name for _, files in self.moments for name in files})

    def test_threads_write_the_same(self):
        files = []
        for jobs in ("1", "3"):
            text = self.relation(self.paths["t"], self.moments[1][0], "--jobs", jobs).stdout
            files.append(self.written())
        self.assertEqual(*files)
        self.assertRegex(text, r"time: .*pages/s")
        page = os.path.join(self.output, "page")
        run_neon_redo(
            "page", self.paths["t"] + "/40", "--wal", self.cluster.wal, "--base-backup", self.backup,
            "--module", self.module, "--lsn", self.moments[1][0], "--output", page,
        )  # fmt: skip
        with open(page, "rb") as file:
            self.assertEqual(file.read(), files[0][40 * BLOCK : 41 * BLOCK])

    def test_the_server_reads_it(self):
        self.relation(self.paths["t"], "end")
        path = os.path.join(self.cluster.data, self.paths["t"])
        with open(path, "r+b") as file:
            file.write(self.written())
        self.cluster.start()
        try:
            self.assertEqual(self.cluster.psql("SELECT count(*), sum(a) FROM t"), f"1400|{500 * 501 // 2 + 900 * 901 // 2}")
        finally:
            self.cluster.stop()

    def test_by_the_name_of_a_table(self):
        lsn = self.moments[1][0]
        table = ("--database=postgres", "--table=t")
        self.relation(self.paths["t"], lsn)
        whole = self.written()
        self.page(lsn, *table)
        self.assertEqual(self.written(), whole)
        self.page(lsn, "7", *table)
        self.assertEqual(self.written(), whole[7 * BLOCK : 8 * BLOCK])
        for name, options, words in (
            ("gone", ["0"], "gone"), ("t", ["base/5/1/0"], "is not a block number"),
            ("t", ["--relation=base/5/1"], "give --table or --relation, not both"),
        ):  # fmt: skip
            with self.subTest(name=name, options=options):
                result = self.page(self.moments[2][0], *options, "--database=postgres", f"--table={name}", check=False)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertIn(words, result.stderr)

    def test_a_relation_that_is_not_there(self):
        after_drop = self.moments[2][0]
        self.fails(self.paths["gone"], after_drop, "it was dropped at ")
        self.fails(self.paths["new"], self.moments[1][0], "is not there at " + self.moments[1][0] + ": it is created at ")
        self.fails("base/5/1", after_drop, "is not there at " + after_drop)
        self.fails(self.paths["t"] + "_fsm", after_drop, "does not contain the free space map")
        self.fails("base/5", after_drop, "is not the path of a relation's file")
        self.fails(self.paths["t"], self.before_backup, "the base backup was not complete at " + self.before_backup)

    def test_a_page_that_cannot_be_rebuilt(self):
        backup = os.path.join(self.cluster.directory, "damaged")
        shutil.copytree(self.backup, backup)
        self.addCleanup(shutil.rmtree, backup)
        with open(os.path.join(backup, self.paths["t"]), "r+b") as file:
            for block in (2, 4, 5):
                file.seek(block * BLOCK + 8000)
                file.write(b"damage")
        self.fails(self.paths["t"], self.first, "blocks 2, 4-5 of ", backup=backup)

    def test_a_file_of_the_backup_that_is_too_short(self):
        backup = os.path.join(self.cluster.directory, "short")
        shutil.copytree(self.backup, backup)
        self.addCleanup(shutil.rmtree, backup)
        os.truncate(os.path.join(backup, self.wide), 690 * BLOCK)
        words = f'file "{self.wide}" of the base backup has {690 * BLOCK} bytes instead of {700 * BLOCK}'
        self.fails(self.wide, "end", words, backup=backup)
        os.remove(os.path.join(backup, "backup_manifest"))  # then it cannot be known
        self.assertIn("of zeroes:    9 blocks", self.relation(self.wide, "end", backup=backup).stdout)
        os.remove(os.path.join(self.output, "file"))
        os.truncate(os.path.join(backup, self.wide), 100 * BLOCK)
        words = "blocks 100-612 of 701, and perhaps more, are neither in the base backup nor made by the WAL"
        self.fails(self.wide, "end", words, "--jobs", "1", backup=backup)

    def test_a_hash_index_has_long_runs_of_zeroes(self):
        out = json.loads(self.relation(self.hashed, "end", "--format", "json").stdout)
        with open(os.path.join(self.cluster.data, self.hashed), "rb") as file:
            expected = file.read()
        got = self.written()
        self.assertEqual(len(got), len(expected))

        def zeroes(pages):
            return [at for at in range(0, len(pages), BLOCK) if not any(pages[at : at + 24])]

        self.assertEqual(zeroes(got), zeroes(expected))
        self.assertEqual(len(zeroes(got)), out["unwritten_blocks"])
        self.assertIn(bytes(513 * BLOCK), got)

    def test_without_a_backup(self):
        def run(path):
            return run_neon_redo(
                "page", "--relation", path, "--wal", self.cluster.wal, "--lsn", "end", "--module",
                self.module, "--output", os.path.join(self.output, "file"), check=False,
            )  # fmt: skip

        result = run(self.catalogue)
        self.assertEqual(result.returncode, 2)
        self.assertIn("the WAL does not say how many blocks the main fork of ", result.stderr)
        # Made by WAL from its first page on.
        result = run(self.paths["new"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(masked(self.written()), masked(self.moments[-1][1]["new"]))


if __name__ == "__main__":
    unittest.main()
