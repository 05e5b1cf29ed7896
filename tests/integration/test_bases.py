"""Base backups in the layouts of their tools: what the reader makes of each is, byte for byte, what the
tool's own restore makes of it."""

import hashlib
import json
import os
import pathlib
import shutil
import unittest

from backup_tools import FINAL_BLOCKS, Barman, PgBackRest, block_pgbackrest, need, version_of, with_tablespace
from cluster import ROOT, make_directory, run, servers
from walg import WalG

SCHEMA = """
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 50000) g;
CREATE TABLE empty (a int);
CREATE UNLOGGED TABLE unlogged (a int);
CREATE TABLE far (a int, b text) TABLESPACE ts;
INSERT INTO far SELECT g, repeat('y', 50) FROM generate_series(1, 30000) g;
CREATE DATABASE second TABLESPACE ts;
"""


def base_dump(path, target, *options, check=True):
    """What the reader says of a backup; its files are then below the target. Or the process, if not check."""
    program = os.environ.get("NEON_REDO_BASE_DUMP", str(ROOT / "build/tests/integration/base_dump"))
    done = run([program, path, target, *options], check=check)
    return json.loads(done.stdout) if check else done


def content(directory):
    """The files below a directory: path to bytes. Links of tablespaces are followed."""
    found = {}
    for parent, _, names in os.walk(directory, followlinks=True):
        for name in names:
            path = pathlib.Path(parent, name)
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


class Bases(unittest.TestCase):
    def check(self, backup, restored, *options, leave_out=()):
        """The reader's files are the restored ones, but for names in leave_out on either side."""
        target = os.path.join(self.cluster.directory, "dumped")
        shutil.rmtree(target, ignore_errors=True)
        said = base_dump(backup, target, *options)
        got, expected = content(target), content(restored)
        for name in leave_out:
            got.pop(name, None)
            expected.pop(name, None)
            said["files"].pop(name, None)
        self.assertEqual(sorted(got), sorted(expected))
        for name, data in expected.items():
            self.assertTrue(got[name] == data, f"{name} differs")
            self.assertEqual(said["files"][name], len(data), name)
        self.assertGreater(len(got), 900)
        directories = {os.path.dirname(name) for name in got} - {""}
        self.assertLessEqual(directories, set(said["directories"]))
        return said


class PgBasebackup(Bases):
    @classmethod
    def setUpClass(cls):
        cls.cluster = with_tablespace(cls, schema=SCHEMA)
        cls.oid = cls.cluster.psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")

    def basebackup(self, *options):
        directory = make_directory("neon_redo.backup.")
        self.addCleanup(shutil.rmtree, directory)
        return self.cluster.basebackup(f"{directory}/backup", *options)

    def unpacked(self, backup, suffix, unpack):
        """As the documentation of pg_basebackup says: tar, and the tablespace where its link leads."""
        restored = os.path.join(os.path.dirname(backup), "restored")
        where = {"base": restored, "pg_wal": f"{restored}/pg_wal", self.oid: f"{restored}.far"}
        for archive, directory in where.items():
            os.makedirs(directory, exist_ok=True)
            path = f"{backup}/{archive}.tar{suffix}"
            # pg_basebackup packs WAL by gzip or not at all.
            options = unpack if os.path.exists(path) else []
            path = path if os.path.exists(path) else f"{backup}/{archive}.tar"
            run(["tar", *options, "-xf", path, "-C", directory])
        os.symlink(f"{restored}.far", f"{restored}/pg_tblspc/{self.oid}")
        shutil.copy(f"{backup}/backup_manifest", restored)
        return restored

    def test_plain(self):
        far = os.path.join(self.cluster.directory, "far")
        backup = self.basebackup(f"--tablespace-mapping={far}={far}2")
        said = self.check(backup, backup)
        self.assertEqual(said["kind"], "a plain directory")
        self.assertEqual(said["tablespaces"], {self.oid: {"state": 0, "target": f"{far}2"}})
        self.assertGreater(said["manifest_files"], 900)

    def check_tar(self, suffix, unpack, *options):
        """A backup, checked and left until the test ends."""
        backup = self.basebackup("--format=tar", "--wal-method=stream", *options)
        self.assertIn(f"base.tar{suffix}", os.listdir(backup))
        restored = self.unpacked(backup, suffix, unpack)
        said = self.check(backup, restored)
        self.assertEqual(said["kind"], "a backup in tar format")
        target = os.path.join(self.cluster.directory, "far")
        self.assertEqual(said["tablespaces"], {self.oid: {"state": 0, "target": target}})
        self.assertEqual(said["spooled"] > 0, suffix != "")
        return backup

    def test_tar(self):
        self.check_tar("", [])

    def test_tar_gz(self):
        self.check_tar(".gz", ["-z"], "--compress=server-gzip:5")
        self.check_tar(".gz", ["-z"], "--gzip")

    def test_tar_lz4(self):
        for side in ("server", "client"):
            self.check_tar(".lz4", ["-I", "lz4"], f"--compress={side}-lz4")

    def test_tar_zst(self):
        for side in ("server", "client"):
            backup = self.check_tar(".zst", ["-I", "zstd"], f"--compress={side}-zstd")
        target = os.path.join(self.cluster.directory, "dumped")
        packed = pathlib.Path(backup, "base.tar.zst")
        # pg_basebackup's frames have no checksum, so that a changed byte need not be noticed here.
        data = packed.read_bytes()
        packed.write_bytes(data[: len(data) // 2])
        done = base_dump(backup, target, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^corrupt: could not unpack .*base\.tar\.zst\" at packed byte \d+: ")


class Incremental(Bases):
    """PostgreSQL 17's and later; the tool is pg_combinebackup."""

    version = next((version for version in servers() if version >= 17), None)

    @classmethod
    def setUpClass(cls):
        if cls.version is None:
            raise unittest.SkipTest("no server of 17 or later (make servers)")
        cls.cluster = with_tablespace(cls, schema=SCHEMA, version=cls.version, settings={"summarize_wal": "on"})
        cls.chain = [cls.cluster.basebackup("full", *cls.mapping("full"))]
        work = (
            "UPDATE t SET b = 'changed' WHERE a % 1000 = 1; DELETE FROM far WHERE a > 9000; VACUUM far;",
            "CREATE TABLE later AS SELECT generate_series(1, 5000); UPDATE far SET b = 'z' WHERE a = 77;"
            "DROP TABLE empty; INSERT INTO far SELECT g, 'new' FROM generate_series(1, 40000) g;",
            "TRUNCATE unlogged; UPDATE t SET b = 'again' WHERE a < 100; CREATE TABLE last (a int);",
        )
        for number, sql in enumerate(work):
            for line in sql.split(";"):
                cls.cluster.psql(line)
            name = f"incremental{number}"
            options = [f"--incremental={cls.chain[-1]}/backup_manifest", *cls.mapping(name)]
            cls.chain.append(cls.cluster.basebackup(name, *options))
        cls.combined = cls.combine(cls.chain)

    @classmethod
    def mapping(cls, name):
        far = os.path.join(cls.cluster.directory, "far")
        return [f"--tablespace-mapping={far}={far}_{name}"]

    @classmethod
    def combine(cls, chain):
        """What pg_combinebackup makes of a chain, the full one first."""
        combined = os.path.join(cls.cluster.directory, "combined")
        far = f"{cls.cluster.directory}/far"
        last = os.path.basename(chain[-1])
        program = cls.cluster.program("pg_combinebackup")
        options = ["--no-sync", "-o", combined, "-T", f"{far}_{last}={far}_combined"]
        cls.cluster.run_as_server([program, *options, *chain])
        return combined

    def options(self, *prior):
        return [word for path in prior for word in ("--prior", path)]

    def test_chain(self):
        parts = [name for name in content(self.chain[-1]) if "INCREMENTAL." in name]
        self.assertGreater(len(parts), 500)
        full, first, second, newest = self.chain
        # The combined backup has a manifest of its own.
        said = self.check(
            newest, self.combined, *self.options(second, full, first), leave_out=["backup_manifest"]
        )
        self.assertEqual((said["kind"], said["links"]), ("an incremental backup that builds upon 3", 4))
        self.assertEqual(said["spooled"], 0)

    def test_chain_with_a_link_in_tar_format(self):
        packed = f"{self.cluster.directory}/packed"
        os.mkdir(packed)
        self.addCleanup(shutil.rmtree, packed)
        first = self.chain[1]
        oid = self.cluster.psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        run(["tar", "-czf", f"{packed}/base.tar.gz", "--exclude=./pg_tblspc/*", "-C", first, "."])
        run(["tar", "-cf", f"{packed}/{oid}.tar", "-C", f"{first}/pg_tblspc/{oid}/", "."])
        prior = self.options(self.chain[0], packed, self.chain[2])
        said = self.check(self.chain[3], self.combined, *prior, leave_out=["backup_manifest"])
        self.assertGreater(said["spooled"], 0)

    def test_chains_that_are_refused(self):
        target = f"{self.cluster.directory}/dumped"
        for prior, message in (
            ((), "which is not among those given"),
            (self.chain[:1], "which is not among those given"),
            ((self.chain[0], self.chain[2]), "which is not among those given"),
            (self.chain[:2] + self.chain[3:], "which is not among those given"),
            (self.chain, "is no part of the chain"),
        ):
            done = base_dump(self.chain[3], target, *self.options(*prior), check=False)
            self.assertEqual(done.returncode, 2, prior)
            self.assertIn(message, done.stderr)
        done = base_dump(self.chain[0], target, *self.options(self.chain[1]), check=False)
        self.assertIn("is a full one and builds upon no other", done.stderr)


class BarmanBackups(Bases):
    """The tool is barman recover."""

    ARCHIVED = {"archive_mode": "on", "archive_command": "/bin/true"}

    def check_barman(self, kind, method, **settings):
        """A backup that was checked, its directory, and Barman."""
        need(self, "barman")
        self.cluster = with_tablespace(self, schema=SCHEMA, settings=self.ARCHIVED)
        barman = Barman(self.cluster, method, **settings)
        backup = barman.backup()
        restored = f"{self.cluster.directory}/restored"
        barman.recover(backup, restored, "--tablespace", f"ts:{restored}.far")
        self.undo_changes(restored, os.path.basename(backup))
        said = self.check(backup, restored, leave_out=["tablespace_map"])
        self.assertEqual(said["kind"], f"{kind} by Barman")
        oid = self.cluster.psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        self.assertEqual(list(said["tablespaces"]), [oid])
        self.assertEqual(said["tablespaces"][oid]["target"], f"{self.cluster.directory}/far")
        self.assertEqual(said["spooled"] > 0, "backup_compression" in settings)
        return barman, backup

    def undo_changes(self, restored, backup_id):
        """Barman changes the configuration, adds WAL, and keeps the manifest by another name."""
        restored = pathlib.Path(restored)
        for name in ("postgresql.conf", "postgresql.auto.conf"):
            (restored / f"{name}.origin").rename(restored / name)
        (restored / ".barman-recover.info").unlink()
        manifest = restored / f"backup_manifest.{backup_id}"
        if manifest.exists():
            manifest.rename(restored / "backup_manifest")
        for segment in (restored / "pg_wal").iterdir():
            if segment.is_file():
                segment.unlink()
            else:
                shutil.rmtree(segment)

    def test_rsync(self):
        barman, first = self.check_barman("a plain directory", "rsync")
        second = barman.backup()
        target = f"{self.cluster.directory}/dumped"
        # The newest, or the one that is asked for, of those of the server.
        for options, backup in (((), second), (("--label", os.path.basename(first)), first)):
            base_dump(barman.server, target, *options)
            label = pathlib.Path(target, "backup_label").read_text()
            self.assertEqual(label, pathlib.Path(backup, "data", "backup_label").read_text())
        # The list of tablespaces is what tells them from directories that are none.
        info = pathlib.Path(barman.info(first))
        text = info.read_text()
        for old, new, message in (
            ("status=DONE", "status=FAILED", "is not complete: its status is FAILED"),
            ("tablespaces=[", "tablespaces=[[", "corrupt: .*backup.info.* at byte [0-9]+: this is no list"),
        ):
            info.write_text(text.replace(old, new))
            done = base_dump(first, target, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, message)

    def test_postgres(self):
        self.check_barman("a plain directory", "postgres")

    def test_postgres_gzip(self):
        self.check_barman("a backup in tar format", "postgres", backup_compression="gzip")

    def test_postgres_lz4_by_the_server(self):
        packing = {"backup_compression": "lz4", "backup_compression_location": "server"}
        self.check_barman("a backup in tar format", "postgres", **packing)


class PgBackRestBackups(Bases):
    """The tool is pgbackrest restore."""

    ARCHIVED = {"archive_mode": "on", "archive_command": "/bin/true"}
    PASSPHRASE = "a long passphrase"
    WRITTEN = ("postgresql.auto.conf", "recovery.signal", "tablespace_map")  # by pgbackrest restore

    @classmethod
    def setUpClass(cls):
        cls.cluster = with_tablespace(cls, schema=SCHEMA, settings=cls.ARCHIVED)

    def make(self, program, options):
        """A repository with a full backup, and a differential and an incremental one after it."""
        need(self, program)
        tool = PgBackRest(self.cluster, program, **options)
        self.addCleanup(shutil.rmtree, tool.directory)
        labels = [tool.backup("full")]
        self.cluster.psql("UPDATE t SET b = 'changed' WHERE a % 1000 = 1; DELETE FROM far WHERE a % 9 = 7")
        self.cluster.psql("CREATE TABLE later AS TABLE far; TRUNCATE empty")
        labels.append(tool.backup("diff"))
        self.cluster.psql("UPDATE t SET b = 'again' WHERE a % 3000 = 1; DROP TABLE later")
        labels.append(tool.backup("incr"))
        return tool, labels

    def reader_options(self, options):
        if "repo1_cipher_pass" not in options:
            return []
        secret = pathlib.Path(self.cluster.directory, "passphrase")
        secret.touch(mode=0o600)  # for nobody else
        secret.write_text(self.PASSPHRASE + "\n")
        return ["--cipher-pass-file", secret]

    def check_repository(self, program="pgbackrest", **options):
        if options.pop("cipher", False):
            options |= {"repo1_cipher_type": "aes-256-cbc", "repo1_cipher_pass": self.PASSPHRASE}
        tool, labels = self.make(program, options)
        more = self.reader_options(options)
        oid = self.cluster.psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        for number, label in enumerate(labels):
            restored = f"{tool.directory}/restored{number}"
            self.cluster.run_as_server(["mkdir", f"{restored}.far"])
            tool.restore(restored, label, f"--tablespace-map=ts={restored}.far")
            # Each way to say which one.
            path, say = (
                (tool.repository, ["--stanza", "main", "--label", label]),
                (os.path.join(tool.stanza, label), []),
                (tool.repository, []),
            )[number]
            # From 2.51 on, restore makes pg_control useless without backup_label.
            written = (*self.WRITTEN, "global/pg_control") if version_of(program) >= (2, 51) else self.WRITTEN
            said = self.check(path, restored, *say, *more, leave_out=written)
            self.check_control_file(os.path.join(tool.stanza, label, "backup.manifest"))
            self.assertEqual(said["kind"], "a pgBackRest backup")
            self.assertEqual(said["tablespaces"], {oid: {"state": 0, "target": f"{self.cluster.directory}/far"}})
            shutil.rmtree(restored)
        return tool, labels

    def check_control_file(self, manifest):
        """The one that was dumped has the checksum of the manifest."""
        text = pathlib.Path(manifest).read_bytes()
        if not text.startswith(b"Salted__"):
            dumped = pathlib.Path(self.cluster.directory, "dumped", "global", "pg_control").read_bytes()
            (line,) = (line for line in text.decode().splitlines() if line.startswith("pg_data/global/pg_control="))
            self.assertIn(f'"checksum":"{hashlib.sha1(dumped).hexdigest()}"', line)

    def test_plain(self):
        self.check_repository()

    def test_gz(self):
        self.check_repository(compress_type="gz")

    def test_bundles_zst_cipher(self):
        self.check_repository(compress_type="zst", repo1_bundle="y", cipher=True)

    def test_bundles_lz4(self):
        self.check_repository(compress_type="lz4", repo1_bundle="y")

    def test_bz2_cipher(self):
        self.check_repository(compress_type="bz2", cipher=True)

    def check_blocks(self, **options):
        program = block_pgbackrest(self)
        # Blocks of 8 kB for files from 16 kB on, so that super blocks are split again and again.
        tool, labels = self.check_repository(program, repo1_bundle="y", repo1_block="y", **options)
        manifest = pathlib.Path(tool.stanza, labels[-1], "backup.manifest").read_bytes()
        self.assertEqual(b'"bim":' in manifest, "cipher" not in options)

    def test_blocks_gz(self):
        self.check_blocks(compress_type="gz")

    def test_blocks_zst_cipher(self):
        self.check_blocks(compress_type="zst", cipher=True)

    def test_blocks_none_outside_bundles(self):
        self.check_blocks(compress_type="none", repo1_bundle_limit="8KiB")

    def test_blocks_lz4(self):
        self.check_blocks(compress_type="lz4")

    def test_beta_blocks_are_refused(self):
        """Of pgbackrest before 2.46. What later ones write is final, and read."""
        need(self, "pgbackrest")
        options = {"repo1_bundle": "y", "repo1_block": "y"}
        is_beta = version_of("pgbackrest") < FINAL_BLOCKS
        tool, labels = self.make("pgbackrest", {**options, "beta": "y"} if is_beta else options)
        target = f"{self.cluster.directory}/dumped"
        if not is_beta:
            self.assertEqual(base_dump(tool.repository, target, check=False).returncode, 0)
            return
        done = base_dump(tool.repository, target, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"unsupported: .* is block incremental of pgBackRest before 2\.46")


class WalGBackups(Bases):
    """A restore by the rules of WAL-G's source is what the reader is compared with."""

    WORK = (
        "UPDATE t SET b = 'changed' WHERE a % 1000 = 1; DELETE FROM far WHERE a > 9000; VACUUM far;",
        "CREATE TABLE later AS SELECT generate_series(1, 5000); UPDATE far SET b = 'z' WHERE a = 77;"
        "DROP TABLE empty; INSERT INTO far SELECT g, 'new' FROM generate_series(1, 40000) g;",
    )

    @classmethod
    def setUpClass(cls):
        """A full backup and two delta backups."""
        cls.cluster = with_tablespace(cls, schema=SCHEMA)
        cls.oid = cls.cluster.psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        cls.walg = WalG(cls.cluster, ".lz4")
        cls.addClassCleanup(cls.walg.remove)
        cls.names = [cls.backup("full", None)]
        for number, sql in enumerate(cls.WORK):
            for line in sql.split(";"):
                cls.cluster.psql(line)
            cls.names.append(cls.backup(f"delta{number}", cls.names[-1]))

    @classmethod
    def backup(cls, name, prior):
        far = os.path.join(cls.cluster.directory, "far")
        mapping = f"--tablespace-mapping={far}={far}_{name}"
        return cls.walg.backup(cls.cluster.basebackup(name, mapping, "--wal-method=none"), prior)

    def restored(self, name):
        directory = os.path.join(self.cluster.directory, "restored")
        self.walg.restore(name, directory)
        self.addCleanup(shutil.rmtree, directory)
        return directory

    def check_backup(self, restored, path, *options):
        said = self.check(path, restored, *options)
        target = os.path.join(self.cluster.directory, "far")
        self.assertEqual(said["tablespaces"], {self.oid: {"state": 0, "target": target}})
        self.assertIn("pg_wal", said["directories"])
        return said

    def test_full(self):
        full = self.names[0]
        said = self.check_backup(self.restored(full), self.walg.storage, "--label", full)
        self.assertEqual(said["kind"], "a WAL-G backup")
        # It is what the server had.
        expected = content(self.walg.sources[full])
        del expected["backup_manifest"]
        self.assertEqual(sorted(said["files"]), sorted(expected))

    def test_deltas(self):
        listed = self.walg.metadata(self.names[2])["Files"].values()
        self.assertGreater(sum(file["IsIncremented"] for file in listed), 10)
        self.assertGreater(sum(file["IsSkipped"] for file in listed), 500)
        for number, path in ((1, self.walg.backups / self.names[1]), (2, self.walg.backups)):
            said = self.check_backup(self.restored(self.names[number]), path)
            self.assertEqual(said["kind"], f"a WAL-G delta backup that builds upon {number}")
            self.doCleanups()

    def test_each_packing(self):
        restored = self.restored(self.names[2])
        self.addCleanup(self.walg.repack, ".lz4")
        for suffix in ("", ".gz", ".zst", ".lzma", ".br"):
            with self.subTest(suffix):
                self.walg.repack(suffix)
                said = self.check_backup(restored, self.walg.storage)
                self.assertEqual(said["spooled"] > 0, suffix != "")

    def test_what_is_refused(self):
        def flipped(path, change):
            text = path.read_text()
            self.addCleanup(path.write_text, text)
            path.write_text(change(text))
            done = base_dump(self.walg.storage, f"{self.cluster.directory}/dumped", check=False)
            path.write_text(text)
            return done.stderr

        full, first, newest = self.names
        sentinel = self.walg.sentinel_path
        for path, change, message in (
            (sentinel(newest), lambda text: text[:50], "corrupt: .*_sentinel.json.* is damaged: not JSON at byte"),
            (sentinel(newest), lambda text: text.replace('"LSN": ', '"LSN": 1'), "corrupt: the sentinel of .* does not fit"),
            (sentinel(newest), lambda text: text.replace('"DeltaLSN": ', '"DeltaLSN": 1'), "does not build upon"),
            (sentinel(full), lambda text: text.replace("SystemIdentifier", "X"), None),
            (sentinel(newest), lambda text: text.replace('"DeltaFrom": "base', '"DeltaFrom": "../base'), "is no backup"),
            (self.walg.metadata_path(newest), lambda text: text[:-100], "corrupt: .*files_metadata.json.* not JSON"),
            (self.walg.metadata_path(newest), lambda text: text.replace('"/base', '"/../base'), "outside the backup"),
        ):
            with self.subTest(message=message):
                said = flipped(path, change)
                self.assertEqual(said, "") if message is None else self.assertRegex(said, message)
        # An encrypted archive begins with nothing that its name promises.
        os.rename(self.walg.backups / full, self.walg.backups / "aside")
        self.addCleanup(os.rename, self.walg.backups / "aside", self.walg.backups / full)
        archives = self.walg.backups / full / "tar_partitions"
        archives.mkdir(parents=True)
        shutil.copy(self.walg.backups / "aside/files_metadata.json", archives.parent)
        (archives / "part_001.tar.lz4").write_bytes(os.urandom(5000))
        done = base_dump(self.walg.storage, f"{self.cluster.directory}/dumped", "--label", full, check=False)
        self.assertRegex(done.stderr, "unsupported: no archive in .* they are encrypted .*wal-g backup-fetch")
        shutil.rmtree(self.walg.backups / full)


if __name__ == "__main__":
    unittest.main()
