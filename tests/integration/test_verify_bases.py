"""neon-redo verify and page on backups as their tools keep them: each says of a repository what it says of the
tool's own restore, and finds in it the same damages."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import unittest

from backup_tools import Barman, PgBackRest, block_pgbackrest, need, packed, unpacked, with_tablespace
from cluster import copy_module, make_directory, run, run_neon_redo, servers
from walg import WalG

# What is read of the files themselves, and so differs between a repository and its restore.
OF_FILES = ("manifest", "files", "files_read", "bytes_read", "files_with_right_checksum")
# Nothing touches `cold` and `far` after the backup, and WAL changes `hot`.
SCHEMA = """
CREATE TABLE cold (a int PRIMARY KEY, b text);
INSERT INTO cold SELECT g, md5(g::text) FROM generate_series(1, 8000) g;
CREATE TABLE hot (a int PRIMARY KEY, b text);
INSERT INTO hot SELECT g, repeat('x', 40) FROM generate_series(1, 3000) g;
CREATE TABLE far (a int, b text) TABLESPACE ts;
INSERT INTO far SELECT g, repeat('y', 50) FROM generate_series(1, 5000) g;
VACUUM (FREEZE) cold, far;
"""
AFTER = "UPDATE hot SET b = 'u' WHERE a % 3 = 0; CREATE TABLE later AS SELECT generate_series(1, 3000) a"


def verify(backup, *arguments):
    """Status, what it says as JSON (an empty object if it could not look), and all its output."""
    options = ["--engine=native", "--no-progress", "--format=json", *backup, *arguments]
    done = run_neon_redo("verify", *options, check=False)
    said = json.loads(done.stdout) if done.returncode in (0, 1) else {}
    return done.returncode, said, done.stdout + done.stderr


def flip(path, at=None):
    data = bytearray(pathlib.Path(path).read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    pathlib.Path(path).write_bytes(data)


class Files:
    """A backup whose files a test may change one by one."""

    def read(self, name):
        raise NotImplementedError

    def write(self, name, data):
        """Puts a file in the place of one; None removes it."""
        raise NotImplementedError

    def keep(self, name):
        """What puts the file back as it is now."""
        data = self.read(name)
        return lambda: self.write(name, data)

    def remove_tablespace(self, oid):
        raise NotImplementedError


class PlainFiles(Files):
    def __init__(self, directory, beside=None):
        self.directory = pathlib.Path(directory)
        self.beside = beside  # where tablespaces lie; None: where the links lead

    def path(self, name):
        if self.beside and name.startswith("pg_tblspc/"):
            return self.beside / name.removeprefix("pg_tblspc/")
        return self.directory / name

    def read(self, name):
        return self.path(name).read_bytes()

    def write(self, name, data):
        if data is None:
            self.path(name).unlink()
        else:
            self.path(name).write_bytes(data)

    def remove_tablespace(self, oid):
        place = self.path(f"pg_tblspc/{oid}")
        shutil.rmtree(os.path.realpath(place))


class TarFiles(Files):
    """Archives, with everything in memory."""

    def __init__(self, directory, suffix):
        self.directory, self.suffix = pathlib.Path(directory), suffix

    def archive(self, name):
        """The archive that has the file, and its name there."""
        parts = name.split("/")
        below = parts[0] == "pg_tblspc"
        path = self.directory / f"{parts[1] if below else 'base'}.tar{self.suffix}"
        return path, "/".join(parts[2:]) if below else name

    def read(self, name):
        if name == "backup_manifest":
            return (self.directory / name).read_bytes()
        path, inside = self.archive(name)
        with self.opened(path) as tar:
            member = next(m for m in tar if m.name.removeprefix("./") == inside)
            return tar.extractfile(member).read()

    def keep(self, name):
        path = self.directory / name if name == "backup_manifest" else self.archive(name)[0]
        data = path.read_bytes()
        return lambda: path.write_bytes(data) and None

    @contextlib.contextmanager
    def opened(self, path):
        plain = path.with_name("plain.tar")
        plain.write_bytes(unpacked(path.read_bytes(), self.suffix))
        with tarfile.open(plain) as tar:
            yield tar
        plain.unlink()

    def write(self, name, data):
        if name == "backup_manifest":
            return (self.directory / name).write_bytes(data)
        path, inside = self.archive(name)
        made = path.with_name("made.tar")
        with self.opened(path) as tar, tarfile.open(made, "w", format=tarfile.GNU_FORMAT) as out:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if member.name.removeprefix("./") == inside:
                    if data is None:
                        continue
                    new = made.with_name("new")
                    new.write_bytes(data)
                    member.size = len(data)
                    with open(new, "rb") as content:
                        out.addfile(member, content)
                    new.unlink()
                else:
                    out.addfile(member, content)
        path.write_bytes(packed(made.read_bytes(), self.suffix))
        made.unlink()
        return None

    def remove_tablespace(self, oid):
        (self.directory / f"{oid}.tar{self.suffix}").unlink()


class PgBackRestFiles(Files):
    """A full backup without bundles or a cipher: each file is one, perhaps packed."""

    def __init__(self, directory, suffix):
        self.directory, self.suffix = pathlib.Path(directory), suffix

    def path(self, name):
        if name == "backup_manifest":
            return self.directory / "backup.manifest"
        name = re.sub(r"^pg_tblspc/(\d+)/", r"pg_tblspc/\1/", name)
        below = "pg_data" if not name.startswith("pg_tblspc/") else ""
        path = self.directory / below / name
        return path.with_name(path.name + self.suffix)

    def keep(self, name):
        path = self.path(name)
        data = path.read_bytes()
        return lambda: path.write_bytes(data)

    def read(self, name):
        data = self.path(name).read_bytes()
        return data if name == "backup_manifest" else unpacked(data, self.suffix)

    def write(self, name, data):
        if data is None:
            self.path(name).unlink()
        else:
            self.path(name).write_bytes(data if name == "backup_manifest" else packed(data, self.suffix))

    def remove_tablespace(self, oid):
        shutil.rmtree(self.directory / "pg_tblspc" / oid)


class WalGFiles(Files):
    """Of a chain of backups; a file lies in the newest archive that has it."""

    def __init__(self, walg, names):
        self.walg, self.names = walg, names

    def place(self, name):
        for backup in self.names:
            for archive in reversed(self.walg.archives(backup)):
                if any(member.lstrip("/") == name for member, _ in self.walg.members(backup, archive)):
                    return backup, archive
        raise FileNotFoundError(name)

    def read(self, name):
        return next(data for member, data in self.walg.members(*self.place(name)) if member.lstrip("/") == name)

    def keep(self, name):
        path = self.walg.archive_path(*self.place(name))
        data = path.read_bytes()
        return lambda: path.write_bytes(data)

    def write(self, name, data):
        place = self.place(name)
        members = self.walg.members(*place)
        changed = [(m, data if m.lstrip("/") == name else old) for m, old in members]
        self.walg.write_tar(*place, [(m, new) for m, new in changed if data is not None or m.lstrip("/") != name])

    def remove_tablespace(self, oid):
        for backup in self.names:
            for archive in self.walg.archives(backup):
                members = self.walg.members(backup, archive)
                kept = [(m, data) for m, data in members if not m.startswith(f"/pg_tblspc/{oid}")]
                if kept != members:
                    self.walg.write_tar(backup, archive, kept)


class Case(unittest.TestCase):
    """One cluster for all backups of a class. What a test adds to it comes after the class's schema."""

    settings, version = {}, None

    @classmethod
    def setUpClass(cls):
        if cls is Case:
            raise unittest.SkipTest("a base of others")
        settings = {**cls.settings, "wal_keep_size": "2GB"}
        cls.cluster = with_tablespace(cls, settings=settings, checksums=True, version=cls.version)
        cls.module = copy_module(cls.cluster.directory, cls.version)
        cls.cluster.psql(SCHEMA)
        psql = cls.cluster.psql
        names = ("cold", "cold_pkey", "far", "hot", "hot_pkey")
        cls.paths = {name: psql(f"SELECT pg_relation_filepath('{name}')") for name in names}
        cls.oid = psql("SELECT oid FROM pg_tablespace WHERE spcname = 'ts'")
        psql("CHECKPOINT")
        cls.old = pathlib.Path(cls.cluster.data, cls.paths["cold"]).read_bytes()
        psql("UPDATE cold SET b = 'new' WHERE a % 7 = 0; VACUUM (FREEZE) cold; CHECKPOINT")

    def scratch(self):
        directory = make_directory("neon_redo.bases.")
        self.addCleanup(shutil.rmtree, directory)
        return directory

    def work(self):
        """WAL after the backup, all of it in whole segments, of which one is remembered."""
        self.segment = self.cluster.psql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        for _ in range(2):
            for line in AFTER.split(";"):
                self.cluster.psql(line.replace("later", f"later{os.urandom(3).hex()}"))
            self.cluster.psql("SELECT pg_switch_wal()")

    def stopped_copy(self):
        copy = os.path.join(self.scratch(), "stopped")
        self.cluster.stop()
        # Links of tablespaces lead to the cluster's own files, which are not changed before the test ends.
        self.cluster.run_as_server(["cp", "-a", self.cluster.data, copy])
        self.addCleanup(self.cluster.start)
        return copy

    def check_same(self, backup, restored, wal, stopped):
        """The backup's and its restore's figures, each in turn with the cluster and without it."""
        for against in ([], [f"--against={stopped}"]):
            results = []
            for base in (backup, [f"--base-backup={restored}"]):
                status, said, text = verify(base, *wal, *against)
                self.assertEqual(status, 0, text)
                said["backup"] = {name: value for name, value in said["backup"].items() if name not in OF_FILES}
                said["coverage"]["backup"] = None
                del said["elapsed_seconds"]
                results.append(said)
            self.assertEqual(*results)
            self.assertGreater(results[0]["backup"]["pages"], 1000)
        self.assertGreater(results[0]["backup"]["unchanged_compared"], 500)
        key = f"{self.paths['hot']}/3"
        worker = [f"--bindir={self.cluster.bindir}", f"--module={self.module}"]
        pages = []
        for base in (backup, [f"--base-backup={restored}"]):
            output = os.path.join(self.cluster.directory, "page")
            run_neon_redo("page", *base, *wal, *worker, "--lsn=end", f"--output={output}", key)
            pages.append(pathlib.Path(output).read_bytes())
            os.unlink(output)
        self.assertEqual(*pages)

    def assert_found(self, damage, pattern, backup, *arguments, statuses=(1, 2)):
        status, _, text = verify(backup, *arguments)
        self.assertIn(status, statuses, f"{damage} is not found: {text[-3000:]}")
        self.assertRegex(text, pattern, damage)

    def check_damages(self, files, backup, wal, stopped, manifest=True):
        """files: of the backup, which is put right again after each damage."""
        against = [f"--against={stopped}"]
        cold, index, vm = self.paths["cold"], self.paths["cold_pkey"], self.paths["cold"] + "_vm"

        def changed(name, change):
            undo = files.keep(name)
            files.write(name, change(files.read(name)))
            return undo

        def flipped(at):
            return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

        label = "backup_label"
        damages = {
            "file missing": (cold, lambda data: None),
            "file short": (cold, lambda data: data[:-8192]),
            "byte flipped in heap": (cold, flipped(3 * 8192 + 5000)),
            "byte flipped in index": (index, flipped(2 * 8192 + 300)),
            "byte flipped in SLRU": ("pg_xact/0000", flipped(150)),
            "byte flipped in map": (vm, flipped(100)),
            "wrong label": (label, lambda data: data.replace(b"START WAL LOCATION: ", b"START WAL LOCATION: 7")),
            "old file put back": (cold, lambda data: self.old),
        }
        if manifest:
            damages["manifest flipped"] = ("backup_manifest", flipped(200))
        for damage, (name, change) in damages.items():
            with self.subTest(damage):
                undo = changed(name, change)
                try:
                    statuses = (1, 2) if name == label else (1,)
                    pattern = self.words_for(name)
                    self.assert_found(damage, pattern, backup, *wal, *against, statuses=statuses)
                finally:
                    undo()
        self.assertEqual(verify(backup, *wal, *against)[0], 0)

    def words_for(self, name):
        """What a report says of damage to the file."""
        words = {
            "backup_label": "backup_label|has LSN 70/",  # or the WAL from where it says
            self.paths["cold"]: "table public.cold of database postgres",
            self.paths["cold_pkey"]: "index public.cold_pkey of database postgres",
            "pg_xact/0000": "transactions 0 to (32767|1048575)",
        }
        return words.get(name, re.escape(name))

    def check_segments(self, archive, backup, wal):
        """The segment in which the work began is damaged, then removed."""
        found = pathlib.Path(archive).rglob(f"{self.segment}*")
        (segment,) = (path for path in found if "_delta" not in path.name and path.suffix != ".json")
        data = segment.read_bytes()
        flip(segment, 3000)
        self.assert_found("segment flipped", segment.name[:24], backup, *wal)
        segment.unlink()
        self.assert_found("segment missing", "segment|WAL", backup, *wal)
        segment.write_bytes(data)
        self.assertEqual(verify(backup, *wal)[0], 0)


class PgBasebackup(Case):
    def archive(self):
        """The WAL so far, as an archive of plain segments."""
        archive = os.path.join(self.scratch(), "archive")
        os.mkdir(archive)
        for name in os.listdir(self.cluster.wal):
            path = os.path.join(self.cluster.wal, name)
            if len(name) == 24 and os.path.isfile(path):
                shutil.copy(path, archive)
        return archive

    def check(self, suffix, *options):
        directory = self.scratch()
        plain, tar = f"{directory}/plain", f"{directory}/tar"
        far = os.path.join(self.cluster.directory, "far")
        self.cluster.basebackup(plain, f"--tablespace-mapping={far}={plain}.far", "--wal-method=none")
        backup = plain
        if suffix is not None:
            self.cluster.basebackup(tar, "--format=tar", "--wal-method=none", *options)
            backup, plain = tar, self.unpack(tar, suffix)
        self.work()
        archive = self.archive()
        stopped = self.stopped_copy()
        wal = [f"--wal={archive}"]
        base = [f"--base-backup={backup}"]
        files = PlainFiles(backup) if suffix is None else TarFiles(backup, suffix)
        if suffix is not None:
            self.check_same(base, plain, wal, stopped)
        self.check_damages(files, base, wal, stopped)
        self.check_segments(archive, base, wal)
        files.remove_tablespace(self.oid)
        self.assert_found("tablespace missing", f"pg_tblspc/{self.oid}", base, *wal)

    def unpack(self, tar, suffix):
        """As the documentation of pg_basebackup says."""
        restored = f"{tar}.restored"
        for archive, directory in (("base", restored), (self.oid, f"{restored}.far")):
            os.mkdir(directory)
            data = unpacked(pathlib.Path(f"{tar}/{archive}.tar{suffix}").read_bytes(), suffix)
            subprocess.run(["tar", "-xf", "-", "-C", directory], input=data, check=True)
        os.symlink(f"{restored}.far", f"{restored}/pg_tblspc/{self.oid}")
        shutil.copy(f"{tar}/backup_manifest", restored)
        return restored

    def test_plain(self):
        self.check(None)

    def test_tar(self):
        self.check("")

    def test_tar_gz(self):
        self.check(".gz", "--gzip")

    def test_tar_lz4(self):
        self.check(".lz4", "--compress=client-lz4")

    def test_tar_zst(self):
        self.check(".zst", "--compress=server-zstd")


class BarmanBackups(Case):
    settings = {"archive_mode": "on", "archive_command": "/bin/true"}

    def check(self, method, suffix=None, **settings):
        """suffix: of the archives; None: the files are plain."""
        need(self, "barman")
        barman = Barman(self.cluster, method, **settings)
        self.addCleanup(shutil.rmtree, barman.home)
        backup = barman.backup()
        restored = f"{self.scratch()}/restored"
        barman.recover(backup, restored, "--tablespace", f"ts:{restored}.far")
        shutil.rmtree(f"{restored}/pg_wal")
        os.mkdir(f"{restored}/pg_wal")
        data = pathlib.Path(backup, "data")
        files = PlainFiles(data, pathlib.Path(backup)) if suffix is None else TarFiles(data, suffix)
        pathlib.Path(restored, "backup_label").write_bytes(files.read("backup_label"))
        self.work()
        barman.run("switch-wal", "--force", "--archive", "--archive-timeout=60", "main")
        stopped = self.stopped_copy()
        base, wal = [f"--base-backup={barman.server}"], [f"--wal={barman.server}"]
        self.check_same(base, restored, wal, stopped)
        self.check_damages(files, base, wal, stopped, manifest=(data / "backup_manifest").exists())
        self.check_segments(os.path.join(barman.server, "wals"), base, wal)
        info = pathlib.Path(barman.info(backup))
        text = info.read_text()
        info.write_text(text.replace("tablespaces=[", "tablespaces=[["))
        self.assert_found("backup.info damaged", "backup.info", base, *wal)
        info.write_text(text)
        files.remove_tablespace(self.oid)
        self.assert_found("tablespace missing", f"pg_tblspc/{self.oid}", base, *wal)

    def test_postgres(self):
        self.check("postgres")

    def test_postgres_gzip(self):
        self.check("postgres", ".gz", backup_compression="gzip")

    def test_postgres_lz4(self):
        self.check("postgres", ".lz4", backup_compression="lz4")

    def test_postgres_zstd_by_the_server(self):
        self.check("postgres", ".zst", backup_compression="zstd", backup_compression_location="server")

    def test_rsync(self):
        self.check("rsync")


class PgBackRestBackups(Case):
    settings = {"archive_mode": "on", "archive_command": "/bin/true"}
    PASSPHRASE = "a long passphrase"

    def make(self, program="pgbackrest", **options):
        need(self, program)
        tool = PgBackRest(self.cluster, program, **options)
        self.addCleanup(shutil.rmtree, tool.directory)
        labels = [tool.backup("full")]
        self.cluster.psql("INSERT INTO hot SELECT g, 'diff' FROM generate_series(10001, 11000) g")
        labels.append(tool.backup("diff"))
        self.cluster.psql("DELETE FROM hot WHERE a > 10000")
        labels.append(tool.backup("incr"))
        self.work()
        return tool, labels

    def check(self, suffix, **options):
        """suffix: None if files cannot be changed one by one, in bundles."""
        more = []
        if options.pop("cipher", False):
            options |= {"repo1_cipher_type": "aes-256-cbc", "repo1_cipher_pass": self.PASSPHRASE}
            secret = pathlib.Path(self.scratch(), "passphrase")
            secret.touch(mode=0o600)
            secret.write_text(self.PASSPHRASE + "\n")
            more = [f"--repo-cipher-pass-file={secret}"]
        tool, labels = self.make(**options)
        stopped = self.stopped_copy()
        # An encrypted archive has no plain segments: the cluster's own are read.
        wal = [f"--wal={stopped}/pg_wal" if more else f"--wal={tool.repository}/archive/main"]
        for label in labels:
            restored = f"{tool.directory}/restored"
            self.cluster.run_as_server(["mkdir", f"{restored}.far"])
            tool.restore(restored, label, f"--tablespace-map=ts={restored}.far")
            base = [f"--base-backup={tool.repository}", "--stanza=main", f"--label={label}", *more]
            self.check_same(base, restored, wal, stopped)
            shutil.rmtree(restored)
            shutil.rmtree(f"{restored}.far")
        base = [f"--base-backup={tool.repository}", *more]
        stored = os.path.join(tool.stanza, labels[0])
        if suffix is None:
            self.check_stored(stored, [*base, f"--label={labels[0]}"], wal, stopped)
            if not more:
                self.check_segments(os.path.join(tool.repository, "archive"), base, wal)
        else:
            full = [*base, f"--label={labels[0]}"]
            files = PgBackRestFiles(stored, suffix)
            self.check_damages(files, full, wal, stopped, manifest=False)
            flip(f"{stored}/backup.manifest", 200)
            status, _, text = verify(full, *wal)
            self.assertEqual(status, 0, text)
            self.assertRegex(text, "backup.manifest.*; its copy was read")
            flip(f"{stored}/backup.manifest.copy", 300)
            self.assert_found("both manifests flipped", "backup.manifest", full, *wal)
            flip(f"{stored}/backup.manifest", 200)
            flip(f"{stored}/backup.manifest.copy", 300)
            self.check_segments(os.path.join(tool.repository, "archive"), full, wal)
            files.remove_tablespace(self.oid)
            self.assert_found("tablespace missing", f"pg_tblspc/{self.oid}", full, *wal)

    def place(self, stored, name):
        """Where the stored bytes of a file lie: the file, offset and length."""
        key = name if name.startswith("pg_tblspc/") else f"pg_data/{name}"
        text = pathlib.Path(stored, "backup.manifest").read_text()
        entry = json.loads(re.search(rf"^{re.escape(key)}=(.*)$", text, re.MULTILINE)[1])
        path = pathlib.Path(stored, "bundle", str(entry["bni"])) if "bni" in entry else next(pathlib.Path(stored).glob(f"{key}*"))
        return path, entry.get("bno", 0), entry.get("repo-size", entry["size"])

    def check_bundled(self, stored, base, wal, stopped):
        """Bytes of one file among those that are stored as one."""
        def in_the_middle(data):
            half = len(data) // 2
            return data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]

        other = self.paths["hot"]
        for damage, name, change in (
            ("byte flipped in heap", self.paths["cold"], in_the_middle),
            ("byte flipped in index", self.paths["cold_pkey"], in_the_middle),
            ("byte flipped in SLRU", "pg_xact/0000", in_the_middle),
            ("byte flipped in map", self.paths["cold"] + "_vm", in_the_middle),
            ("wrong label", "backup_label", lambda b: b[::-1]),
            ("file lost", self.paths["cold"], lambda b: bytes(len(b))),
            ("file short", self.paths["cold"], lambda b: b[: len(b) // 2].ljust(len(b), b"\0")),
            ("other file put there", self.paths["cold"], lambda b: self.stored(stored, other).ljust(len(b), b"\0")[: len(b)]),
        ):
            with self.subTest(damage):
                path, at, length = self.place(stored, name)
                whole = path.read_bytes()
                path.write_bytes(whole[:at] + change(whole[at : at + length]) + whole[at + length :])
                self.assert_found(damage, self.words_for(name), base, *wal, f"--against={stopped}")
                path.write_bytes(whole)

    def stored(self, stored, name):
        path, at, length = self.place(stored, name)
        return path.read_bytes()[at : at + length]

    def check_stored(self, stored, base, wal, stopped):
        """What is stored as one file for several: changed in one of these, and cut, changed and removed."""
        if not pathlib.Path(stored, "backup.manifest").read_bytes().startswith(b"Salted__"):
            self.check_bundled(stored, base, wal, stopped)
        largest = max((path for path in pathlib.Path(stored).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
        data = largest.read_bytes()
        for damage, change in (
            ("byte flipped", lambda: flip(largest)),
            ("cut", lambda: largest.write_bytes(data[: len(data) // 2])),
            ("missing", largest.unlink),
        ):
            change()
            self.assert_found(f"{largest.name} {damage}", "unreadable|checksum|corrupt|missing|could not open file", base, *wal)
            largest.write_bytes(data)
        self.assertEqual(verify(base, *wal)[0], 0)

    def test_as_what_is_compared(self):
        """A file of a packed later backup that cannot be unpacked is not equal."""
        base = f"{self.scratch()}/base"
        far = os.path.join(self.cluster.directory, "far")
        self.cluster.basebackup(base, f"--tablespace-mapping={far}={base}.far", "--wal-method=none")
        self.work()
        tool, labels = self.make(compress_type="gz")
        later = os.path.join(tool.stanza, labels[0])
        arguments = [f"--wal={self.cluster.wal}", f"--against={later}"]
        status, said, text = verify([f"--base-backup={base}"], *arguments)
        self.assertEqual(status, 0, text)
        self.assertGreater(said["backup"]["unchanged_compared"], 500)
        stored = PgBackRestFiles(later, ".gz").path(self.paths["cold"])
        flip(stored, stored.stat().st_size // 2)
        status, said, text = verify([f"--base-backup={base}"], *arguments)
        self.assertEqual(status, 1, text)
        found = {(m["file"], m["damage"], m["in_backup"]) for m in said["mismatches"]}
        self.assertEqual(found, {(self.paths["cold"], "unreadable", False)})

    def test_plain(self):
        self.check("")

    def test_gz(self):
        self.check(".gz", compress_type="gz")

    def test_zst(self):
        self.check(".zst", compress_type="zst")

    def test_gz_blocks(self):
        """Block incremental: the diff and the incr have most blocks of a file from the backups before."""
        self.check(None, program=block_pgbackrest(self), compress_type="gz", repo1_bundle="y", repo1_block="y")

    def test_lz4_bundles(self):
        self.check(None, compress_type="lz4", repo1_bundle="y")

    def test_zst_bundles_cipher(self):
        self.check(None, compress_type="zst", repo1_bundle="y", cipher=True)


class ChainFiles(PlainFiles):
    """What is whole in the newest backup of a chain, and else in the full one."""

    def __init__(self, full, newest):
        super().__init__(full)
        self.newest = pathlib.Path(newest)

    def path(self, name):
        newest = self.newest / name
        return newest if newest.exists() else self.directory / name


class Incremental(Case):
    """PostgreSQL 17's and later; the tool is pg_combinebackup."""

    version = next((version for version in servers() if version >= 17), None)
    settings = {"summarize_wal": "on"}

    @classmethod
    def setUpClass(cls):
        if cls.version is None:
            raise unittest.SkipTest("no server of 17 or later (make servers)")
        super().setUpClass()

    def backup(self, directory, name, *options):
        far = os.path.join(self.cluster.directory, "far")
        mapping = f"--tablespace-mapping={far}={directory}/{name}.far"
        return self.cluster.basebackup(f"{directory}/{name}", mapping, "--wal-method=none", *options)

    def test_chain(self):
        directory = self.scratch()
        chain = [self.backup(directory, "full")]
        for number in range(2):
            self.work()
            manifest = f"--incremental={chain[-1]}/backup_manifest"
            chain.append(self.backup(directory, f"incremental{number}", manifest))
        self.work()
        stopped = self.stopped_copy()
        combined = f"{directory}/combined"
        program = self.cluster.program("pg_combinebackup")
        mapping = f"{directory}/incremental1.far={directory}/combined.far"
        self.cluster.run_as_server([program, "--no-sync", "-o", combined, "-T", mapping, *chain])
        base, wal = [f"--base-backup={path}" for path in chain], [f"--wal={stopped}/pg_wal"]
        self.check_same(base, combined, wal, stopped)
        self.check_damages(ChainFiles(chain[0], chain[2]), base, wal, stopped)
        part = next(pathlib.Path(chain[1], "base").rglob("INCREMENTAL.*"))
        flip(part)
        self.assert_found("incremental file of a link flipped", part.name, base, *wal)
        flip(part)
        status, _, text = verify([base[0], base[2]], *wal)
        self.assertEqual(status, 2)
        self.assertIn("which is not among those given", text)


class WalGBackups(Case):
    def backup(self, name, prior=None):
        mapping = f"--tablespace-mapping={self.cluster.directory}/far={self.directory}/{name}.far"
        source = self.cluster.basebackup(f"{self.directory}/{name}", mapping, "--wal-method=none")
        return self.walg.backup(source, prior)

    def make(self, suffix, deltas):
        """A storage with a full backup and delta backups, and work and an archive after it; the newest first."""
        self.directory = self.scratch()
        os.chmod(self.directory, 0o755)
        shutil.chown(self.directory, "postgres") if os.geteuid() == 0 else None
        self.walg = WalG(self.cluster, suffix)
        self.addCleanup(self.walg.remove)
        names = [self.backup("full")]
        for number in range(deltas):
            self.work()
            names.insert(0, self.backup(f"delta{number}", names[0]))
        self.work()
        wal = pathlib.Path(self.cluster.wal)
        self.walg.push(path for path in wal.iterdir() if path.is_file() and len(path.name) == 24)
        return names

    def check(self, suffix, deltas):
        names = self.make(suffix, deltas)
        stopped = self.stopped_copy()
        base, wal = [f"--base-backup={self.walg.storage}"], [f"--wal={self.walg.storage}"]
        restored = f"{self.directory}/restored"
        for name in names:
            self.walg.restore(name, restored)
            self.check_same([*base, f"--label={name}"], restored, wal, stopped)
            shutil.rmtree(restored)
        files = WalGFiles(self.walg, names)
        self.check_damages(files, base, wal, stopped, manifest=False)
        self.check_lost(files, base, wal)
        if deltas:
            self.check_increments(files, names[0], base, wal, stopped)
        self.check_written(names, base, wal)
        self.check_segments(self.walg.wal, base, wal)
        files.remove_tablespace(self.oid)
        self.assert_found("tablespace missing", f"pg_tblspc/{self.oid}", base, *wal)

    def check_lost(self, files, base, wal):
        """Files that nothing but WAL-G's list demands."""
        for name in ("postgresql.conf", self.paths["cold"] + "_vm"):
            for options in ([], ["--max-rate=1000M"]):
                undo = files.keep(name)
                files.write(name, None)
                pattern = rf"(?s){re.escape(name)}.*files_metadata.json lists it, and the backup does not have it"
                self.assert_found(f"{name} lost", pattern, base, *wal, *options, statuses=(1,))
                undo()

    def check_increments(self, files, newest, base, wal, stopped):
        """One is damaged in its header, another is cut off. Both are losses, and found in one run."""
        listed = self.walg.metadata(newest)["Files"]
        increments = [name.lstrip("/") for name, file in listed.items() if file["IsIncremented"]]
        hot, other = self.paths["hot"], self.paths["hot_pkey"]
        self.assertLessEqual({hot, other}, {*increments})
        undo = [files.keep(hot)]
        files.write(hot, files.read(hot)[:16] + b"\xff\xff\xff\xff" + files.read(hot)[20:])
        undo.append(files.keep(other))
        files.write(other, b"wi1" + files.read(other)[3:-8192])
        for options in ([], [f"--against={stopped}"]):
            for pattern in (
                rf"{re.escape(hot)}.* is no increment: block number 4294967295 at byte 16",
                rf"{re.escape(other)}.* is no increment: it has \d+ bytes",
            ):
                self.assert_found("increment damaged", pattern, base, *wal, *options, statuses=(1,))
        for put_back in reversed(undo):
            put_back()

    def check_written(self, names, base, wal):
        """What WAL-G writes beside the archives, and the archives themselves."""
        sentinel, metadata = self.walg.sentinel_path(names[0]), self.walg.metadata_path(names[0])
        archive = self.walg.archive_path(names[-1], self.walg.archives(names[-1])[0])
        for path, change, pattern in (
            (sentinel, lambda data: data.replace(b'"LSN": ', b'"LSN": 7'), "the sentinel of the backup"),
            (sentinel, lambda data: data[:-9], "_sentinel.json. is damaged"),
            (metadata, lambda data: data[:-9], "files_metadata.json. is damaged"),
            (metadata, lambda data: None, "files_metadata.json, without which WAL-G does not restore it, is missing"),
            (archive, lambda data: data[: len(data) // 2], re.escape(archive.name)),
            (archive, lambda data: None, "missing"),
        ):
            data = path.read_bytes()
            path.unlink()
            if change(data) is not None:
                path.write_bytes(change(data))
            self.assert_found(path.name, pattern, base, *wal)
            path.write_bytes(data)

    def test_lz4_full(self):
        self.check(".lz4", 0)

    def test_br_deltas(self):
        self.check(".br", 2)

    def test_each_packing(self):
        newest, full = self.make(".zst", 1)
        base, wal = [f"--base-backup={self.walg.storage}"], [f"--wal={self.walg.storage}"]
        # As what is compared, too.
        status, said, text = verify([*base, f"--label={full}"], *wal, f"--against={self.walg.backups / newest}")
        self.assertEqual(status, 0, text)
        self.assertGreater(said["backup"]["unchanged_compared"], 500)
        results = []
        for suffix in (".zst", ".lzma", ".gz", ""):
            self.walg.repack(suffix)
            status, said, text = verify(base, *wal)
            self.assertEqual(status, 0, text)
            del said["elapsed_seconds"]
            results.append(said)
        self.assertEqual([results[0]] * len(results), results)


if __name__ == "__main__":
    unittest.main()
