"""neon-redo verify --ledger: a second run reads only what is new, says what it relied on, finds what a run over all
finds, and never calls fine what such a run would not."""

import json
import os
import pathlib
import re
import shutil
import tarfile
import time
import unittest

from backup_tools import PgBackRest, need, version_of, with_tablespace
from cluster import Cluster, cases_of_each_server, copy_module, make_directory, run, run_neon_redo
from walg import WalG

SETTINGS = {
    "wal_level": "replica",
    "archive_mode": "on",
    "max_wal_size": "2GB",
    "max_prepared_transactions": 5,
    "autovacuum": "off",
}
BEFORE = """
CREATE TABLE cold (a int PRIMARY KEY, b text);
INSERT INTO cold SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
CREATE TABLE hot (a int PRIMARY KEY, b text);
INSERT INTO hot SELECT g, repeat('x', 40) FROM generate_series(1, 3000) g;
CREATE TABLE short AS SELECT g a FROM generate_series(1, 5000) g;
CREATE TABLE gone AS SELECT g a FROM generate_series(1, 500) g;
CREATE TABLE far (a int, b text) TABLESPACE ts;
INSERT INTO far SELECT g, repeat('y', 50) FROM generate_series(1, 2000) g;
"""
# Whatever a run must know of WAL that it does not read: made, cut and dropped relations, rewritten catalogues,
# a new database, prepared transactions, multixacts, pages that VACUUM alone changes.
FIRST_DAY = [
    "UPDATE hot SET b = 'u' WHERE a % 3 = 0",
    "CREATE TABLE grown AS SELECT g a, repeat('z', 100) b FROM generate_series(1, 8000) g",
    "CREATE INDEX ON grown (a)",
    "SELECT pg_switch_wal()",
    "DELETE FROM short WHERE a > 1000",
    "VACUUM short",
    "DROP TABLE gone",
    "SELECT pg_switch_wal()",
    "VACUUM FULL pg_class",
    "CREATE DATABASE other",
    "BEGIN; INSERT INTO hot VALUES (10000, 'p'); PREPARE TRANSACTION 'one'",
    "BEGIN; INSERT INTO hot VALUES (10001, 'p'); PREPARE TRANSACTION 'two'",
    "BEGIN; SELECT count(*) FROM (SELECT FROM cold FOR KEY SHARE) l; SAVEPOINT s; "
    "UPDATE cold SET b = 'l' WHERE a < 50; ROLLBACK TO s; COMMIT",
    "CHECKPOINT",
    "INSERT INTO grown SELECT g, 'n' FROM generate_series(8001, 9000) g",
]
SECOND_DAY = [
    "VACUUM grown",
    "UPDATE grown SET b = 'm' WHERE a % 7 = 0",
    "COMMIT PREPARED 'one'",
    "CHECKPOINT",
    "INSERT INTO hot SELECT g, 'later' FROM generate_series(20000, 22000) g",
    "CREATE TABLE second AS SELECT g a FROM generate_series(1, 3000) g",
    "TRUNCATE short",
    "INSERT INTO short SELECT generate_series(1, 100)",
    "UPDATE cold SET b = 'c' WHERE a % 5 = 0",
]
THIRD_DAY = ["INSERT INTO second SELECT generate_series(1, 2000)", "DROP TABLE far", "CHECKPOINT", "VACUUM second"]


def psql_all(cluster, statements):
    for statement in statements:
        cluster.psql(statement)


class LedgerCase(unittest.TestCase):
    """Three days of one cluster: `days` has the names of the segments that were archived by their ends."""

    version = None
    checksums = True

    @classmethod
    def setUpClass(cls):
        cluster = cls.cluster = with_tablespace(cls, settings=SETTINGS, version=cls.version, checksums=cls.checksums)
        cls.directory = make_directory("neon_redo.ledger.")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.module = copy_module(os.path.join(cls.directory, "module"), cls.version)
        cls.begin()
        cls.before = cls.archived()
        cls.days = []
        for day in (FIRST_DAY, SECOND_DAY, THIRD_DAY):
            psql_all(cluster, day)
            cls.days.append(cls.archived())

    @classmethod
    def begin(cls):
        """Takes the base backup: cls.base, and cls.archive with its WAL."""
        cluster = cls.cluster
        cls.archive = os.path.join(cluster.directory, "archive")
        cluster.run_as_server(["mkdir", cls.archive])
        cluster.psql(f"ALTER SYSTEM SET archive_command = 'cp %p {cls.archive}/%f'")
        cluster.psql("SELECT pg_reload_conf()")
        cluster.psql(BEFORE)
        cls.base = cls.take_backup()

    @classmethod
    def take_backup(cls):
        return cls.cluster.basebackup("backup", "--wal-method=none", f"--tablespace-mapping={cls.space()}={cls.space()}_backup")

    @classmethod
    def space(cls):
        return cls.cluster.psql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'ts'").strip()

    @classmethod
    def archived(cls):
        """The names of all segments in the archive, once the last one is there."""
        name = cls.cluster.psql("SELECT pg_walfile_name(pg_switch_wal() - 1)").strip()
        deadline = time.monotonic() + 60
        while not any(name in file for file in cls.segment_files()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} was not archived")
            time.sleep(0.1)
        return cls.segment_files()

    @classmethod
    def segment_files(cls):
        return {
            str(path.relative_to(cls.archive))
            for path in pathlib.Path(cls.archive).rglob("*")
            if re.fullmatch("[0-9A-F]{24}(-[0-9a-f]{40})?([.][a-z0-9]+)?", path.name) and path.is_file()
        }

    def setUp(self):
        self.work = pathlib.Path(make_directory("neon_redo.ledger."))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.wal = self.work / "wal"
        self.ledger = self.work / "main.ledger"
        self.copy_base()

    def copy_base(self):
        self.backup = self.work / "backup"
        shutil.copytree(self.base, self.backup, symlinks=True)

    def base_options(self):
        return [f"--base-backup={self.backup}"]

    def wal_options(self):
        return [f"--wal={self.wal}"]

    def bring(self, day):
        """Archives what was archived by the end of the day, 0 to 2."""
        for name in self.days[day]:
            target = self.wal / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(os.path.join(self.archive, name), target)

    def verify(self, *options, ledger=True):
        """Status, the JSON (an empty object if it could not look), and all output."""
        words = ["--no-progress", "--format=json", f"--module={self.module}", *self.base_options(), *self.wal_options()]
        if ledger:
            words.append(f"--ledger={self.ledger}")
        environment = {name: value for name, value in os.environ.items() if name != "PGDATA"}
        done = run_neon_redo("verify", *words, *options, check=False, env=environment)
        said = json.loads(done.stdout) if done.returncode in (0, 1) else {}
        return done.returncode, said, done.stdout + done.stderr

    def check_fine(self, relied, *options, why=None):
        """The run is fine, as one over all is, and relies on the ledger or says why it does not."""
        status, said, text = self.verify(*options)
        self.assertEqual(status, 0, text)
        self.assertEqual(said["ledger"]["relied"], relied, text)
        self.assertTrue(said["ledger"]["written"], text)
        if why:
            self.assertRegex(said["ledger"]["why_all"], why)
        all_status, over_all, all_text = self.verify(ledger=False)
        self.assertEqual(all_status, 0, all_text)
        for what in ("end_lsn", "different", "timeline", "last_transaction"):
            self.assertEqual(said[what], over_all[what], what)
        return said

    def prove_first_day(self):
        self.bring(0)
        self.check_fine(False, why="there was no ledger yet")
        self.assertEqual(self.ledger.stat().st_mode & 0o777, 0o600)


    def settle(self):
        """Until files that were changed last are told from such as are changed next."""
        time.sleep(1.1)

    # What a backup's files are called in its layout.

    def stored(self, name):
        """The file on disk that has this file of the backup."""
        return self.backup / name

    def data_file(self, table):
        return self.cluster.psql(f"SELECT pg_relation_filepath('{table}')").strip()

    def flipped_file(self):
        return self.data_file("cold")

    def flipped_file_says(self):
        return re.escape(self.data_file("cold"))

    def proven(self):
        """Paths of segments of the first day that a run needs, in order."""
        return sorted((self.wal / name for name in self.days[0] - self.before), key=lambda path: path.name)

    def check_found(self, status, pattern, *options):
        """What a run with the ledger says is what a run over all says."""
        all_status, over_all, all_text = self.verify(*options, ledger=False)
        self.assertEqual(all_status, status, all_text)
        with_status, said, text = self.verify(*options)
        self.assertEqual(with_status, status, text)
        self.assertRegex(text, pattern)
        if status == 1:
            self.assertEqual(said["damage"], over_all["damage"])
            self.assertEqual(said["different"], over_all["different"])
            self.assertEqual(said["mismatches"], over_all["mismatches"])
            self.assertFalse(said["ledger"]["relied"])
            self.assertFalse(self.ledger.exists())
        return said


    def check_found_somehow(self, pattern):
        """As a loss, or because nothing can be read: that depends on where the damage is."""
        status, _, text = self.verify(ledger=False)
        self.assertIn(status, (1, 2), text)
        self.check_found(status, pattern)


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


class Days(LedgerCase):
    """What a ledger is for, on plain backups and in other layouts."""

    def test_days(self):
        """Each run relies on what was proven before, and takes on from there."""
        self.prove_first_day()
        self.settle()
        again = self.check_fine(True)
        self.assertGreater(again["ledger"]["files"], 900)
        self.assertEqual(again["ledger"]["files_read_again"], 0)
        self.assertFalse(again["backup"]["read"])
        self.bring(1)
        second = self.check_fine(True)
        self.assertEqual(second["ledger"]["proven_to_lsn"], again["end_lsn"])
        self.bring(2)
        third = self.check_fine(True)
        self.assertEqual(third["ledger"]["proven_to_lsn"], second["end_lsn"])
        self.assertGreater(third["ledger"]["segments"], again["ledger"]["segments"])
        self.assertEqual(third["ledger"]["read_all_at"], again["ledger"]["read_all_at"])
        self.check_fine(False, "--full", why="--full was given")
        self.check_fine(True)

    def test_two_days_at_once(self):
        """A ledger of the first day, and then all the rest."""
        self.prove_first_day()
        self.bring(2)
        self.check_fine(True)

    def test_file_that_was_damaged(self):
        self.prove_first_day()
        flip(self.stored(self.flipped_file()))
        self.bring(1)
        self.check_found(1, self.flipped_file_says())

    def test_file_that_is_gone(self):
        self.prove_first_day()
        self.stored(self.flipped_file()).unlink()
        self.bring(1)
        self.check_gone()

    def check_gone(self):
        self.check_found(1, self.flipped_file_says())

    def test_file_that_only_looks_changed(self):
        """Its content is compared, and the WAL is not read again."""
        self.prove_first_day()
        stored = self.stored(self.flipped_file())
        data = stored.read_bytes()
        stored.unlink()
        stored.write_bytes(data)
        self.bring(1)
        said = self.check_fine(True)
        self.assertGreater(said["ledger"]["files_read_again"], 0)

    def test_segment_that_is_gone(self):
        """Any that was proven: also the last one, which a run over all cannot miss."""
        self.prove_first_day()
        segments = self.proven()
        self.assertGreater(len(segments), 2)
        for segment in (segments[0], segments[len(segments) // 2], segments[-1]):
            with self.subTest(segment=segment.name):
                aside = self.work / "aside"
                segment.rename(aside)
                status, _, text = self.verify()
                self.assertEqual(status, 2, text)
                self.assertIn(segment.name[:24], text)
                aside.rename(segment)
                self.assertTrue(self.ledger.exists())
        self.check_fine(True)


class Ledger(LedgerCase):
    """The parts that are the same for each layout."""

    def test_new_wal_that_is_damaged(self):
        """It is named as without a ledger, which stays as it is: the right segment is verified next time."""
        self.prove_first_day()
        self.bring(1)
        damaged = min(self.wal / name for name in self.days[1] - self.days[0])
        good = damaged.read_bytes()
        flip(damaged, 100_000)
        self.check_found(2, damaged.name)
        damaged.write_bytes(good)
        self.check_fine(True)

    def test_old_segment_that_was_damaged(self):
        """Its time gives it away, and all is read."""
        self.prove_first_day()
        damaged = self.proven()[0]
        flip(damaged, 30_000)
        self.bring(1)
        self.check_found(2, damaged.name)
        self.assertFalse(self.ledger.exists())

    def test_old_segments_that_were_compressed(self):
        """They are read, and have the same records."""
        need(self, "gzip")
        self.prove_first_day()
        self.settle()
        for segment in self.proven():
            run(["gzip", "-1", segment])
        self.bring_more()
        said = self.check_fine(True)
        self.assertGreater(said["ledger"]["segments_read_again"], 0)
        self.assertEqual(said["ledger"]["files_read_again"], 0)

    def test_last_segment_that_was_cut(self):
        """A run over all takes that for the end of WAL."""
        self.prove_first_day()
        last = self.proven()[-1]
        data = last.read_bytes()
        last.write_bytes(data[:8192] + bytes(len(data) - 8192))
        status, _, text = self.verify(ledger=False)
        self.assertEqual(status, 0, text)
        status, _, text = self.verify()
        self.assertEqual(status, 2, text)
        self.assertRegex(text, "WAL is missing that was there on .*: it went up to .*, and ends at")
        self.check_fine(False, "--full")

    def bring_more(self):
        """The second day's own segments."""
        for name in self.days[1] - self.days[0]:
            shutil.copy(os.path.join(self.archive, name), self.wal / name)

    def test_segment_of_the_middle_that_is_gone_for_a_run_over_all(self):
        """--full says what is wrong without a ledger, too."""
        self.prove_first_day()
        missing = self.proven()[1]
        missing.unlink()
        self.check_found(2, missing.name, "--full")
        self.assertFalse(self.ledger.exists())

    def test_damage_with_the_old_time(self):
        """A program that sets the time of modification back cannot set that of status change."""
        self.prove_first_day()
        path = self.stored(self.flipped_file())
        self.settle()
        self.check_fine(True)
        before = path.stat()
        flip(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.check_found(1, re.escape(self.flipped_file()))

    def test_another_backup(self):
        """It begins a new ledger; another cluster's is refused."""
        self.prove_first_day()
        another = self.cluster.basebackup(
            f"another_{self.id()}", "--wal-method=none", f"--tablespace-mapping={self.space()}={self.work}/another_ts"
        )
        self.days.append(self.archived())
        self.addCleanup(self.days.pop)
        self.bring(3)
        self.backup = pathlib.Path(another)
        self.check_fine(False, why="is of another backup")
        self.check_fine(True)
        with Cluster(settings={"wal_level": "replica"}, version=self.version) as other:
            self.backup = pathlib.Path(other.basebackup("backup"))
            self.wal = self.backup / "pg_wal"
            status, _, text = self.verify()
        self.assertEqual(status, 2, text)
        self.assertIn("each cluster needs a ledger of its own", text)

    def test_ledger_that_is_damaged(self):
        self.prove_first_day()
        flip(self.ledger)
        status, _, text = self.verify()
        self.assertEqual(status, 2, text)
        self.assertRegex(text, "is damaged: its checksum.*give --full")
        self.check_fine(False, "--full", why="--full was given")
        self.ledger.write_text("something else")
        status, _, text = self.verify("--full")
        self.assertEqual(status, 2, text)
        self.assertIn("is not overwritten", text)

    def test_what_does_not_go_with_it(self):
        self.bring(0)
        for options, why in (
            (["--quick"], "leave out --until and --quick"),
            (["--until=0/5000000"], "leave out --until and --quick"),
            (["--against=/nowhere"], "leave out --against"),
            (["--engine=native"], "skips records"),
            (["--restore-command=false"], "cannot list them"),
            (["--images"], "leave out --follow, --images"),
        ):
            with self.subTest(options=options):
                status, _, text = self.verify(*options)
                self.assertEqual(status, 2, text)
                self.assertIn(why, text)
        status, _, text = self.verify("--full", ledger=False)
        self.assertEqual(status, 2, text)

    def test_pages_without_images(self):
        """With full_page_writes = off, the new WAL alone does not say what a page is."""
        self.prove_first_day()
        cluster = self.cluster
        self.days.append(self.without_images())
        self.addCleanup(self.days.pop)
        self.bring(2)
        self.check_fine(True)
        self.bring(3)
        self.check_fine(False, why="none since the last checkpoint before has an image of it")
        self.assertEqual(cluster.psql("SHOW full_page_writes").strip(), "on")

    def without_images(self):
        cluster = self.cluster
        cluster.psql("CHECKPOINT")
        cluster.psql("ALTER SYSTEM SET full_page_writes = off")
        cluster.psql("SELECT pg_reload_conf()")
        cluster.psql("SELECT pg_sleep(0.5)")
        cluster.psql("CHECKPOINT")
        cluster.psql("UPDATE cold SET b = 'no image' WHERE a % 11 = 0")
        cluster.psql("ALTER SYSTEM RESET full_page_writes")
        cluster.psql("SELECT pg_reload_conf()")
        cluster.psql("SELECT pg_sleep(0.5)")
        cluster.psql("CHECKPOINT")
        return self.archived()

    def test_reports(self):
        self.prove_first_day()
        self.bring(1)
        words = [f"--base-backup={self.backup}", f"--wal={self.wal}", f"--ledger={self.ledger}", "--no-progress"]
        reports = [f"--report={self.work}/r.html", f"--report={self.work}/r.json"]
        done = run_neon_redo("verify", f"--module={self.module}", *words, *reports)
        self.assertRegex(done.stdout, r"This run relied on [\d,]+ files of the backup and \d+ segments? of WAL, proven on .* UTC up to ")
        self.assertRegex(done.stdout.splitlines()[-1], r"Relied on [\d,]+ files")
        page = (self.work / "r.html").read_text(encoding="utf-8")
        self.assertIn("What earlier runs have proven", page)
        self.assertIn("This run relied on", page)
        said = json.loads((self.work / "r.json").read_text(encoding="utf-8"))
        self.assertTrue(said["ledger"]["relied"])
        self.assertEqual(said["verdict"], "No damage found in what was checked")


class NewTimeline(LedgerCase):
    """In a class of its own, since the archive has two timelines afterwards."""

    def test_that_left_after_the_proven_end(self):
        self.prove_first_day()
        self.promote()
        self.check_fine(True)
        self.assertEqual(self.check_fine(True)["timeline"], 2)
        self.check_without_the_last_one()
        # The old one is not what the ledger is of any more.
        status, said, text = self.verify("--timeline=1")
        self.assertEqual(status, 0, text)
        self.assertRegex(said["ledger"]["why_all"], "the ledger is of timeline 2, and timeline 1 is read")

    def check_without_the_last_one(self):
        """Without its segments the timeline before is the highest, and that is no reason to forget what was proven."""
        ledger = self.ledger.read_bytes()
        away = [path for path in self.wal.iterdir() if path.name.startswith("00000002")]
        self.assertGreater(len(away), 1)
        for path in away:
            path.rename(self.work / path.name)
        status, _, text = self.verify()
        self.assertEqual(status, 2, text)
        self.assertRegex(text, "WAL is missing that was there on .*: it was of timeline 2 up to .* give --timeline=1")
        self.assertEqual(self.ledger.read_bytes(), ledger)
        for path in away:
            (self.work / path.name).rename(path)
        self.check_fine(True)

    def promote(self):
        """Restores a backup to the end of the archive, and archives the WAL that the new server writes."""
        backup = self.cluster.basebackup("restored", f"--tablespace-mapping={self.space()}={self.space()}_restored")
        self.archived()
        self.cluster.run_as_server(["touch", os.path.join(backup, "recovery.signal")])
        settings = {**SETTINGS, "restore_command": f"cp {self.archive}/%f %p"}
        with Cluster("restored", from_backup=backup, settings=settings, version=self.version) as restored:
            deadline = time.monotonic() + 60
            while restored.psql("SELECT pg_is_in_recovery()").strip() != "f":
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            restored.psql("INSERT INTO second SELECT generate_series(1, 500)")
            last = restored.psql("SELECT pg_walfile_name(pg_switch_wal() - 1)").strip()
            while not os.path.exists(os.path.join(self.archive, last)):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
        for name in os.listdir(self.archive):
            if not (self.wal / name).exists():
                shutil.copy(os.path.join(self.archive, name), self.wal / name)


class Tar(Days):
    """pg_basebackup's tar format: what is stored is an archive."""

    @classmethod
    def take_backup(cls):
        return cls.cluster.basebackup("backup", "--wal-method=none", "--format=tar")

    def stored(self, name):
        return self.backup / "base.tar"

    def test_file_that_was_damaged(self):
        self.prove_first_day()
        with tarfile.open(self.stored("")) as tar:
            flip(self.stored(""), tar.getmember(self.flipped_file()).offset_data + 5000)
        self.bring(1)
        self.check_found(1, self.flipped_file_says())

    def check_gone(self):
        status, _, text = self.verify()
        self.assertEqual(status, 2, text)


class PackedTar(Tar):
    """The archives are unpacked in each run, and read no further."""

    @classmethod
    def take_backup(cls):
        return cls.cluster.basebackup("backup", "--wal-method=none", "--format=tar", "--gzip")

    says_damaged = r"base\.tar\.gz"

    def stored(self, name):
        return self.backup / "base.tar.gz"

    def test_file_that_was_damaged(self):
        self.prove_first_day()
        flip(self.stored(""))
        self.bring(1)
        self.check_found_somehow(self.says_damaged)


class OfWalG(PackedTar):
    """WAL-G's storage: several archives."""

    says_damaged = r"part_\d+\.tar|(base|global|pg_tblspc)/\d+"

    @classmethod
    def take_backup(cls):
        storage = WalG(cls.cluster, ".zst")
        cls.addClassCleanup(storage.remove)
        storage.backup(LedgerCase.take_backup.__func__(cls))
        return storage.storage

    def stored(self, name):
        return max(self.backup.glob("basebackups_005/*/tar_partitions/*"), key=lambda path: path.stat().st_size)

    def check_gone(self):
        self.check_found(1, "files_metadata.json lists it, and the backup does not have it")


class Repository(Days):
    """A pgBackRest repository, with its own archive."""

    options = {}

    @classmethod
    def begin(cls):
        if shutil.which("pgbackrest") is None:
            raise unittest.SkipTest("pgbackrest is not installed")
        cls.tool = PgBackRest(cls.cluster, **cls.options)
        cls.addClassCleanup(shutil.rmtree, cls.tool.directory, ignore_errors=True)
        cls.archive = os.path.join(cls.tool.repository, "archive", "main")
        cls.cluster.psql(BEFORE)
        cls.label = cls.tool.backup("full")
        cls.base = cls.tool.repository

    def copy_base(self):
        self.wal = self.work / "archive" / "main"
        self.backup = self.work / "repository"
        shutil.copytree(self.base, self.backup, symlinks=True)

    def base_options(self):
        return [f"--base-backup={self.backup}", "--stanza=main"]

    def stored(self, name):
        return self.backup / "backup" / "main" / self.label / "pg_data" / name


class RepositoryOfBundles(Repository):
    """Several files are stored in one, compressed and, by newer versions, in blocks. A later backup refers to an
    earlier one."""

    options = {"compress_type": "zst", "repo1_bundle": "y"}

    @classmethod
    def begin(cls):
        if shutil.which("pgbackrest") and version_of("pgbackrest") >= (2, 46):
            cls.options = {**cls.options, "repo1_block": "y"}
        super().begin()
        cls.cluster.psql("UPDATE cold SET b = 'before' WHERE a % 9 = 0")
        cls.tool.backup("incr")

    def stored(self, name):
        bundles = (self.backup / "backup" / "main" / self.label / "bundle").iterdir()
        return max(bundles, key=lambda path: path.stat().st_size)

    def test_file_that_was_damaged(self):
        self.prove_first_day()
        stored = self.stored("")
        for at in range(5000, stored.stat().st_size, 1 << 16):
            flip(stored, at)
        self.bring(1)
        self.check_found(1, r"base/\d+/\d+")

    def test_file_that_only_looks_changed(self):
        """A file that is stored by blocks may have some in any other."""
        if "repo1_block" not in self.options:
            return super().test_file_that_only_looks_changed()
        self.prove_first_day()
        stored = self.stored("")
        shutil.copy(stored, self.work / "copy")
        (self.work / "copy").rename(stored)
        return self.check_fine(False, why="has changed since")

    def check_gone(self):
        self.check_found_somehow("bundle")


def load_tests(loader, tests, pattern):
    del tests, pattern
    suite = unittest.TestSuite()
    others = (Ledger, NewTimeline, Tar, PackedTar, OfWalG, Repository, RepositoryOfBundles)
    for case in (*cases_of_each_server(globals(), [Days]), *others):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
