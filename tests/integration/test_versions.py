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
    19: (0xD122, 1905, 202610061, 308),
}
REMOVABLE = 0x0004  # XLP_BKP_REMOVABLE, until 18
CAPTURE = """neon-redo capture 1
error: none
key: 000000067F000000050000400C0000000007
lsn: 0/48
kind: read
base: 0
version: {}

"""


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
                flags = content[at + 2] & ~(REMOVABLE if version >= 19 else 0)
                struct.pack_into("<HB", content, at, VERSIONS[version][0], flags)
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

    def test_captures_of_untested_versions(self):
        capture = self.directory / "capture.redo"
        for version in (16, 19):
            capture.write_text(CAPTURE.format(version), "utf-8")
            self.assertIn(f"the capture is of PostgreSQL {version}, which", self.fails("replay", capture))
            text = run_neon_redo("replay", "--untested-version", capture).stdout
            self.assertIn("The request succeeds now", text)

    def test_each_command_can_be_told(self):
        for command in """bench doctor ingest page receive replay serve-wal verify waldump worker""".split():
            with self.subTest(command):
                self.assertIn("--untested-version", run_neon_redo(command, "--help").stdout)

    def test_version_that_is_not_released(self):
        wal = self.directory / "wal_19"
        relabel_wal(self.wal, wal, 19)
        for command in (["waldump"], ["ingest"], ["verify", "--images"]):
            with self.subTest(command[0]):
                error = self.fails(*command, "--wal", wal)
                self.assertIn("is of PostgreSQL 19, which this program was not tested with", error)
        untested = ["--wal", wal, "--untested-version"]
        self.assertEqual(len(run_neon_redo("waldump", *untested, "--limit=5").stdout.splitlines()), 5)
        error = self.fails("verify", "--images", "--engine=native", *untested)
        self.assertIn("the native engine does not know the records of PostgreSQL 19", error)
        only_pages = "is of PostgreSQL 19, of which only the pages in WAL are rebuilt"
        self.assertIn(only_pages, self.fails("ingest", *untested))
        backup = self.directory / "backup_19"
        shutil.copytree(self.backup, backup, symlinks=True)
        relabel_control_file(backup, 19)
        for command in ("verify", "page"):
            more = ["--lsn=end", "base/1/1259/0"] if command == "page" else []
            self.assertIn(only_pages, self.fails(command, "--base-backup", backup, *untested, *more))

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
