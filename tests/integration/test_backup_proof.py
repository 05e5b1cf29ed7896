"""neon-redo verify reads the base backup itself: what a backup has lost is found, with backup_manifest and
without, and a backup that was taken while the server was busy is called whole. What WAL does not change
in a cluster is compared with the backup.
"""

import contextlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import threading
import unittest
import unittest.mock

from cluster import (
    ROOT,
    Cluster,
    as_server_user,
    cases_of_each_server,
    neon_redo_program,
    run,
    run_neon_redo,
    server_user,
)

BLOCK = 8192
SETTINGS = {
    "wal_level": "replica",
    "track_commit_timestamp": "on",
    "wal_keep_size": "4GB",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "max_prepared_transactions": 5,
}
# Then nothing of all this is touched by WAL any more.
SCHEMA = """
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT g, repeat('x', 50) FROM generate_series(1, 3000) g;
CREATE TABLE toasted AS SELECT string_agg(md5(g::text), '') AS long FROM generate_series(1, 2000) g;
CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 100);
CREATE SEQUENCE s;
SELECT nextval('s');
CREATE TABLE far (a int, b text) TABLESPACE ts;
INSERT INTO far SELECT g, repeat('y', 50) FROM generate_series(1, 3000) g;
CREATE TABLE locked (a int PRIMARY KEY);
INSERT INTO locked SELECT generate_series(1, 50);
VACUUM (FREEZE) t, toasted;
"""
LOCKS = "BEGIN; SELECT count(*) FROM (SELECT FROM locked FOR KEY SHARE) l; SAVEPOINT s; {} ROLLBACK TO s; COMMIT"


def verify(*arguments):
    """Without a worker: this needs no module for the server's version."""
    return run_neon_redo(
        "verify", "--engine", "native", "--no-progress", "--format", "json", *arguments, check=False
    )


@contextlib.contextmanager
def failing_reads(name, after=0):
    """Reads of files whose path ends with the name fail, in programs that begin meanwhile: from the first or a
    later one on."""
    module = ROOT / "build" / "tests" / "integration" / "failed_read.so"
    settings = {"LD_PRELOAD": str(module), "FAILED_READ": name, "FAILED_READ_AFTER": str(after)}
    with unittest.mock.patch.dict(os.environ, settings):
        yield


def make_busy_cluster(case, **options):
    """A cluster with a tablespace in a directory of its own."""
    cluster = case.enterClassContext(Cluster(settings=SETTINGS, **options))
    tablespace = os.path.join(cluster.directory, "ts")
    cluster.run_as_server(["mkdir", tablespace])
    cluster.psql(f"CREATE TABLESPACE ts LOCATION '{tablespace}'")
    return cluster


def take_backup(cluster, name, *arguments):
    mapping = f"{cluster.directory}/ts={cluster.directory}/{name}_ts"
    return cluster.basebackup(name, f"--tablespace-mapping={mapping}", "--wal-method=none", *arguments)


class Case(unittest.TestCase):
    version, checksums = None, True

    def verify_status(self, status, *arguments):
        result = verify(*arguments)
        self.assertEqual(result.returncode, status, result.stdout[-4000:] + result.stderr)
        return json.loads(result.stdout) if status != 2 else result.stderr


class Losses(Case):
    """One backup, of which each test damages a copy."""

    @classmethod
    def setUpClass(cls):
        if cls is Losses or not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.cluster = make_busy_cluster(cls, checksums=cls.checksums, version=cls.version)
        psql = cls.cluster.psql
        psql("CREATE DATABASE other")
        psql("CREATE TABLE o AS SELECT generate_series(1, 1000) a", "other")
        psql("CREATE DATABASE half")
        psql("CREATE TABLE h AS SELECT generate_series(1, 1000) a", "half")
        half = psql("SELECT pg_relation_filepath('h')", "half")
        psql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'")
        psql(SCHEMA + "CREATE TABLE grown AS SELECT generate_series(1, 1000) a;")
        # Two transactions that lock a row make a multixact.
        psql("BEGIN; SELECT FROM locked FOR KEY SHARE; PREPARE TRANSACTION 'lock'")
        psql("SELECT count(*) FROM (SELECT FROM locked FOR KEY SHARE) l")
        psql("COMMIT PREPARED 'lock'; BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'kept'; CHECKPOINT")
        cls.backup = pathlib.Path(take_backup(cls.cluster, "backup"))
        cls.paths = {
            name: psql(f"SELECT pg_relation_filepath('{name}')")
            for name in ("t", "t_pkey", "s", "far", "unlogged", "pg_class", "pg_proc", "pg_authid", "grown")
        }
        cls.paths["toast"] = psql(
            "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'toasted'"
        )
        cls.toasted = psql("SELECT oid FROM pg_class WHERE relname = 'toasted'")
        cls.paths["half"] = half
        cls.prepared = "pg_twophase/" + os.listdir(cls.backup / "pg_twophase")[0]
        cls.paths["o"] = psql("SELECT pg_relation_filepath('o')", "other")
        cls.tablespace = psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        cls.multixacts = psql("SELECT next_multixact_id FROM pg_control_checkpoint()") != "1"
        psql("UPDATE t SET b = 'u' WHERE a = 2500; INSERT INTO grown SELECT generate_series(1001, 5000)")
        cls.cluster.stop()

    def copy(self, manifest=True):
        """A copy of the backup that a test may damage."""
        target = pathlib.Path(self.cluster.directory, "copy")
        for directory in (target, pathlib.Path(f"{target}_ts")):
            shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.backup, target, symlinks=True)
        shutil.copytree(f"{self.backup}_ts", f"{target}_ts")
        link = target / "pg_tblspc" / self.tablespace
        link.unlink()
        link.symlink_to(f"{target}_ts")
        if not manifest:
            (target / "backup_manifest").unlink()
        return target

    def found(self, backup, status=1, *arguments):
        report = self.verify_status(
            status, "--base-backup", backup, "--wal", self.cluster.wal, *arguments
        )
        self.notes = report["notes"]
        self.assertEqual(report["backup"]["losses"], report["different"], report["mismatches"])
        self.assertTrue(all(m["in_backup"] for m in report["mismatches"]))
        return {(m["file"], m["damage"]) for m in report["mismatches"]}

    def check(self, damage, *expected, manifests=(True, False)):
        for manifest in manifests:
            with self.subTest(manifest=manifest):
                backup = self.copy(manifest)
                damage(backup)
                self.assertEqual(self.found(backup), set(expected))

    def test_undamaged(self):
        for manifest in (True, False):
            report = self.verify_status(
                0, "--base-backup", self.copy(manifest), "--wal", self.cluster.wal
            )
            self.assertEqual(report["notes"], [])
            backup = report["backup"]
            self.assertTrue(backup["read"])
            self.assertEqual(backup["manifest"], manifest)
            self.assertEqual(backup["page_checksums"], self.checksums)
            self.assertGreater(backup["pages"], 1000)
            self.assertEqual(backup["files_with_right_checksum"] > 900, manifest)

    def test_missing_files(self):
        names = [self.paths[n] for n in ("t", "t_pkey", "s", "far", "toast", "o", "pg_class")]
        names += [self.paths["unlogged"] + "_init", "pg_xact/0000"]
        if self.multixacts:
            names += ["pg_multixact/offsets/0000", "pg_multixact/members/0000"]
        directory = os.path.dirname(self.paths["o"])
        names += [f"{directory}/pg_filenode.map", f"{directory}/PG_VERSION", "global/pg_filenode.map"]
        names += ["PG_VERSION"]
        for name in names:
            with self.subTest(name):
                self.check(lambda b, n=name: (b / n).unlink(), (name, "missing file"))

    def test_missing_visibility_map(self):
        """Only the manifest has it: a server makes a new one."""
        name = self.paths["t"] + "_vm"
        self.check(lambda b: (b / name).unlink(), (name, "missing file"), manifests=[True])

    def test_missing_database(self):
        directory = os.path.dirname(self.paths["o"])
        backup = self.copy(False)
        shutil.rmtree(backup / directory)
        self.assertEqual(self.found(backup), {(directory, "missing file")})
        backup = self.copy()
        shutil.rmtree(backup / directory)
        self.assertGreater(len(self.found(backup)), 200)

    def test_cut_files(self):
        for name in (self.paths["t"], self.paths["far"], self.paths["t_pkey"]):
            with self.subTest(name):
                cut = lambda b, n=name: os.truncate(b / n, 3 * BLOCK + 1000)
                page = (name, "short file")
                self.check(cut, page)
                self.check(
                    lambda b, n=name: os.truncate(b / n, 3 * BLOCK), page, manifests=[True]
                )

    def test_cut_pg_xact(self):
        self.check(lambda b: os.truncate(b / "pg_xact/0000", 0), ("pg_xact/0000", "short file"),
                   manifests=[False])  # fmt: skip

    def test_odd_sizes_of_slrus(self):
        name = "pg_xact/0000"
        pages = (self.backup / name).stat().st_size // BLOCK
        for size, damage in ((pages * BLOCK + 100, "short file"), (33 * BLOCK, "long file")):
            self.check(lambda b, s=size: os.truncate(b / name, s), (name, damage), manifests=[False])

    def test_commit_timestamps(self):
        file, directory = ("pg_commit_ts/0000", "missing file"), ("pg_commit_ts", "missing file")
        self.check(lambda b: run(["rm", b / "pg_commit_ts/0000"]), file)
        self.check(lambda b: run(["rm", "-r", b / "pg_commit_ts"]), file, directory)

    def test_unreadable_files(self):
        """Each file that holds data is read, with a manifest or without: the disk has an error there."""
        names = [self.paths["t"], self.paths["s"], "pg_xact/0000", "pg_commit_ts/0000"]
        names += [os.path.dirname(self.paths["o"]) + "/PG_VERSION", self.prepared]
        if self.multixacts:
            names += ["pg_multixact/offsets/0000", "pg_multixact/members/0000"]
        for name in names:
            for manifest in (True, False):
                with self.subTest(name, manifest=manifest), failing_reads(f"/{name}"):
                    backup = self.copy(manifest)
                    result = verify("--base-backup", backup, "--wal", self.cluster.wal)
                    if result.returncode == 2:  # WAL cannot be judged without it
                        self.assertIn(f"{name}\": Input/output error", result.stderr)
                        continue
                    self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
                    found = {(m["file"], m["damage"]) for m in json.loads(result.stdout)["mismatches"]}
                    self.assertIn((name, "unreadable"), found)

    def test_directory_of_no_database(self):
        """CREATE DATABASE was interrupted, and the copy has stayed."""
        backup = self.copy(False)
        shutil.copytree(backup / os.path.dirname(self.paths["o"]), backup / "base/99999")
        self.write("base/99999/pg_filenode.map", 16, b"\x55")(backup)
        self.assertEqual(self.found(backup, 0), set())

    def test_subjects(self):
        """By pg_class, by a relation map and by that of the shared catalogs."""
        subjects = {
            "t": "table public.t of database postgres",
            "s": "sequence public.s of database postgres",
            "toast": f"TOAST table pg_toast.pg_toast_{self.toasted} of database postgres",
            "o": "table public.o of database other",
            "pg_proc": "table pg_catalog.pg_proc of database postgres",
            "pg_authid": "table pg_catalog.pg_authid",
        }
        backup = self.copy()
        for name in subjects:
            with open(backup / self.paths[name], "ab") as file:
                file.write(bytes(BLOCK))
        arguments = ["--base-backup", backup, "--wal", self.cluster.wal]
        found = {m["file"]: m["subject"] for m in self.verify_status(1, *arguments)["mismatches"]}
        self.assertEqual(found, {self.paths[name]: subject for name, subject in subjects.items()})

    def test_garbage_in_a_file_that_a_crash_has_left(self):
        backup = self.copy(False)
        directory = os.path.dirname(self.paths["t"])
        (backup / directory / "999999").write_bytes(b"\x55" * BLOCK)
        self.assertEqual(self.found(backup, 0), set())
        (note,) = self.notes
        self.assertEqual(note["file"], f"{directory}/999999")
        self.assertIn("pg_class does not have", note["problem"])

    def test_database_that_is_being_dropped(self):
        """DROP DATABASE was interrupted before the backup was taken: nobody can connect any more."""
        directory = os.path.dirname(self.paths["half"])
        backup = self.copy(False)
        (backup / self.paths["half"]).unlink()
        self.write(f"{directory}/pg_filenode.map", 16, b"\x55")(backup)
        self.write(f"{directory}/1249", 12, struct.pack("<HH", 8000, 100))(backup)
        self.assertEqual(self.found(backup, 0), set())
        shutil.rmtree(backup / directory)
        self.assertEqual(self.found(backup, 0), set())
        shutil.rmtree(backup / os.path.dirname(self.paths["o"]))
        self.assertEqual(self.found(backup), {(os.path.dirname(self.paths["o"]), "missing file")})

    def write(self, name, offset, content):
        def change(backup):
            with open(backup / name, "r+b") as file:
                file.seek(offset)
                file.write(content)

        return change

    def test_changed_bytes(self):
        """Four of them, in the middle of a page that WAL does not touch."""
        for name in (self.paths["t"], self.paths["far"], self.paths["t_pkey"], self.paths["s"]):
            with self.subTest(name):
                block = 0 if name == self.paths["s"] else 5
                change = self.write(name, block * BLOCK + 8000, b"\xde\xad\xbe\xef")
                self.check(change, (name, "checksum"), manifests=[True])
                if self.checksums:
                    self.check(change, (name, "checksum"), manifests=[False])

    def test_changed_header(self):
        name = self.paths["t"]
        change = self.write(name, 5 * BLOCK + 12, struct.pack("<HH", 8000, 100))
        self.check(change, (name, "checksum"), (name, "header"), manifests=[True])
        self.check(change, (name, "header"), manifests=[False])

    def test_changed_file_that_is_no_relation(self):
        self.check(self.write("pg_xact/0000", 0, b"\x55"), ("pg_xact/0000", "checksum"), manifests=[True])
        for name in ("global/pg_filenode.map", self.prepared):
            self.check(self.write(name, 16, b"\x55"), (name, "checksum"))

    def test_page_whose_image_comes_after_the_backup(self):
        """A server that is opened at the backup's end reads the damage."""
        backup = self.copy(False)
        path = backup / self.paths["t"]
        for at in range(0, path.stat().st_size, BLOCK):
            self.write(self.paths["t"], at + 8000, b"\xde\xad\xbe\xef")(backup)
        pages = path.stat().st_size // BLOCK
        report = json.loads(verify("--base-backup", backup, "--wal", self.cluster.wal).stdout)
        self.assertEqual(report["different"], pages if self.checksums else 0)

    def test_tablespaces(self):
        link = f"pg_tblspc/{self.tablespace}"
        lost = (link, "missing file")
        self.check(lambda b: (b / link).unlink(), lost)

        def point(backup, target):
            (backup / link).unlink()
            (backup / link).symlink_to(target)

        self.check(lambda b: point(b, "/nonexistent"), lost)
        self.check(lambda b: point(b, "../pg_twophase"), lost)

        def name_in_map(backup):
            (backup / "tablespace_map").write_text(f"{self.tablespace} /x\n99999 /a\\\nb\n")

        self.check(name_in_map, ("pg_tblspc/99999", "missing file"))

    def test_manifest(self):
        backup = self.copy()
        manifest = backup / "backup_manifest"
        text = manifest.read_bytes()
        manifest.write_bytes(text.replace(b'"Size": ', b'"Size": 1', 1))
        self.assertEqual(self.found(backup), {("backup_manifest", "checksum")})
        manifest.write_bytes(text[:-100])
        (backup / self.paths["t"]).unlink()
        self.assertEqual(
            self.found(backup), {("backup_manifest", "checksum"), (self.paths["t"], "missing file")}
        )

    def test_more_files(self):
        """As for pg_verifybackup, what other programs write is not even a note."""
        backup = self.copy()
        for name in ("standby.signal", "recovery.signal", "pg_wal/x"):
            (backup / name).touch()
        with open(backup / "postgresql.auto.conf", "a", encoding="utf-8") as file:
            file.write("# by somebody else\n")
        (backup / "more").touch()
        self.assertEqual(self.found(backup, 0), set())
        self.assertEqual([(n["file"], n["damage"]) for n in self.notes], [("more", "extra file")])

    def test_a_later_segment_alone(self):
        page = (self.backup / self.paths["t"]).read_bytes()[:BLOCK]

        # Also where WAL after the backup's end adds blocks in between.
        for name in (self.paths["t"], self.paths["grown"]):
            backup = self.copy(False)
            (backup / f"{name}.1").write_bytes(page)
            found = self.found(backup)
            self.assertIn((name, "short file"), found)

    def test_file_of_more_than_1_gb(self):
        """No server reads it."""
        name = self.paths["t"]
        self.check(lambda b: os.truncate(b / name, (1 << 30) + BLOCK), (name, "long file"))

    def test_quick(self):
        backup = self.copy()
        (backup / self.paths["t"]).unlink()
        report = self.verify_status(
            0, "--base-backup", backup, "--wal", self.cluster.wal, "--quick"
        )
        self.assertEqual(report["backup"], {"read": False})
        self.assertEqual(report["coverage"]["backup"], "not read as a whole")
        self.assertEqual(report["coverage"]["pages_not_changed_by_wal"], "not compared")
        whole = self.verify_status(0, "--base-backup", self.copy(), "--wal", self.cluster.wal)
        self.assertEqual(whole["coverage"]["backup"], "all files")
        without = self.verify_status(0, "--base-backup", self.copy(False), "--wal", self.cluster.wal)
        self.assertEqual(without["coverage"]["backup"], "the files that hold data")
        text = run_neon_redo(
            "verify", "--engine", "native", "--no-progress", "--quick", "--base-backup", backup,
            "--wal", self.cluster.wal,
        ).stdout  # fmt: skip
        self.assertIn("--quick: the backup was not read as a whole", text.splitlines()[-1])

    def test_words(self):
        backup = self.copy(False)
        (backup / self.paths["t"]).unlink()
        result = run_neon_redo(
            "verify", "--engine", "native", "--no-progress", "--base-backup", backup, "--wal",
            self.cluster.wal, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, 1)
        self.assertIn(
            f'({self.paths["t"]}): the file is missing: it is that of relation "t", by pg_class; take '
            "a new backup",
            result.stdout,
        )
        self.assertRegex(
            result.stdout.splitlines()[-1], r"The backup has 1 loss: do not rely on it, and take a new one"
        )

    def test_what_may_not_be_read(self):
        if server_user() is None:
            return  # only root can become somebody else
        backup = self.copy()
        run(["chown", "-R", f"{server_user()}:", backup, f"{backup}_ts"])
        shutil.chown(backup / self.paths["t"], "root")
        os.chmod(backup / self.paths["t"], 0o600)
        program = os.path.join(self.cluster.directory, "neon-redo")
        shutil.copy(neon_redo_program(), program)
        result = self.cluster.run_as_server(
            [program, "verify", "--engine", "native", "--base-backup", backup, "--wal", self.cluster.wal],
            check=False,
        )
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertIn(self.paths["t"], result.stderr)


class Unchanged(Case):
    """Damage in a cluster, or in a later backup, where WAL changes nothing."""

    @classmethod
    def setUpClass(cls):
        if cls is Unchanged or not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.cluster = make_busy_cluster(cls, checksums=cls.checksums, version=cls.version)
        psql = cls.cluster.psql
        psql(SCHEMA)
        psql("CREATE DATABASE half")
        psql("CREATE TABLE h AS SELECT generate_series(1, 1000) a", "half")
        cls.half = psql("SELECT pg_relation_filepath('h')", "half")
        psql("CREATE TABLE seen AS SELECT generate_series(1, 5000) a; CHECKPOINT")
        cls.backup = take_backup(cls.cluster, "backup")
        cls.paths = {
            name: psql(f"SELECT pg_relation_filepath('{name}')")
            for name in ("t", "t_pkey", "s", "far", "toasted", "pg_class")
        }
        # Hint bits without WAL, on a cluster without checksums.
        psql("SELECT count(*) FROM seen; UPDATE t SET b = 'u' WHERE a = 2500; UPDATE far SET b = b")
        psql("INSERT INTO unlogged SELECT generate_series(101, 200)")
        psql("INSERT INTO h SELECT generate_series(1, 1000) a", "half")
        psql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'")
        cls.later = take_backup(cls.cluster, "later")
        cls.cluster.stop()

    def against(self, data):
        return ["--base-backup", self.backup, "--wal", self.cluster.wal, "--against", data]

    def change(self, data, name, offset, content):
        path = pathlib.Path(data, name)
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.write_bytes(whole[:offset] + content + whole[offset + len(content) :])

    def test_undamaged(self):
        for data in (self.cluster.data, self.later):
            report = self.verify_status(0, *self.against(data))
            self.assertGreater(report["backup"]["unchanged_compared"], 1000)
            self.assertEqual(self.verify_status(0, *self.against(data), "--quick")["backup"], {"read": False})

    def test_damage(self):
        damages = {
            "heap": (self.paths["t"], BLOCK + 8100, b"\xde\xad", 1),
            "index": (self.paths["t_pkey"], BLOCK + 5000, b"\xde\xad", 1),
            "sequence": (self.paths["s"], 8150, b"\xde\xad", 0),
            "catalog": (self.paths["pg_class"], 8100, b"\xde\xad", 0),
            "map": (self.paths["toasted"] + "_vm", 24, b"\x00", 0),
            "zeroes": (self.paths["t"], BLOCK, bytes(BLOCK), 1),
        }
        for what, (name, offset, content, block) in damages.items():
            for data in (self.cluster.data, self.later):
                with self.subTest(what, data=data):
                    self.change(data, name, offset, content)
                    report = self.verify_status(1, *self.against(data))
                    (mismatch,) = report["mismatches"]
                    self.assertEqual((mismatch["file"], mismatch["block"]), (name, block))
                    self.assertFalse(mismatch["in_backup"])
                    self.assertIn("no WAL since the base backup changes this page", mismatch["problem"])
                    self.verify_status(0, *self.against(data), "--quick")
                    self.doCleanups()

    def test_file_of_more_than_1_gb(self):
        """No server reads it."""
        for data in (self.cluster.data, self.later):
            path = pathlib.Path(data, self.paths["toasted"])
            size = path.stat().st_size
            self.addCleanup(os.truncate, path, size)
            os.truncate(path, (1 << 30) + BLOCK)
            report = self.verify_status(1, *self.against(data))
            self.assertIn("long file", report["damage"])
            self.doCleanups()

    def test_missing_file_that_changed_during_the_later_backup(self):
        """Blocks that are not compared hide no file that is gone."""
        later = pathlib.Path(self.later)
        for name in (self.paths["far"], self.paths["t"]):
            hidden = later / "hidden"
            (later / name).rename(hidden)
            self.addCleanup(hidden.rename, later / name)
            self.verify_status(1, *self.against(self.later))
            self.doCleanups()

    def test_what_cannot_be_read(self):
        """The disk has an error where WAL changes nothing: that is never equal."""
        data = os.path.basename(self.cluster.data)
        for name in (self.paths["t_pkey"], "pg_xact/0000"):
            with self.subTest(name), failing_reads(f"/{data}/{name}"):
                report = self.verify_status(1, *self.against(self.cluster.data))
                self.assertIn((name, "unreadable"), {(m["file"], m["damage"]) for m in report["mismatches"]})

    def test_database_that_is_being_dropped(self):
        """By the cluster's pg_database, nobody can connect to it any more."""
        for data in (self.cluster.data, self.later):
            directory = os.path.dirname(os.path.join(data, self.half))
            away = f"{self.cluster.directory}/away"
            self.addCleanup(os.rename, f"{away}/{os.path.basename(directory)}", directory)
            os.makedirs(away, exist_ok=True)
            os.remove(os.path.join(data, self.half))
            report = self.verify_status(0, *self.against(data))
            self.assertGreater(report["skipped"]["database whose DROP was interrupted"], 0)
            shutil.move(directory, away)
            self.verify_status(0, *self.against(data))
            self.doCleanups()

    def test_slru_page(self):
        """pg_xact's second page, which no WAL of the test reaches."""
        for data in (self.cluster.data, self.later):
            paths = [pathlib.Path(d, "pg_xact/0000") for d in (self.backup, data)]
            for path in paths:
                whole = path.read_bytes()
                self.addCleanup(path.write_bytes, whole)
                path.write_bytes(whole[:BLOCK] + bytes(BLOCK))
            manifest = pathlib.Path(self.backup, "backup_manifest")
            self.addCleanup(manifest.write_bytes, manifest.read_bytes())
            manifest.unlink()
            self.verify_status(0, *self.against(data))
            self.change(data, "pg_xact/0000", BLOCK + 100, b"\x55")
            (mismatch,) = self.verify_status(1, *self.against(data))["mismatches"]
            self.assertEqual((mismatch["file"], mismatch["block"]), ("pg_xact/0000", 1))
            os.truncate(paths[1], BLOCK)
            (mismatch,) = self.verify_status(1, *self.against(data))["mismatches"]
            self.assertEqual(mismatch["damage"], "short file")
            self.doCleanups()

    def test_relation_map(self):
        for data in (self.cluster.data, self.later):
            self.change(data, "global/pg_filenode.map", 16, b"\x55")
            (mismatch,) = self.verify_status(1, *self.against(data))["mismatches"]
            self.assertEqual(mismatch["file"], "global/pg_filenode.map")
            self.doCleanups()


class Busy(Case):
    """Backups taken while the server writes, extends, truncates, drops and creates: all are whole."""

    WRITES = """
        CREATE TABLE u_{n} (a int PRIMARY KEY, b text) TABLESPACE {space};
        INSERT INTO u_{n} SELECT g, repeat('z', 200) FROM generate_series(1, 3000) g;
        CREATE INDEX ON u_{n} (b);
        UPDATE u_{n} SET b = 'v' WHERE a % 3 = 0;
        VACUUM u_{n};
        DELETE FROM u_{n} WHERE a > 500;
        VACUUM (TRUNCATE) u_{n};
        BEGIN; CREATE TABLE gone AS SELECT generate_series(1, 1000) a; ROLLBACK;
        TRUNCATE kept; INSERT INTO kept SELECT generate_series(1, 2000);
        VACUUM FULL kept;
        VACUUM (ANALYZE) pgbench_branches;
        VACUUM FULL pg_class;
        DROP TABLE IF EXISTS u_{old};
    """

    @classmethod
    def setUpClass(cls):
        if cls is Busy or not cls.version:
            raise unittest.SkipTest("a base of others")

    def write(self, stop):
        number = 0
        while not stop.is_set():
            space = "pg_default" if number % 2 else "ts"
            self.cluster.psql(self.WRITES.format(n=number, old=number - 3, space=space), check=False)
            if number % 4 == 1:
                strategy = "file_copy" if number % 8 == 1 else "wal_log"
                self.cluster.psql(f"CREATE DATABASE d{number} STRATEGY {strategy}", check=False)
                self.cluster.psql(f"DROP DATABASE IF EXISTS d{number - 4}", check=False)
            number += 1

    def test_torn_pages(self):
        """Pages that the server wrote while they were copied: WAL of the backup's time has images."""
        cluster = make_busy_cluster(type(self), checksums=self.checksums, version=self.version)
        cluster.psql("CREATE TABLE w AS SELECT g a, repeat('x', 100) b FROM generate_series(1, 2000) g")
        path = cluster.psql("SELECT pg_relation_filepath('w')")
        backups = []
        taking = threading.Thread(
            target=lambda: backups.append(take_backup(cluster, "backup", "--max-rate=8M"))
        )
        taking.start()
        cluster.psql(
            "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_progress_basebackup"
            " WHERE phase = 'streaming database files') LOOP PERFORM pg_sleep(0.01);"
            " PERFORM pg_stat_clear_snapshot(); END LOOP; END $$; UPDATE w SET b = 'y' WHERE a % 7 = 0"
        )
        taking.join()
        cluster.stop()
        os.remove(os.path.join(backups[0], "backup_manifest"))
        file = pathlib.Path(backups[0], path)
        content = bytearray(file.read_bytes())
        damaged = 0
        for at in range(0, len(content), BLOCK):
            if any(content[at : at + BLOCK]):  # else the file was extended ahead of its use
                content[at + 12 : at + 16] = struct.pack("<HH", 8000, 100)  # pd_lower, pd_upper
                damaged += 1
        file.write_bytes(content)
        arguments = ["--base-backup", backups[0], "--wal", cluster.wal]
        report = self.verify_status(0, *arguments)
        self.assertEqual(report["backup"]["pages_made_good"], damaged)
        self.assertGreater(damaged, 30)
        self.verify_status(0, *arguments, "--against", cluster.data)

    def test_no_false_alarm(self):
        self.cluster = make_busy_cluster(type(self), checksums=self.checksums, version=self.version)
        self.cluster.pgbench("-i", "-q", "-s", "3")
        self.cluster.psql("CREATE TABLE kept (a int)")
        stop = threading.Event()
        writers = [threading.Thread(target=self.write, args=[stop])]
        pgbench = subprocess.Popen(
            as_server_user([self.cluster.program("pgbench"), "-c", "4", "-T", "60", "postgres"]),
            env=self.cluster.environment(), cwd=self.cluster.directory,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        backups = []
        try:
            for writer in writers:
                writer.start()
            for number in range(4):
                backups.append(take_backup(self.cluster, f"backup{number}", "--max-rate=25M"))
        finally:
            stop.set()
            pgbench.terminate()
            pgbench.wait()
            for writer in writers:
                writer.join()
        self.cluster.stop()
        made_good = 0
        for number, backup in enumerate(backups):
            for manifest in (True, False):
                if not manifest:
                    os.remove(os.path.join(backup, "backup_manifest"))
                arguments = ["--base-backup", backup, "--wal", self.cluster.wal]
                for against in ([], ["--against", self.cluster.data], ["--against", backups[-1]]):
                    if against and (manifest or backup == against[1]):
                        continue
                    with self.subTest(number=number, manifest=manifest, against=against):
                        report = self.verify_status(0, *arguments, *against)
                        made_good += report["backup"]["pages_made_good"]
        print(f"{made_good} pages made good", flush=True)


class Whole(Case):
    """Backups with every option, of a cluster with all that has no file, or another than pg_class says."""

    OBJECTS = """
        CREATE TABLE parted (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
        CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE INDEX ON parted (b);
        INSERT INTO parted SELECT g, 'x' FROM generate_series(0, 999) g;
        CREATE VIEW v AS SELECT * FROM parted;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM parted;
        CREATE MATERIALIZED VIEW empty AS SELECT * FROM parted WITH NO DATA;
        CREATE TYPE composite AS (a int);
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE f (a int) SERVER s;
        CREATE UNLOGGED TABLE u (a serial PRIMARY KEY, b text); INSERT INTO u SELECT generate_series(1, 100);
        SELECT lo_from_bytea(0, repeat('x', 10000)::bytea);
        VACUUM FULL pg_authid; VACUUM FULL pg_class; REINDEX TABLE pg_class; REINDEX TABLE pg_database;
        CREATE TABLE prepared_old AS SELECT 1 a;
        BEGIN; CREATE TABLE prepared_new AS SELECT 1 a; DROP TABLE prepared_old; PREPARE TRANSACTION 'p';
    """
    OPTIONS = [
        ["--wal-method=none"],
        ["--wal-method=fetch", "--no-manifest"],
        ["--wal-method=stream", "--manifest-checksums=NONE"],
        ["--wal-method=fetch", "--manifest-checksums=SHA512"],
    ]

    @classmethod
    def setUpClass(cls):
        if cls is Whole or not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.cluster = make_busy_cluster(cls, checksums=cls.checksums, version=cls.version)

    def test_whole(self):
        psql = self.cluster.psql
        psql(self.OBJECTS)
        psql("CREATE DATABASE d TABLESPACE ts; CREATE DATABASE moved")
        psql("CREATE TABLE t AS SELECT generate_series(1, 100) a", "d")
        temporary = self.session("CREATE TEMP TABLE tt AS SELECT generate_series(1, 9999) a")
        open_transaction = self.session("BEGIN; CREATE TABLE later AS SELECT generate_series(1, 9999) a")
        backups = []
        for number, options in enumerate(self.OPTIONS):
            target = os.path.join(self.cluster.directory, f"whole{number}")
            mapping = f"{self.cluster.directory}/ts={target}_ts"
            backup = threading.Thread(
                target=lambda t=target, m=mapping, o=options: self.cluster.basebackup(
                    t, f"--tablespace-mapping={m}", "--max-rate=40M", *o
                )
            )
            backup.start()
            while backup.is_alive():
                space = "ts" if number % 2 else "pg_default"
                psql(f"ALTER DATABASE moved SET TABLESPACE {space}; VACUUM FULL pg_database")
                psql("DROP TABLE IF EXISTS x; CREATE TABLE x AS SELECT generate_series(1, 999) a")
                psql("TRUNCATE u; REFRESH MATERIALIZED VIEW m; VACUUM FULL pg_type")
                number += 1
            backup.join()
            backups.append((target, options))
        for session in (temporary, open_transaction):
            session.stdin.close()
            session.wait(60)
            session.stdout.close()
        psql("COMMIT PREPARED 'p'")
        self.cluster.stop()
        for backup, options in backups:
            own = os.path.join(backup, "pg_wal")
            for wal in [self.cluster.wal] + ([own] if options[0] != "--wal-method=none" else []):
                with self.subTest(options=options, wal=wal):
                    report = self.verify_status(0, "--base-backup", backup, "--wal", wal)
                    self.assertEqual(report["notes"], [])
            with self.subTest(options=options, against=True):
                self.verify_status(
                    0, "--base-backup", backup, "--wal", self.cluster.wal, "--against", self.cluster.data
                )

    def session(self, sql):
        """A session that stays open, once it has run the commands."""
        session = subprocess.Popen(
            as_server_user([self.cluster.program("psql"), "-X", "-q", "-A", "-t", "postgres"]),
            env=self.cluster.environment(), cwd=self.cluster.directory, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(session.kill)
        session.stdin.write(f"{sql};\nSELECT 'done';\n")
        session.stdin.flush()
        self.assertEqual(session.stdout.readline(), "done\n")
        return session


class ManyFiles(unittest.TestCase):
    def test_memory(self):
        """20,000 files more than a cluster has cost memory, but not beyond --memory."""
        with Cluster(settings=SETTINGS) as cluster:
            backup = take_backup(cluster, "backup")
            cluster.stop()
            for number in range(20_000):
                pathlib.Path(backup, "base/5", str(100_000 + number)).touch()
            used = {}
            for manifest in (True, False):
                if not manifest:
                    os.remove(os.path.join(backup, "backup_manifest"))
                process = subprocess.Popen(
                    [neon_redo_program(), "verify", "--engine", "native", "--no-progress", "--jobs", "1",
                     "--memory", "100MB", "--base-backup", backup, "--wal", cluster.wal],
                    stdout=subprocess.DEVNULL,
                )  # fmt: skip
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                used[manifest] = usage.ru_maxrss // 1024
            self.assertLess(max(used.values()), 100, used)


def load_tests(loader, _tests, pattern):
    """Every case on each server, with and without checksums."""
    del pattern
    suite = unittest.TestSuite()
    suite.addTests(loader.loadTestsFromTestCase(ManyFiles))
    for case in cases_of_each_server(globals(), [Losses, Unchanged, Busy, Whole]):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
