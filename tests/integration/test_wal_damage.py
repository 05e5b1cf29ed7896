"""Each kind of damage to a WAL directory is reported in one line that names the file and the LSN.

A test damages a copy of PostgreSQL's own WAL in one place.
"""

import json
import os
import re
import shutil
import unittest

from cluster import Cluster, make_directory, run_neon_redo

SEGMENT = 1024 * 1024


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.pristine = os.path.join(cls.directory, "pristine")
        settings = {"wal_keep_size": "1GB", "autovacuum": "off"}
        with Cluster(settings=settings, wal_segment_mb=1) as cluster:
            # From here on, the WAL has no records but these.
            cluster.psql("SELECT pg_switch_wal()")
            cls.start = cluster.wal_lsn()
            cluster.psql("CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 30000) g")
            cluster.stop()
            shutil.copytree(cluster.wal, cls.pristine)
        lines = run_neon_redo("waldump", "--wal", cls.pristine, "--format", "json").stdout
        cls.records = [json.loads(line) for line in lines.splitlines()]
        cls.last = cls.segment_of(cls.records[-1]["lsn"])

    def setUp(self):
        self.wal = os.path.join(self.directory, self.id())
        shutil.copytree(self.pristine, self.wal)
        self.addCleanup(shutil.rmtree, self.wal)

    @staticmethod
    def number(lsn):
        high, low = lsn.split("/")
        return int(high, 16) << 32 | int(low, 16)

    @classmethod
    def segment_of(cls, lsn):
        segment = cls.number(lsn) // SEGMENT
        return f"{1:08X}{segment // 4096:08X}{segment % 4096:08X}"

    def record_in_the_middle(self):
        """One that lies within a page, in a segment that others follow."""
        for record in self.records[len(self.records) // 2 :]:
            start, end = self.number(record["lsn"]), self.number(record["end_lsn"])
            if start // 8192 == end // 8192 and end - start > 60:
                return record
        self.fail("no such record")

    def flip(self, lsn, bit):
        """Flips one bit of the byte at this LSN."""
        offset = self.number(lsn) % SEGMENT
        with open(os.path.join(self.wal, self.segment_of(lsn)), "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << bit]))

    def expect(self, *words):
        """waldump refuses with one line that has all the words. Returns the LSNs it printed first."""
        result = run_neon_redo("waldump", "--wal", self.wal, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        return re.findall(r"lsn: ([0-9A-F/]+),", result.stdout)

    def expect_all_records_before(self, lsn, printed):
        expected = [r["lsn"] for r in self.records if self.number(r["lsn"]) < self.number(lsn)]
        self.assertEqual(list(map(self.number, printed)), list(map(self.number, expected)))

    def test_pristine(self):
        result = run_neon_redo("waldump", "--wal", self.wal)
        self.assertEqual(result.stderr, "")
        self.assertEqual(len(result.stdout.splitlines()), len(self.records))

    def test_flipped_bit_in_a_record(self):
        record = self.record_in_the_middle()
        for at in (0, 8, 17, 20, 30):  # length, xl_prev, resource manager, CRC, data
            address = self.number(record["lsn"]) + at
            lsn = f"{address >> 32:X}/{address & 0xFFFFFFFF:X}"
            self.flip(lsn, 4)
            printed = self.expect(self.segment_of(lsn), record["lsn"], "valid")
            self.expect_all_records_before(record["lsn"], printed)
            self.flip(lsn, 4)

    def test_flipped_bit_in_a_page_header(self):
        page = self.number(self.record_in_the_middle()["lsn"]) // 8192 * 8192
        for at in (0, 2, 9):  # magic, flags, address
            lsn = f"{page + at >> 32:X}/{page + at & 0xFFFFFFFF:X}"
            self.flip(lsn, 5)
            printed = self.expect(self.segment_of(lsn), f"LSN {page >> 32:X}/{page & 0xFFFFFFFF:X}")
            self.assertTrue(printed)
            self.flip(lsn, 5)

    def test_flipped_bit_in_the_last_record_but_one(self):
        self.flip(self.records[-2]["lsn"], 2)
        printed = self.expect(self.last, self.records[-2]["lsn"])
        self.expect_all_records_before(self.records[-2]["lsn"], printed)

    def test_flipped_bit_in_the_very_last_record_is_the_end(self):
        """The damage looks like a record torn by a crash; PostgreSQL takes it for the end of WAL, too."""
        self.flip(self.records[-1]["lsn"], 2)
        options = ["--stats", "--format", "json"]
        stats = json.loads(run_neon_redo("waldump", "--wal", self.wal, *options).stdout)
        self.assertEqual(stats["end_lsn"], self.records[-1]["lsn"])
        self.assertIn("record", stats["end_reason"])

    def test_page_of_zeroes(self):
        page = self.number(self.record_in_the_middle()["lsn"]) // 8192 * 8192
        lsn = f"{page >> 32:X}/{page & 0xFFFFFFFF:X}"
        with open(os.path.join(self.wal, self.segment_of(lsn)), "r+b") as file:
            file.seek(page % SEGMENT)
            file.write(bytes(8192))
        self.expect(self.segment_of(lsn), lsn, "empty", "valid WAL follows")

    def test_missing_segment(self):
        record = self.record_in_the_middle()
        name = self.segment_of(record["lsn"])
        os.remove(os.path.join(self.wal, name))
        start = self.number(record["lsn"]) // SEGMENT * SEGMENT
        self.expect(name, f"LSN {start >> 32:X}/{start & 0xFFFFFFFF:X}", "missing")

    def test_truncated_segment(self):
        record = self.record_in_the_middle()
        path = os.path.join(self.wal, self.segment_of(record["lsn"]))
        os.truncate(path, self.number(record["lsn"]) % SEGMENT + 20)
        printed = self.expect(path, "LSN " + record["lsn"], "truncated")
        self.expect_all_records_before(record["lsn"], printed)

    def test_truncated_last_segment(self):
        """Recovery does not take such a file; a partial one ends where it ends."""
        record = self.records[-3]
        path = os.path.join(self.wal, self.last)
        size = self.number(record["lsn"]) % SEGMENT + 9
        os.truncate(path, size)
        for name in os.listdir(self.wal):
            if name > self.last and len(name) == len(self.last):
                os.remove(os.path.join(self.wal, name))
        result = run_neon_redo("waldump", "--wal", self.wal, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(f"truncated: it has {size} bytes", result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), len(self.records) - 3)
        os.rename(path, path + ".partial")
        lines = run_neon_redo("waldump", "--wal", self.wal).stdout.splitlines()
        self.assertEqual(len(lines), len(self.records) - 3)

    def test_foreign_file(self):
        record = self.record_in_the_middle()
        name = self.segment_of(record["lsn"])
        path = os.path.join(self.wal, name)
        lsn = self.number(record["lsn"]) // SEGMENT * SEGMENT
        with open(path, "wb") as file:
            file.write(b"not WAL at all\n" * 80000)
        self.expect(path, f"LSN {lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}")

    def test_segment_of_another_cluster(self):
        name = self.segment_of(self.record_in_the_middle()["lsn"])
        with open(os.path.join(self.wal, name), "r+b") as file:
            file.seek(24)
            file.write((4711).to_bytes(8, "little"))
        self.expect(name, "system 4711")

    def test_segments_swapped(self):
        first = self.segment_of(self.record_in_the_middle()["lsn"])
        second = f"{int(first, 16) + 1:024X}"
        paths = [os.path.join(self.wal, name) for name in (first, second)]
        os.rename(paths[0], paths[0] + ".old")
        os.rename(paths[1], paths[0])
        os.rename(paths[0] + ".old", paths[1])
        self.expect(first, "address")

    def test_other_files_are_left_alone(self):
        for name in ("00000002.history.old", "README", "000000010000000000000001.00000028.backup"):
            with open(os.path.join(self.wal, name), "w", encoding="ascii") as file:
                file.write("not for us")
        self.test_pristine()

    def test_unreadable_directory(self):
        for argument, words in (
            (self.wal + "/none", "No such file or directory"),
            (self.wal + "/archive_status", "no WAL segments"),
        ):
            result = run_neon_redo("waldump", "--wal", argument, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            self.assertIn(argument, result.stderr)

    def test_range_outside_the_wal(self):
        for options, words in (
            (["--from", "7F/1000000"], "7F/1000000"),
            (["--from", "nonsense"], "nonsense"),
            (["--to", "7F/1000000"], "WAL ends at"),
            (["--rmgr", "Heap3"], "Heap3"),
        ):
            result = run_neon_redo("waldump", "--wal", self.wal, *options, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
