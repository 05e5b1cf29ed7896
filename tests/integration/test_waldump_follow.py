"""neon-redo waldump --follow, beside a running server and in a directory that no server writes to."""

import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import Cluster, make_directory, neon_redo_program, run_neon_redo
from test_waldump import position


class Following(unittest.TestCase):
    def test_records_are_shown_as_they_come(self):
        with Cluster() as cluster:
            start = cluster.wal_lsn()
            command = [neon_redo_program(), "waldump", "--wal", cluster.wal, "--from", start, "--follow"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
                try:
                    seen = ""
                    for number in range(3):
                        message = f"message {number}"
                        cluster.psql(f"SELECT pg_logical_emit_message(false, 'p', '{message}')")
                        cluster.psql("SELECT pg_switch_wal()")
                        deadline = time.monotonic() + 60
                        while seen.count("LogicalMessage") <= number:
                            ready, _, _ = select.select([follower.stdout], [], [], 1)
                            self.assertLess(time.monotonic(), deadline, seen)
                            if ready:
                                seen += os.read(follower.stdout.fileno(), 65536).decode()
                finally:
                    follower.send_signal(signal.SIGINT)
                    follower.wait(60)
            self.assertEqual(follower.returncode, 0)
            starts = re.findall(r"lsn: ([0-9A-F/]+),", seen)
            self.assertEqual(sorted(set(starts), key=position), starts)


class FollowingFiles(unittest.TestCase):
    """waldump --follow in a directory that no server writes to."""

    @classmethod
    def setUpClass(cls):
        cls.source = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.source)
        settings = {"wal_keep_size": "1GB", "autovacuum": "off"}
        with Cluster(settings=settings, wal_segment_mb=1) as cluster:
            for _ in range(3):
                cluster.psql("CHECKPOINT; CREATE TABLE t AS SELECT generate_series(1, 50000); DROP TABLE t")
                cluster.psql("SELECT pg_switch_wal()")
            cls.end = position(cluster.wal_lsn()) // (1 << 20)
            cluster.stop("immediate")
            cls.segments = [f"{1:08X}{0:08X}{n:08X}" for n in range(cls.end - 12, cls.end)]
            for name in cls.segments:
                shutil.copy(os.path.join(cluster.wal, name), cls.source)

    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def add(self, *names):
        for name in names:
            shutil.copy(os.path.join(self.source, name), os.path.join(self.directory, "new"))
            os.rename(os.path.join(self.directory, "new"), os.path.join(self.directory, name))

    def follow(self, *arguments, shows=True):
        """A follower, once it has read what is there; its output goes to a file. shows: of that, it
        shows something."""
        self.output = self.enterContext(tempfile.NamedTemporaryFile("w+"))
        command = [neon_redo_program(), "waldump", "--wal", self.directory, "--follow", *arguments]
        process = subprocess.Popen(command, stdout=self.output, stderr=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.communicate(timeout=60)

        self.addCleanup(end)
        if shows:
            self.wait(lambda: os.path.getsize(self.output.name) > 0)
        return process

    def wait(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def ends_with(self, process, words):
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2)
        self.assertIn(words, errors)

    def test_segments_that_come_are_read(self):
        self.add(*self.segments[:3])
        process = self.follow()
        self.add(*self.segments[3:])
        whole = run_neon_redo("waldump", "--wal", self.source).stdout
        self.wait(lambda: os.path.getsize(self.output.name) >= len(whole))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0)
        with open(self.output.name, encoding="utf-8") as output:
            self.assertEqual(output.read(), whole)

    def test_a_start_within_the_last_record_waits_for_the_next(self):
        self.add(*self.segments[:3])
        known = run_neon_redo("waldump", "--wal", self.directory).stdout.splitlines()
        high, low = re.search(r"lsn: (\w+)/(\w+)", known[-1]).groups()
        start = f"{high}/{int(low, 16) + 8:X}"
        self.assertEqual(run_neon_redo("waldump", "--wal", self.directory, "--from", start, check=False).returncode, 2)
        processes = []
        for times in ([], ["--after=2024-01-01 00:00"]):
            process = self.follow("--from", start, *times, shows=False)
            processes.append((process, self.output))
        time.sleep(1)  # they have looked, and not ended
        self.add(*self.segments[3:])
        lines = run_neon_redo("waldump", "--wal", self.source).stdout.splitlines(keepends=True)
        rest = "".join(lines[len(known) :])
        for process, output in processes:
            self.wait(lambda output=output: os.path.getsize(output.name) >= len(rest))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), 0)
            self.assertEqual(pathlib.Path(output.name).read_text("utf-8"), rest)

    def test_nothing_is_read_while_nothing_comes(self):
        self.add(*self.segments)
        process = self.follow()
        read = lambda: re.search(r"rchar: (\d+)", pathlib.Path(f"/proc/{process.pid}/io").read_text())[1]

        def rests():
            before = read()
            time.sleep(3)
            return read() == before

        # What is new counts as still growing.
        self.wait(rests)

    def test_wal_that_is_removed_is_an_error(self):
        self.add(*self.segments[:3])
        process = self.follow()
        self.addCleanup(shutil.rmtree, self.directory + ".old")
        os.rename(self.directory, self.directory + ".old")
        self.ends_with(process, "could not open directory")

    def test_wal_that_is_recycled_is_an_error(self):
        self.add(*self.segments[:3])
        process = self.follow()
        shutil.copytree(self.source, self.directory + ".new")
        for name in self.segments[:6]:
            os.unlink(os.path.join(self.directory + ".new", name))
        # Quickly, or the follower may look in between twice.
        self.addCleanup(shutil.rmtree, self.directory + ".old")
        os.rename(self.directory, self.directory + ".old")
        os.rename(self.directory + ".new", self.directory)
        self.ends_with(process, f"no segment in \"{self.directory}\" has LSN")

    def test_an_error_of_a_record_is_not_lost(self):
        self.add(*self.segments[:2])
        images = os.path.join(self.directory, "images")
        process = self.follow("--save-fullpage", images)
        self.wait(lambda: os.path.exists(images))
        os.rename(images, images + ".away")
        self.add(*self.segments[2:])
        self.ends_with(process, "could not write file")


if __name__ == "__main__":
    unittest.main()
