"""neon-redo verify: damage that is easily taken for what PostgreSQL may do, what PostgreSQL may do that
looks like damage, and directories that cannot be read.
"""

import json
import os
import pathlib
import resource
import shutil
import struct
import threading
import time
import unittest

from cluster import Cluster, as_server_user, neon_redo_program, run, run_neon_redo
from test_verify import BLOCK, ClusterCase, verify

SMALL = {"wal_level": "replica", "wal_keep_size": "1GB", "autovacuum": "off", "max_prepared_transactions": 5}
# So few buffers that a scan of another table has a page written.
EVICTS = SMALL | {
    "shared_buffers": "128kB", "bgwriter_lru_maxpages": 0, "max_connections": 10, "max_wal_senders": 2,
}  # fmt: skip


class Case(ClusterCase):
    def arguments(self):
        return ["--base-backup", self.backup, "--wal", self.cluster.wal, "--against", self.cluster.data]

    def damaged(self, status=1):
        """The damage by file; the notes are in self.notes."""
        report = self.report(status)
        self.notes = report["notes"]
        return {m["file"]: m for m in report["mismatches"]}

    def rewrite(self, path, content):
        path = pathlib.Path(path)
        self.addCleanup(path.write_bytes, path.read_bytes())
        path.write_bytes(content)

    def relation(self, name, dbname="postgres"):
        return self.cluster.psql(f"SELECT pg_relation_filepath('{name}')", dbname)


class LostWrites(Case):
    def make_case(self, checksums):
        self.cluster = self.enterContext(Cluster(settings=EVICTS, checksums=checksums))
        psql = self.cluster.psql
        psql(
            "CREATE TABLE t (a int, b int); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;"
            "CREATE TABLE big AS SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i;"
            "CREATE INDEX ON t (a); SELECT count(*) FROM t; CHECKPOINT"
        )
        self.backup = self.cluster.basebackup()
        psql("INSERT INTO t VALUES (1000, 1); SELECT count(*) FROM t; SELECT count(*) FROM big")
        self.path = pathlib.Path(self.cluster.data, self.relation("t"))
        return psql

    def test_all_visible_flag(self):
        """Its loss makes index-only scans return deleted rows."""
        for checksums in (False, True):
            for engine in ("auto", "worker"):
                with self.subTest(checksums=checksums, engine=engine):
                    psql = self.make_case(checksums)
                    old = self.path.read_bytes()
                    psql("VACUUM t; SELECT count(*) FROM big; VACUUM t")
                    self.cluster.stop()
                    self.report(0, "--engine", engine)
                    new = self.path.read_bytes()
                    flags = [struct.unpack_from("<H", page, 10)[0] & 4 for page in (old, new)]
                    self.assertEqual(flags, [0, 4])
                    self.rewrite(self.path, old[:BLOCK] + new[BLOCK:])
                    (mismatch,) = self.report(1, "--engine", engine)["mismatches"]
                    self.assertEqual((mismatch["damage"], mismatch["block"]), ("stale", 0))
                    self.doCleanups()

    def test_cleared_bit_of_the_visibility_map(self):
        """The record that clears it does not name the map's page."""
        psql = self.make_case(False)
        psql("VACUUM t; CHECKPOINT")
        path = pathlib.Path(f"{self.path}_vm")
        old = path.read_bytes()
        psql("DELETE FROM t WHERE a = 7")
        self.cluster.stop()
        self.report(0)
        self.assertNotEqual(path.read_bytes(), old)
        self.rewrite(path, old)
        (mismatch,) = self.report(1)["mismatches"]
        self.assertEqual((mismatch["fork"], mismatch["damage"]), ("vm", "stale"))
        self.assertIn("DELETE", mismatch["last_record"])
        self.assertNotEqual(mismatch["lsn"], "0/0")

    def test_hint_that_hides_a_row(self):
        self.make_case(False)
        self.cluster.stop()
        self.report(0)
        page = bytearray(self.path.read_bytes())
        (pointer,) = struct.unpack_from("<I", page, 24)
        page[(pointer & 0x7FFF) + 21] = page[(pointer & 0x7FFF) + 21] & ~3 | 2  # HEAP_XMIN_INVALID
        self.rewrite(self.path, bytes(page))
        (mismatch,) = self.report(1)["mismatches"]
        self.assertEqual(mismatch["damage"], "content")
        self.assertIn("marked as aborted, but pg_xact has it as committed", mismatch["problem"])

    def test_sequence_set_back(self):
        psql = self.make_case(False)
        psql("CREATE SEQUENCE s")
        path = pathlib.Path(self.cluster.data, self.relation("s"))
        psql("SELECT nextval('s') FROM generate_series(1, 5)")
        self.cluster.stop()
        self.report(0)
        page = bytearray(path.read_bytes())
        (pointer,) = struct.unpack_from("<I", page, 24)
        at = (pointer & 0x7FFF) + page[(pointer & 0x7FFF) + 22]
        self.assertEqual(struct.unpack_from("<qq?", page, at), (5, 28, True))
        struct.pack_into("<qq?", page, at, 1, 0, False)
        self.rewrite(path, bytes(page))
        self.assertIn("the sequence on disk is at 1", self.report(1)["mismatches"][0]["problem"])

    def test_torn_page_with_hint_bits(self):
        psql = self.make_case(True)
        psql("UPDATE t SET b = -b; VACUUM t; UPDATE t SET b = -b WHERE a < 90; SELECT count(*) FROM t")
        self.cluster.stop()
        self.report(0)
        old = pathlib.Path(self.backup, self.path.relative_to(self.cluster.data)).read_bytes()
        new = self.path.read_bytes()
        torn = 0
        for cut in range(512, BLOCK, 1024):
            for mixed in (new[:cut] + old[cut:BLOCK], old[:cut] + new[cut:BLOCK]):
                if mixed in (new[:BLOCK], old[:BLOCK]):
                    continue
                self.path.write_bytes(mixed + new[BLOCK:])
                (mismatch,) = self.report(1)["mismatches"]
                self.assertEqual(mismatch["damage"], "torn", f"cut at {cut}")
                torn += 1
        self.assertGreater(torn, 5)


class Files(Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make(settings=SMALL)
        cls.cluster.psql("CREATE DATABASE other")
        cls.cluster.psql("CREATE TABLE x AS SELECT generate_series(1, 1000) a; CHECKPOINT", "other")
        cls.cluster.psql("CREATE TABLE p (a int); BEGIN; INSERT INTO p VALUES (1); PREPARE TRANSACTION 'old'")
        cls.x = cls.cluster.psql("SELECT pg_relation_filepath('x')", "other")
        cls.backup = cls.cluster.basebackup()
        cls.cluster.psql(
            "CREATE TABLE y (a int); INSERT INTO y VALUES (1);"
            "BEGIN; INSERT INTO p VALUES (2); SAVEPOINT s; INSERT INTO p VALUES (3); PREPARE TRANSACTION 'new'"
        )
        cls.cluster.psql("BEGIN; INSERT INTO p VALUES (4); PREPARE TRANSACTION 'ended'")
        cls.cluster.psql("COMMIT PREPARED 'ended'")
        cls.y = cls.cluster.psql("SELECT pg_relation_filepath('y')")
        cls.version = cls.cluster.psql(
            "SELECT format('PG_%s_%s', current_setting('server_version_num')::int / 10000, catalog_version_no)"
            " FROM pg_control_system()"
        )
        cls.later = cls.cluster.basebackup("later")
        cls.cluster.stop()

    def path(self, name, where=None):
        return pathlib.Path(where or self.cluster.data, name)

    def replace(self, name, make, where=None):
        """Puts something else in a file's place until the test ends."""
        path = self.path(name, where)
        kept = pathlib.Path(self.cluster.directory, "kept." + name.replace("/", "."))
        if path.exists():
            path.rename(kept)

        def restore():
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            if kept.exists():
                kept.rename(path)

        self.addCleanup(restore)
        make(path)

    def test_undamaged(self):
        report = self.report(0)
        self.assertEqual((report["mismatches"], report["notes"]), ([], []))
        self.assertEqual(report["compared"]["pg_twophase"], 2)

    def test_what_cannot_be_listed(self):
        """Nothing that was found so far hides it."""
        path = self.path("base/4")
        os.chmod(path, 0)
        self.addCleanup(os.chmod, path, 0o700)
        if os.access(path, os.R_OK):  # root reads everything
            self.replace("pg_tblspc", lambda p: p.write_text("no directory"))
        self.refused("could not open directory", *self.arguments())

    def test_a_strange_entry_of_the_backup(self):
        self.replace("base/1/999999", lambda p: p.symlink_to("/nonexistent"), self.backup)
        self.replace(self.x, lambda p: None)
        self.refused("base/1/999999", *self.arguments())

    def test_what_is_no_file(self):
        for name, make in {
            "directory": lambda p: p.mkdir(),
            "FIFO": os.mkfifo,
            "loop": lambda p: p.symlink_to(p.name),
            "dangling link": lambda p: p.symlink_to("/nonexistent"),
        }.items():
            for file in (self.x, self.y):
                with self.subTest(name, file=file):
                    self.replace(file, make)
                    found = self.damaged()
                    self.assertEqual({f: m["damage"] for f, m in found.items()}, {file: "unreadable"})
                    self.doCleanups()
        for file in ("global/pg_control", "pg_xact/0000", "global/pg_filenode.map"):
            with self.subTest(file):
                self.replace(file, os.mkfifo)
                result = verify(self.cluster, *self.arguments(), timeout=60)
                self.assertIn(result.returncode, (1, 2))
                self.assertIn(file.split("/")[-1], result.stdout + result.stderr)
                self.doCleanups()

    def test_a_used_page_after_a_short_file(self):
        page = self.path(self.x).read_bytes()[:BLOCK]
        self.replace(self.x + ".1", lambda p: p.write_bytes(b""))
        self.report(0)
        self.path(self.x + ".1").write_bytes(page)
        self.assertEqual({f: m["damage"] for f, m in self.damaged().items()}, {self.x + ".1": "long file"})

    def test_what_nobody_knows(self):
        self.replace("base/5/987654", lambda p: p.write_bytes(self.path(self.x).read_bytes()[:BLOCK]))
        self.replace("base/77777", lambda p: p.mkdir())
        found = {f: m["damage"] for f, m in self.damaged().items()}
        self.assertEqual(found, {"base/5/987654": "extra file", "base/77777": "extra file"})

    def test_a_database_that_is_copied_as_the_backup_ends(self):
        """Its record comes after the files."""
        tablespace = self.path("pg_tblspc/99999", self.later)
        moved = tablespace / self.version / "5"
        moved.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, tablespace)
        shutil.copy(self.path(self.x), moved / "123456")
        self.replace("base/77777", lambda p: p.mkdir(), self.later)
        arguments = ["--base-backup", self.backup, "--wal", self.cluster.wal, "--against", self.later]
        result = verify(self.cluster, *arguments, "--format", "json")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        notes = {n["file"]: n["damage"] for n in json.loads(result.stdout)["notes"]}
        directory = str(moved.relative_to(self.later))
        self.assertEqual(notes, {"base/77777": "extra file", directory: "extra file"})

    def test_a_file_in_place_of_a_database_in_another_tablespace(self):
        tablespace = self.path("pg_tblspc/99999")
        version = tablespace / self.version
        version.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, tablespace)
        (version / "5").write_text("no directory")
        file = str((version / "5").relative_to(self.cluster.data))
        self.assertEqual({f: m["damage"] for f, m in self.damaged().items()}, {file: "extra file"})

    def test_a_file_after_the_end_that_cannot_be_read(self):
        """It is one more finding, and the others are not lost."""
        name = self.x + ".1"
        self.replace(name, lambda p: p.write_bytes(bytes(BLOCK)))
        self.replace("base/77777", lambda p: p.mkdir())
        program = os.path.join(self.cluster.directory, "neon-redo")
        shutil.copy(neon_redo_program(), program)
        self.addCleanup(os.unlink, program)
        os.chmod(self.path(name), 0)
        command = [program, "verify", *self.arguments(), "--engine", "native", "--format", "json"]
        result = run(as_server_user(command), check=False, cwd=self.cluster.directory)
        found = {m["file"]: m["damage"] for m in json.loads(result.stdout)["mismatches"]}
        self.assertEqual(found, {name: "unreadable", "base/77777": "extra file"})

    def test_prepared_transactions(self):
        old, new = sorted(p.name for p in self.path("pg_twophase").iterdir())
        content = bytearray(self.path(f"pg_twophase/{new}").read_bytes())
        content[-20] ^= 1
        self.rewrite(self.path(f"pg_twophase/{new}"), bytes(content))
        self.replace(f"pg_twophase/{old}", lambda p: None)
        extra = "FFF".rjust(len(new), "0")  # names have 8 digits, since 17 16
        self.replace(f"pg_twophase/{extra}", lambda p: p.write_bytes(b"unknown"))
        found = {f: m["damage"] for f, m in self.damaged().items()}
        self.assertEqual(
            found,
            {
                f"pg_twophase/{old}": "missing file",
                f"pg_twophase/{new}": "content",
                f"pg_twophase/{extra}": "extra file",
            },
        )

    def test_one_finding_for_a_lost_file(self):
        self.replace(self.y, lambda p: None)
        report = self.report(1)
        self.assertEqual(len(report["mismatches"]), 1)
        self.assertEqual(report["different"], sum(m["blocks"] for m in report["mismatches"]))
        self.assertEqual(report["not_listed"], 0)


class Orphans(Case):
    def test_crash_in_create_index(self):
        """Its pages are written before their WAL."""
        settings = SMALL | {
            "max_parallel_maintenance_workers": 0, "wal_buffers": "64MB", "wal_writer_delay": "10s",
            "wal_writer_flush_after": 0,
        }  # fmt: skip
        self.cluster = self.enterContext(Cluster(settings=settings))
        self.cluster.psql(
            "CREATE TABLE t (a int, b text);"
            "INSERT INTO t SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, 150000) i; CHECKPOINT"
        )
        self.backup = self.cluster.basebackup()
        base = pathlib.Path(self.cluster.data, "base/5")
        before = set(os.listdir(base))

        def new_file(size):
            deadline = time.monotonic() + 60
            while True:
                assert time.monotonic() < deadline, "no file of that size"
                for name in os.listdir(base):
                    if name.isdigit() and name not in before and (base / name).stat().st_size >= size:
                        return name

        build = threading.Thread(
            target=lambda: self.cluster.psql("CREATE INDEX ON t (b)", check=False)
        )
        build.start()
        new_file(0)
        self.cluster.psql("SELECT pg_logical_emit_message(true, '', 'flushes the CREATE record')")
        name = new_file(5_000_000)
        self.cluster.stop("immediate")
        build.join()
        self.cluster.start()
        self.cluster.psql("CHECKPOINT")
        self.cluster.stop()
        self.assertEqual(self.damaged(0), {})
        (note,) = self.notes
        self.assertEqual((note["file"], note["damage"]), (f"base/5/{name}", "long file"))
        self.assertIn("a crash has ended the transaction", note["problem"])


class FewOpenFiles(Case):
    def test_files_are_read_one_after_another(self):
        self.cluster = self.enterContext(Cluster(settings=SMALL))
        self.backup = self.cluster.basebackup()
        tables = range(300)
        self.cluster.psql(
            "".join(f"CREATE TABLE t{i} (a int); INSERT INTO t{i} VALUES (1);" for i in tables)
        )
        self.cluster.psql("CREATE INDEX ON t0 USING hash (a); INSERT INTO t0 SELECT generate_series(1, 1000)")
        self.cluster.stop()
        for engine in ("native", "auto"):
            for limit in (96, 256):
                with self.subTest(engine=engine, limit=limit):
                    result = verify(
                        self.cluster, *self.arguments(), "--engine", engine,
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),  # noqa: B023
                    )  # fmt: skip
                    self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr)


class OtherHistories(Case):
    def test_wal_level_minimal(self):
        self.cluster = self.enterContext(Cluster(settings=SMALL))
        psql = self.cluster.psql
        psql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)")
        path = self.relation("t")
        self.backup = self.cluster.basebackup()
        minimal = {"wal_level": "minimal", "max_wal_senders": 0, "wal_skip_threshold": "0kB"}
        self.cluster.configure(minimal)
        self.cluster.restart()
        psql("BEGIN; TRUNCATE t; INSERT INTO t SELECT generate_series(1, 3000); COMMIT")
        self.cluster.configure({"wal_level": "replica", "max_wal_senders": 5})
        self.cluster.restart()
        psql("UPDATE t SET a = -a WHERE a < 100")
        self.cluster.stop()
        self.refused("PARAMETER_CHANGE", *self.arguments())
        self.refused("wal_level=minimal", *self.arguments()[:4])
        result = run_neon_redo(
            "page", f"{path}/0", "--wal", self.cluster.wal, "--base-backup", self.backup, "--lsn", "end",
            check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, 2)
        self.assertIn("PARAMETER_CHANGE", result.stderr)

    def test_backup_of_another_timeline(self):
        self.cluster = self.enterContext(Cluster(settings=SMALL))
        self.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100) a")
        with Cluster("standby", standby_of=self.cluster, settings=SMALL) as standby:
            standby.promote()
            standby.psql("CREATE TABLE u AS SELECT generate_series(1, 100) a; CHECKPOINT")
            self.backup = standby.basebackup()
            standby.stop()
            self.cluster.psql("CREATE TABLE v AS SELECT generate_series(1, 5000) a; CHECKPOINT")
            self.cluster.stop()
            label = pathlib.Path(self.backup, "backup_label").read_text("utf-8")
            self.assertIn("START TIMELINE: 2", label)
            self.refused("was taken on timeline 2", *self.arguments())


    def test_accidental_promotion(self):
        """An archive has WAL of timeline 2, but timeline 1 went on."""
        settings = SMALL | {"archive_mode": "off"}
        self.cluster = self.enterContext(Cluster(settings=settings, wal_segment_mb=1))
        psql = self.cluster.psql
        psql("CREATE TABLE t AS SELECT generate_series(1, 100) a")
        self.backup = self.cluster.basebackup()
        archive = os.path.join(self.cluster.directory, "archive")
        os.mkdir(archive)
        with Cluster("standby", standby_of=self.cluster, settings=settings) as standby:
            standby.promote()
            for _ in range(9):
                standby.psql("INSERT INTO t VALUES (-1); SELECT pg_switch_wal()")
            standby.stop()
            for name in ("00000002.history", *(n for n in os.listdir(standby.wal) if n.startswith("00000002"))):
                shutil.copy(os.path.join(standby.wal, name), archive)
        for _ in range(3):
            psql("INSERT INTO t SELECT generate_series(1, 5000); SELECT pg_switch_wal()")
        later = self.cluster.basebackup("later")
        self.cluster.stop()
        for name in os.listdir(self.cluster.wal):
            if name.startswith("00000001") and len(name) == 24:
                shutil.copy(os.path.join(self.cluster.wal, name), archive)
        arguments = ["--base-backup", self.backup, "--wal", archive]
        result = verify(self.cluster, *arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(", timeline 2: ", result.stdout)
        self.assertRegex(result.stdout, "Not read: WAL of timeline 1 from 0/[0-9A-F]+ on. --timeline=1 follows")
        report = {}
        for timeline in (1, 2):
            result = verify(self.cluster, *arguments, f"--timeline={timeline}", "--format", "json")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            report[timeline] = json.loads(result.stdout)
            self.assertEqual(report[timeline]["timeline"], timeline)
            self.assertEqual(report[timeline]["other_timelines"], [])
        self.assertGreater(report[1]["records"], report[2]["records"])
        # A backup that timeline 2 does not have.
        self.refused("--timeline=1", "--base-backup", later, "--wal", archive)
        result = verify(self.cluster, "--base-backup", later, "--wal", archive, "--timeline=1")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.refused("on timeline 1, not 2", *self.arguments(), "--timeline=2")


class RestartWithoutHints(Case):
    def test_vacuum_after_hint_logging_was_turned_off(self):
        """A record that says nothing of the LSN does not forbid what an earlier one allowed."""
        settings = SMALL | {"wal_log_hints": "on"}
        self.cluster = self.enterContext(Cluster(settings=settings, checksums=False))
        psql = self.cluster.psql
        psql("CREATE TABLE t (a int)")
        self.backup = self.cluster.basebackup()
        psql("INSERT INTO t SELECT generate_series(1, 500); CHECKPOINT; SELECT count(*) FROM t; CHECKPOINT")
        self.cluster.configure({"wal_log_hints": "off"})
        self.cluster.restart()
        psql("VACUUM t")
        self.cluster.stop()
        self.assertEqual(self.damaged(0), {})


if __name__ == "__main__":
    unittest.main()
