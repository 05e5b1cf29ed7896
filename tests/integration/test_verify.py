"""neon-redo verify with real clusters: no difference in an undamaged cluster, damage is found and named,
and unusable input is reported in one line.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import sys
import tempfile
import textwrap
import threading
import time
import unittest

import workload
from cluster import VERIFY_SKIPS, Cluster, copy_module, run_neon_redo, server_program

BLOCK = 8192

# On top of the workload: what is special about comparing with files at rest.
EXTRA = """
CREATE TABLE map_test (i int, filler text);
INSERT INTO map_test SELECT i, repeat('x', 400) FROM generate_series(1, 20000) i;
VACUUM (FREEZE) map_test;
DELETE FROM map_test WHERE i % 50 = 0;
SELECT count(*) FROM (SELECT * FROM map_test WHERE i % 77 = 0 FOR UPDATE) s;
UPDATE map_test SET filler = 'y' WHERE i % 500 = 1;
VACUUM map_test;
DELETE FROM map_test WHERE i > 9000;
VACUUM (TRUNCATE) map_test;
INSERT INTO map_test SELECT i, repeat('z', 400) FROM generate_series(9001, 12000) i;
VACUUM map_test;
UPDATE map_test SET i = -i WHERE i BETWEEN 100 AND 120;
CREATE UNLOGGED TABLE unlogged (i int PRIMARY KEY, p point);
CREATE INDEX ON unlogged USING gist (p);
INSERT INTO unlogged SELECT i, point(i, i) FROM generate_series(1, 1000) i;
CREATE SEQUENCE halfway;
SELECT nextval('halfway') FROM generate_series(1, 7);
CREATE DATABASE copied STRATEGY file_copy;
CREATE DATABASE logged STRATEGY wal_log;
"""


def verify(cluster, *arguments, **options):
    module = os.path.join(cluster.directory, "neon.so")
    if not os.path.exists(module):
        copy_module(cluster.directory)
    return run_neon_redo("verify", "--module", module, *arguments, check=False, **options)


def without_tablespaces(errors):
    """The lines that do not name a tablespace that is read through its link."""
    return [line for line in errors.splitlines() if " is read from " not in line]


class ClusterCase(unittest.TestCase):
    """A stopped cluster, its backup, and its report."""

    @classmethod
    def make(cls, **options):
        cluster = Cluster(**options)
        cluster.__enter__()
        cls.addClassCleanup(cluster.close)
        return cluster

    @classmethod
    def arguments(cls):
        return ["--base-backup", cls.backup, "--wal", cls.cluster.wal, "--against", cls.cluster.data]

    def report(self, status, *arguments):
        result = verify(self.cluster, *self.arguments(), "--format", "json", *arguments)
        self.assertEqual(result.returncode, status, result.stdout[-3000:] + result.stderr)
        return json.loads(result.stdout)

    def refused(self, text, *arguments):
        result = verify(self.cluster, *arguments)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len(without_tablespaces(result.stderr)), 1, result.stderr)
        self.assertIn(text, result.stderr)

    def file(self, relation):
        return pathlib.Path(self.cluster.data, self.paths[relation])

    def damage(self, relation, offset, content, suffix=""):
        """Writes content into a relation's file until the test ends."""
        path = pathlib.Path(f"{self.file(relation)}{suffix}")
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.write_bytes(whole[:offset] + content + whole[offset + len(content) :])

    def only_mismatch(self, relation, fork, block):
        report = self.report(1)
        self.assertEqual(len(report["mismatches"]), 1, report["mismatches"])
        mismatch = report["mismatches"][0]
        self.assertTrue(mismatch["relation"].endswith("/" + self.file(relation).name), mismatch)
        self.assertEqual((mismatch["fork"], mismatch["block"]), (fork, block))
        return mismatch


class Workload(ClusterCase):
    """Every access method, without checksums, so that only the comparison can find damage."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make(settings=workload.SETTINGS, checksums=False)
        workload.prepare(cls.cluster, 600)
        cls.backup = workload.basebackup(cls.cluster)
        workload.run(cls.cluster, 600, workload.ROUNDS[:2])
        cls.cluster.psql(EXTRA)
        # An autovacuum worker's ANALYZE keeps pages from being all-visible while it lasts.
        visible = "SELECT relallvisible > 0 FROM pg_class WHERE relname = 'map_test'"
        deadline = time.monotonic() + 60
        while cls.cluster.psql(f"VACUUM map_test; {visible}") != "t":
            assert time.monotonic() < deadline, "no page of map_test is all-visible"
            time.sleep(0.2)
        cls.cluster.psql("CREATE TABLE t AS SELECT 1 a; DROP TABLE t", "copied")
        cls.cluster.psql("CREATE TABLE t AS SELECT 1 a; ANALYZE", "logged")
        # A crash: redo of the server itself has written part of what we compare with.
        cls.cluster.psql("BEGIN; INSERT INTO map_test VALUES (0, 'lost')")
        cls.cluster.stop("immediate")
        cls.cluster.start()
        cls.cluster.psql("UPDATE map_test SET filler = 'after' WHERE i = 5000; SELECT nextval('halfway')")
        names = ["map_test", "halfway", "unlogged_pkey", "pgbench_accounts", "pgbench_accounts_pkey"]
        cls.paths = {n: cls.cluster.psql(f"SELECT pg_relation_filepath('{n}')") for n in names}
        cls.while_running = verify(cls.cluster, *cls.arguments(), "--patience=0")
        cls.cluster.stop()

    def test_undamaged(self):
        report = self.report(0)
        self.assertEqual(report["mismatches"], [])
        self.assertGreater(report["pages_compared"], 2000)
        self.assertGreater(report["records"], 50000)
        self.assertGreater(report["requests"], 2000)
        self.assertGreater(report["wal_bytes"], 10_000_000)
        self.assertEqual(report["images_compared"], 0)
        self.assertEqual(set(report["skipped"]) - VERIFY_SKIPS, set())
        self.assertEqual(report["engine"], "auto")
        self.assertGreater(report["native_share"], 0.95)
        self.assertGreater(report["changes"]["unsupported"], 0)
        compared = report["resource_managers"]
        for name in ("Heap", "Heap2", "Btree", "Hash", "Gin", "Gist", "SPGist", "BRIN", "Sequence"):
            self.assertGreater(compared[name]["equal"], 0, name)
        self.assertEqual(sum(c["equal"] for c in compared.values()), report["pages_compared"])

    def test_text(self):
        result = verify(self.cluster, *self.arguments(), "--jobs", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        # No progress bar off a terminal; the backup's tablespace and the cluster's are named.
        self.assertEqual(without_tablespaces(result.stderr), [])
        self.assertEqual(len(result.stderr.splitlines()), 2)
        self.assertRegex(result.stdout, r"Total +[0-9,]+ +[0-9,]+ +0\n")
        self.assertRegex(result.stdout, r"All [0-9,]+ pages are equal\.\n$")

    def test_little_memory(self):
        """Pages spilled in between are the same pages."""
        little = self.report(0, "--memory", "16MB", "--jobs", "1")
        self.assertGreater(little["pages_spilled"], 0)
        plenty = self.report(0, "--memory", "1GB", "--jobs", "1")
        self.assertEqual(plenty["pages_spilled"], 0)
        self.assertEqual(little["pages_compared"], plenty["pages_compared"])
        self.assertEqual(little["operations"], plenty["operations"])

    def test_threads_and_engines_agree(self):
        one = self.report(0, "--jobs", "1")
        for arguments in (["--jobs", "3"], ["--engine", "worker"]):
            with self.subTest(arguments):
                other = self.report(0, *arguments)
                for name in ("records", "requests", "pages_compared", "skipped", "resource_managers"):
                    self.assertEqual(other[name], one[name], name)
        self.assertEqual(other["changes"]["chosen"], other["requests"])

    def test_native_alone(self):
        """Needs no server and reports what it skips."""
        report = self.report(0, "--engine", "native", "--bindir", "/nonexistent")
        unsupported = {k: n for k, n in report["skipped"].items() if k.startswith("not supported")}
        self.assertGreater(len(unsupported), 0)
        everything = self.report(0)["pages_compared"]
        self.assertEqual(report["pages_compared"] + sum(unsupported.values()), everything)
        self.assertGreater(report["pages_compared"], 0.9 * everything)

    def test_flipped_byte(self):
        page = self.file("map_test").read_bytes()[3 * BLOCK : 4 * BLOCK]
        upper = int.from_bytes(page[14:16], "little")
        at = upper + 60  # inside the data of the page's last tuple
        self.damage("map_test", 3 * BLOCK + at, bytes([page[at] ^ 1]))
        mismatch = self.only_mismatch("map_test", "main", 3)
        self.assertEqual(mismatch["first_differing_offset"], at)
        self.assertEqual(mismatch["damage"], "content")
        self.assertIn("rmgr: Heap", mismatch["last_record"])
        self.assertRegex(mismatch["lsn"], "^[0-9A-F]+/[0-9A-F]+$")

    def test_flipped_byte_in_text(self):
        self.damage("map_test", 3 * BLOCK + 8100, b"\xa5\x5a")
        result = verify(self.cluster, *self.arguments())
        self.assertEqual(result.returncode, 1)
        name = self.file("map_test").name
        self.assertRegex(result.stdout, rf"relation \d+/\d+/{name} \(table [^)]+\) fork main block 3 \(base/\d+/{name}\), LSN ")
        self.assertIn("Different, by kind: 1 content", result.stdout)
        self.assertRegex(result.stdout, rf"neon-redo verify --explain base/\d+/{name}/3 --wal=\S+ --base")
        command = re.search(r"The page as WAL has it: neon-redo (page .*) --output=FILE\n", result.stdout)[1]
        module = os.path.join(self.cluster.directory, "neon.so")
        page = run_neon_redo(*shlex.split(command), "--module", module).stdout
        self.assertIn("block 3 of", page)
        self.assertRegex(result.stdout, r"1 of [0-9,]+ pages are different\.\n$")

    def test_stale_page(self):
        """The page as it was when the backup was taken: valid, but old."""
        pages = {}
        for where in (self.cluster.data, self.backup):
            pages[where] = pathlib.Path(where, self.paths["pgbench_accounts"]).read_bytes()
        new, old = pages.values()
        block = next(b for b in range(len(old) // BLOCK) if new[b * BLOCK :][:8] != old[b * BLOCK :][:8])
        self.damage("pgbench_accounts", block * BLOCK, old[block * BLOCK :][:BLOCK])
        mismatch = self.only_mismatch("pgbench_accounts", "main", block)
        self.assertEqual(mismatch["damage"], "stale")
        self.assertIn(f"its LSN is {mismatch['disk_lsn']}, WAL demands", mismatch["problem"])
        self.doCleanups()
        # The second half of the page was not written.
        half = BLOCK // 2
        self.damage("pgbench_accounts", block * BLOCK + half, old[block * BLOCK + half :][:half])
        self.assertEqual(self.only_mismatch("pgbench_accounts", "main", block)["damage"], "torn")

    def test_zeroed_page_and_page_from_the_future(self):
        self.damage("map_test", 2 * BLOCK, bytes(BLOCK))
        self.assertEqual(self.only_mismatch("map_test", "main", 2)["damage"], "zeroed")
        self.doCleanups()
        self.damage("map_test", 2 * BLOCK, b"\xff")  # the LSN's highest byte but three
        self.assertEqual(self.only_mismatch("map_test", "main", 2)["damage"], "future")

    def test_lost_change_of_the_lsn_alone(self):
        page = self.file("map_test").read_bytes()[:BLOCK]
        low = int.from_bytes(page[4:8], "little")
        self.damage("map_test", 4, (low - 8).to_bytes(4, "little"))
        self.assertLess(self.only_mismatch("map_test", "main", 0)["first_differing_offset"], 8)

    def test_visibility_map(self):
        path = pathlib.Path(f"{self.file('map_test')}_vm")
        map_bytes = path.read_bytes()[24:BLOCK]
        used = next(i for i, b in enumerate(map_bytes) if b)
        for bit in (0, 1):
            with self.subTest(bit=bit):
                self.damage("map_test", 24 + used, bytes([map_bytes[used] ^ 1 << bit]), "_vm")
                mismatch = self.only_mismatch("map_test", "vm", 0)
                self.assertEqual(mismatch["first_differing_offset"], 24 + used)
                self.doCleanups()

    def test_init_fork(self):
        self.damage("unlogged_pkey", 40, b"\x77", "_init")
        self.only_mismatch("unlogged_pkey", "init", 0)

    def test_hint_bits_do_not_count(self):
        whole = bytearray(self.file("map_test").read_bytes()[:BLOCK])
        pointers = (int.from_bytes(whole[at : at + 4], "little") for at in range(24, 400, 4))
        infomask = next(bits & 0x7FFF for bits in pointers if bits >> 15 & 3 == 1) + 20
        self.damage("map_test", infomask + 1, bytes([whole[infomask + 1] ^ 0x08]))  # HEAP_XMAX_INVALID
        self.report(0)

    def test_file_missing(self):
        path = self.file("map_test")
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.unlink()
        problems = {m["problem"] for m in self.report(1)["mismatches"]}
        self.assertEqual(problems, {"the file is missing on disk"})
        self.assertEqual({m["damage"] for m in self.report(1)["mismatches"]}, {"missing file"})

    def test_file_cut_short(self):
        path = self.file("map_test")
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.write_bytes(whole[:-BLOCK])
        mismatch = self.only_mismatch("map_test", "main", len(whole) // BLOCK - 1)
        self.assertIn("past the end", mismatch["problem"])
        self.assertEqual(mismatch["damage"], "short file")

    def test_running_server(self):
        """More of it is in test_verify_running.py."""
        self.assertEqual(self.while_running.returncode, 0, self.while_running.stderr)
        self.assertIn("The server ran meanwhile", self.while_running.stdout)

    def test_inputs_that_cannot_be_used(self):
        wal = ["--wal", self.cluster.wal]
        against = ["--against", self.cluster.data]
        self.refused("is this a data directory?", "--base-backup", self.backup, *wal, "--against", "/tmp")
        self.refused("give --base-backup", *wal, *against)
        self.refused("carries no images", "--images", *wal)
        self.refused("--images", "--images", *self.arguments())
        self.refused("error:", *self.arguments(), "--bindir", "/nonexistent")
        for bad in (["--engine", "magic"], ["--jobs", "0"], ["--format", "xml"], ["--memory", "1MB"]):
            self.assertEqual(verify(self.cluster, *self.arguments(), *bad).returncode, 2)

    def test_wal_that_ends_too_early(self):
        with tempfile.TemporaryDirectory() as directory:
            segments = sorted(f for f in os.listdir(self.cluster.wal) if len(f) == 24)
            current = self.cluster.run_as_server(
                [server_program("pg_controldata"), self.cluster.data]
            ).stdout.split("REDO WAL file:")[1].split()[0]
            for name in segments:
                if name < current:
                    shutil.copy(os.path.join(self.cluster.wal, name), directory)
            # The cluster's own pg_wal has the rest.
            result = verify(self.cluster, *self.with_wal(directory))
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            os.rename(self.cluster.wal, self.cluster.wal + ".away")
            self.addCleanup(os.rename, self.cluster.wal + ".away", self.cluster.wal)
            self.refused("ends at", *self.with_wal(directory))

    def with_wal(self, directory):
        return ["--base-backup", self.backup, "--wal", directory, "--against", self.cluster.data]

    def test_wal_of_another_cluster(self):
        with Cluster() as other:
            other.stop()
            backup = os.path.join(self.cluster.directory, "other_label")
            os.makedirs(os.path.join(backup, "global"), exist_ok=True)
            shutil.copy(os.path.join(self.backup, "backup_label"), backup)
            shutil.copy(os.path.join(other.data, "global", "pg_control"), os.path.join(backup, "global"))
            self.refused(
                "is not a backup of",
                *["--base-backup", backup, "--wal", self.cluster.wal, "--against", self.cluster.data],
            )
            self.refused("error:", *self.with_wal(other.wal))


class Checksums(ClusterCase):
    """With data checksums hints are logged, heap pages get the LSN of visibility records, and damage
    that the masks would cover is found."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make(settings={"wal_level": "replica", "wal_keep_size": "1GB"})
        cls.cluster.pgbench("--initialize", "--quiet", "--scale=1")
        cls.backup = cls.cluster.basebackup()
        cls.cluster.pgbench("--transactions=1000", "--client=2", "--no-vacuum")
        cls.cluster.psql(EXTRA)
        cls.cluster.psql("CHECKPOINT; SELECT count(*) FROM pgbench_accounts; VACUUM FREEZE")
        cls.paths = {"map_test": cls.cluster.psql("SELECT pg_relation_filepath('map_test')")}
        cls.cluster.stop()

    def test_undamaged(self):
        report = self.report(0)
        self.assertGreater(report["pages_compared"], 1000)
        self.assertEqual(set(report["skipped"]) - VERIFY_SKIPS, set())

    def test_damage_in_free_space(self):
        page = self.file("map_test").read_bytes()[:BLOCK]
        lower = int.from_bytes(page[12:14], "little")
        self.assertLess(lower + 1, int.from_bytes(page[14:16], "little"))
        self.damage("map_test", lower + 1, bytes([page[lower + 1] ^ 0x10]))
        mismatch = self.only_mismatch("map_test", "main", 0)
        self.assertIn("checksum", mismatch["problem"])
        self.assertEqual(mismatch["damage"], "checksum")


class Hints(ClusterCase):
    """Where hints are logged, redo moves the page's LSN. The server did not if the page was dirty,
    because another backend set hints too, or because the page was being written."""

    @classmethod
    def setUpClass(cls):
        settings = {"autovacuum": "off", "wal_keep_size": "1GB", "max_wal_size": "1GB"}
        cls.cluster = cls.make(settings=settings)
        cls.cluster.psql("CREATE TABLE t (i int, filler text)")
        cls.backup = cls.cluster.basebackup()
        for _ in range(10):
            cls.set_hints_at_once()
            cls.paths = {"t": cls.cluster.psql("SELECT pg_relation_filepath('t')")}
            cls.cluster.stop()
            if cls.unmoved():
                break
            cls.cluster.start()

    @classmethod
    def set_hints_at_once(cls):
        cls.cluster.psql(
            "TRUNCATE t; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i;"
            "CHECKPOINT"
        )
        scan = pathlib.Path(cls.cluster.directory, "scan.sql")
        scan.write_text("SELECT count(*) FROM t;\n", "utf-8")
        readers = threading.Thread(
            target=cls.cluster.pgbench, args=("-n", "-c", "8", "-j", "2", "-t", "1", "-f", str(scan))
        )
        readers.start()
        while readers.is_alive():
            cls.cluster.psql("CHECKPOINT")
        readers.join()

    @classmethod
    def unmoved(cls):
        """Blocks on disk without the LSN of the last record, which is a hint record."""
        dump = run_neon_redo("waldump", "--wal", cls.cluster.wal, "--rmgr", "XLOG", "--format", "json")
        path = pathlib.Path(cls.cluster.data, cls.paths["t"])
        last = {}
        for line in dump.stdout.splitlines():
            record = json.loads(line)
            if record["operation"] == "FPI_FOR_HINT":
                block = record["blocks"][0]
                if str(block["relation"]) == path.name:
                    last[block["block"]] = record["end_lsn"]
        content = path.read_bytes()
        on_disk = {block: struct.unpack_from("<II", content, block * BLOCK) for block in last}
        return [block for block, lsn in on_disk.items() if "%X/%X" % lsn != last[block]]

    def test_undamaged(self):
        self.assertGreater(len(self.unmoved()), 0)
        self.assertEqual(self.report(0)["mismatches"], [])


class NoImages(ClusterCase):
    """Without full-page images damage in the backup meets the records: the native engine spoils the
    page, and a worker rebuilds it in a second pass."""

    @classmethod
    def setUpClass(cls):
        settings = {"full_page_writes": "off", "autovacuum": "off", "wal_level": "replica"}
        cls.cluster = cls.make(settings={**settings, "wal_keep_size": "1GB"}, checksums=False)
        psql = cls.cluster.psql
        psql("CREATE TABLE t AS SELECT i, 'old' AS s FROM generate_series(1, 300) i; CHECKPOINT")
        cls.backup = cls.cluster.basebackup()
        psql("UPDATE t SET s = 'new' WHERE i % 3 = 0")
        cls.paths = {"t": psql("SELECT pg_relation_filepath('t')")}
        cls.cluster.stop()

    def test_base_page_that_records_do_not_fit(self):
        self.assertEqual(self.report(0)["changes"]["malformed"], 0)
        base = pathlib.Path(self.backup, self.paths["t"])
        whole = base.read_bytes()
        base.write_bytes(whole[:12] + (28).to_bytes(2, "little") + whole[14:])  # pd_lower: one tuple
        for jobs in ("1", "2"):
            report = self.report(1, "--jobs", jobs)
            self.assertEqual(report["changes"]["malformed"], 1)
            self.assertGreater(report["changes"]["chosen"], 0)
            # The backup's own damage is named too.
            self.assertGreater(report["backup"]["losses"], 0)
            (mismatch,) = [m for m in report["mismatches"] if not m["in_backup"]]
            self.assertEqual((mismatch["fork"], mismatch["block"]), ("main", 0))
            self.assertIn("rmgr: Heap", mismatch["last_record"])


class EmptyOverflowPage(ClusterCase):
    """VACUUM frees the last overflow page of a hash bucket. If that was empty, its record names the page
    that tuples would move to, and the server leaves this page alone."""

    @classmethod
    def setUpClass(cls):
        settings = {"autovacuum": "off", "wal_level": "replica", "wal_keep_size": "1GB"}
        cls.cluster = cls.make(settings=settings)
        psql = cls.cluster.psql
        psql("CREATE TABLE h (k int, n int); CREATE INDEX h_k ON h USING hash (k)")
        psql("INSERT INTO h SELECT 7, g FROM generate_series(1, 3000) g")
        cls.backup = cls.cluster.basebackup()
        cls.vacuum_away(2849)

    @classmethod
    def vacuum_away(cls, above):
        psql = cls.cluster.psql
        psql(f"DELETE FROM h WHERE n > {above}")
        psql("VACUUM (INDEX_CLEANUP ON) h")

    def test_undamaged(self):
        self.cluster.stop()
        dump = run_neon_redo("waldump", "--wal", self.cluster.wal, "--rmgr=Hash").stdout
        self.assertRegex(dump, r"SQUEEZE_PAGE .*ntups 0, .*blk 8 FPW")
        self.assertEqual(self.report(0)["mismatches"], [])
        self.assertEqual(self.report(0, "--engine=worker")["mismatches"], [])


class Timelines(ClusterCase):
    """A backup of the old primary, WAL of both timelines, against the promoted standby."""

    def test_promoted_standby(self):
        settings = {"wal_level": "replica", "wal_keep_size": "1GB"}
        with Cluster("primary", settings=settings) as primary:
            primary.pgbench("--initialize", "--quiet", "--scale=1")
            backup = primary.basebackup()
            primary.pgbench("--transactions=300", "--no-vacuum")
            with Cluster("standby", settings=settings, standby_of=primary) as standby:
                primary.pgbench("--transactions=300", "--no-vacuum")
                primary.stop()
                standby.promote()
                standby.pgbench("--transactions=300", "--no-vacuum")
                standby.stop()
                with tempfile.TemporaryDirectory() as archive:
                    for source in (primary.wal, standby.wal):
                        for name in os.listdir(source):
                            if os.path.isfile(os.path.join(source, name)):
                                shutil.copy(os.path.join(source, name), archive)
                    result = verify(
                        standby,
                        *["--base-backup", backup, "--wal", archive, "--against", standby.data],
                        *["--format", "json"],
                    )
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
        self.assertGreater(json.loads(result.stdout)["pages_compared"], 500)


class Images(ClusterCase):
    """The comparison with images on little WAL; demo and benchmark run it on much."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make(settings={**workload.SETTINGS, "wal_consistency_checking": "all"})
        workload.prepare(cls.cluster, 100)
        workload.run(cls.cluster, 100, workload.ROUNDS[:1])
        cls.cluster.stop()

    @classmethod
    def arguments(cls):
        return ["--images", "--wal", cls.cluster.wal]

    def test_all_equal(self):
        report = self.report(0)
        self.assertGreater(report["images_compared"], 10000)
        self.assertEqual(report["images_compared"], report["requests"])
        self.assertEqual(report["pages_compared"], 0)
        for name in ("Heap", "Heap2", "Btree", "Hash", "Gin", "Gist", "SPGist", "BRIN", "Sequence"):
            self.assertGreater(report["resource_managers"][name]["equal"], 0, name)

    def test_wrong_answers(self):
        """A worker that never applies a record."""
        worker = os.path.join(self.cluster.directory, "lazy_worker.py")
        pathlib.Path(worker).write_text(textwrap.dedent(LAZY_WORKER), "utf-8")
        os.chmod(worker, 0o755)
        command = f"{sys.executable} {worker}"
        report = self.report(1, "--engine", "worker", "--worker-command", command, "--jobs", "1")
        self.assertGreater(report["different"], report["images_compared"] // 2)
        self.assertEqual(len(report["mismatches"]), 10000)  # what is listed at most
        mismatch = report["mismatches"][0]
        self.assertIn("differs from the image", mismatch["problem"])
        self.assertIn("rmgr:", mismatch["last_record"])

    def test_threads_and_engines_agree(self):
        one = self.report(0, "--jobs", "1", "--memory", "16MB")
        self.assertGreater(one["native_share"], 0.95)
        for arguments in (["--jobs", "3"], ["--engine", "worker"]):
            with self.subTest(arguments):
                other = self.report(0, *arguments)
                for name in ("records", "requests", "images_compared", "skipped", "resource_managers"):
                    self.assertEqual(other[name], one[name], name)
        alone = self.report(0, "--engine", "native", "--bindir", "/nonexistent")
        left_out = sum(n for k, n in alone["skipped"].items() if k.startswith("not supported"))
        self.assertGreater(left_out, 0)
        self.assertEqual(alone["images_compared"] + left_out, one["images_compared"])

    def test_worker_that_dies(self):
        self.refused("error:", *self.arguments(), "--worker-command", "exit 3")


LAZY_WORKER = """
    import sys
    page = bytes(8192)
    read, write = sys.stdin.buffer, sys.stdout.buffer
    while kind := read.read(1):
        payload = read.read(int.from_bytes(read.read(4), "big") - 4)
        if kind == b"B":
            page = bytes(8192)
        elif kind == b"P":
            page = payload[17:]
        elif kind in (b"G", b"H"):
            write.write(page if kind == b"G" else bytes(8192))
            write.flush()
    """


if __name__ == "__main__":
    unittest.main()
