"""WAL and directories of other versions than the server's. They are made from its own by the numbers that
name the version: the magic of WAL pages, the versions and the checksum of pg_control.
"""

import pathlib
import shutil
import struct
import unittest

from cluster import Cluster, major, run_neon_redo

PAGE = 8192
# By major version: XLOG_PAGE_MAGIC, PG_CONTROL_VERSION, CATALOG_VERSION_NO, offset of the checksum.
VERSIONS = {
    15: (0xD110, 1300, 202209061, 288),
    16: (0xD113, 1300, 202307071, 288),
    17: (0xD116, 1700, 202406281, 288),
    18: (0xD118, 1800, 202506291, 292),
}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def relabel_wal(source, target, version):
    """Copies the segments as if a server of that version had written them."""
    target.mkdir()
    for segment in source.iterdir():
        if len(segment.name) != 24:
            continue
        content = bytearray(segment.read_bytes())
        for at in range(0, len(content), PAGE):
            if content[at : at + 2] == struct.pack("<H", VERSIONS[major()][0]):
                struct.pack_into("<H", content, at, VERSIONS[version][0])
        (target / segment.name).write_bytes(content)


def relabel_control_file(directory, version):
    path = directory / "global" / "pg_control"
    content = bytearray(path.read_bytes())
    _, control_version, catalog_version, crc_at = VERSIONS[version]
    struct.pack_into("<II", content, 8, control_version, catalog_version)
    struct.pack_into("<I", content, crc_at, crc32c(content[:crc_at]))
    path.write_bytes(content)


class Versions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(settings={"wal_keep_size": "1GB"})
        cls.enterClassContext(cls.cluster)
        cls.backup = pathlib.Path(cls.cluster.basebackup())
        cls.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000)")
        cls.cluster.stop()
        cls.directory = pathlib.Path(cls.cluster.directory)
        cls.wal = pathlib.Path(cls.cluster.wal)
        cls.other = 17 if major() != 17 else 18

    def fails(self, *arguments):
        result = run_neon_redo(*arguments, check=False)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def test_untested_version(self):
        wal = self.directory / "wal_16"
        relabel_wal(self.wal, wal, 16)
        for command in (["waldump"], ["ingest"], ["verify", "--base-backup", self.backup]):
            with self.subTest(command[0]):
                error = self.fails(*command, "--wal", wal)
                self.assertIn("is of PostgreSQL 16, which this program was not tested with", error)
                self.assertIn("--untested-version", error)
        self.assertIn("--untested-version", self.fails("bench", "--wal", wal))
        # The WAL is not that of make_wal.py, which is the next thing to be said.
        error = self.fails("bench", "--wal", wal, "--untested-version")
        self.assertNotIn("not tested", error)
        self.assertNotIn("unknown option", error)
        result = run_neon_redo("waldump", "--wal", wal, "--untested-version", "--limit", "5")
        self.assertEqual(len(result.stdout.splitlines()), 5)

    def test_backup_of_another_version(self):
        backup = self.directory / "other_backup"
        shutil.copytree(self.backup, backup, symlinks=True)
        relabel_control_file(backup, self.other)
        error = self.fails("verify", "--base-backup", backup, "--wal", self.wal)
        self.assertIn(f"is of PostgreSQL {major()}, but {backup} is of PostgreSQL {self.other}", error)
        error = self.fails(
            "verify", "--base-backup", backup, "--wal", self.wal, "--against", self.cluster.data
        )
        self.assertIn(f"the backup in {backup} is of PostgreSQL {self.other}, but the cluster", error)


if __name__ == "__main__":
    unittest.main()
