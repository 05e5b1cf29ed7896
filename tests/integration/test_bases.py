"""Base backups in the layouts of their tools: what the reader makes of each is, byte for byte, what the
tool's own restore makes of it."""

import json
import os
import pathlib
import shutil
import unittest

from cluster import ROOT, Cluster, make_directory, run, servers

SETTINGS = {"wal_level": "replica", "max_wal_size": "2GB", "autovacuum": "off"}
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


def with_tablespace(case, **options):
    """A running cluster with a schema in two tablespaces."""
    cluster = case.enterClassContext(Cluster(settings={**SETTINGS, **options.pop("settings", {})}, **options))
    far = os.path.join(cluster.directory, "far")
    cluster.run_as_server(["mkdir", far])
    cluster.psql(f"CREATE TABLESPACE ts LOCATION '{far}'")
    cluster.psql(SCHEMA)
    return cluster


class PgBasebackup(Bases):
    @classmethod
    def setUpClass(cls):
        cls.cluster = with_tablespace(cls)
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
        data = bytearray(packed.read_bytes())
        data[len(data) // 2] ^= 1
        packed.write_bytes(data)
        done = base_dump(backup, target, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^corrupt: could not unpack .*base\.tar\.zst\" at packed byte \d+: ")


if __name__ == "__main__":
    unittest.main()
