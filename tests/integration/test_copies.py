"""neon-redo verify with copies that no backup made: a snapshot of a running cluster and a copy of a stopped one
as the base, and a cluster after a crash as what is compared."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from cluster import Cluster, cases_of_each_server, copy_module, neon_redo_program, run_neon_redo
from test_damage import SETTINGS, RandomWorkload

BLOCK = 8192
COLD = """
CREATE UNLOGGED TABLE fleeting (a int);
INSERT INTO fleeting SELECT generate_series(1, 3000);
CREATE TABLE cold (a int, b text);
INSERT INTO cold SELECT g, md5(g::text) FROM generate_series(1, 20000) g;
VACUUM (FREEZE) cold;
"""


def verify(*arguments):
    """Status, what it says as JSON, and all its output."""
    options = ["--engine=native", "--no-progress", "--format=json", *arguments]
    done = run_neon_redo("verify", *options, check=False)
    said = json.loads(done.stdout) if done.returncode in (0, 1) else {}
    return done.returncode, said, done.stdout + done.stderr


@contextlib.contextmanager
def flipped(path, at):
    """A byte of the file has one other bit meanwhile."""
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    yield
    pathlib.Path(path).write_bytes(data)


class Copies(unittest.TestCase):
    version, checksums = None, True

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(
            Cluster(settings=SETTINGS, checksums=cls.checksums, version=cls.version)
        )
        cls.load = RandomWorkload(cls.cluster, 11)
        cls.cluster.psql(COLD)
        cls.path = cls.cluster.psql("SELECT pg_relation_filepath('cold')")
        cls.load.step(20)
        cls.cluster.psql("CHECKPOINT")

    def server_processes(self):
        first = int(pathlib.Path(self.cluster.data, "postmaster.pid").read_text().split()[0])
        children = pathlib.Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def snapshot(self, name):
        """What a file system's snapshot would be: no process of the server writes meanwhile."""
        processes = self.server_processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            return self.copy(name)
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def copy(self, name):
        target = os.path.join(self.cluster.directory, name)
        self.cluster.run_as_server(["cp", "-a", self.cluster.data, target])
        return target

    def check(self, base, *arguments):
        status, said, text = verify(f"--base-backup={base}", f"--wal={self.cluster.wal}", *arguments)
        self.assertEqual(status, 0, text[:6000])
        self.assertEqual(said["mismatches"], [])
        self.assertGreater(said["backup"]["pages"], 1000)
        return said

    def check_found(self, damage, base, *arguments):
        status, said, text = verify(f"--base-backup={base}", f"--wal={self.cluster.wal}", *arguments)
        self.assertEqual(status, 1, text[:6000])
        files = {mismatch["file"] for mismatch in said["mismatches"]}
        self.assertEqual(files, {self.path}, damage)

    def test_all(self):
        """In the order of the cluster's life, since each state takes a while to make."""
        cluster = self.cluster
        backup = cluster.basebackup("backup")
        status, _, text = verify(f"--base-backup={cluster.data}", f"--wal={cluster.wal}")
        self.assertEqual(status, 2)
        self.assertRegex(text, "a server .* runs on")
        self.load.step(20)
        snapshot = self.snapshot("snapshot")
        self.load.step(20)
        self.check_snapshot(snapshot)
        cluster.psql("CREATE TABLE warm AS SELECT generate_series(1, 20000) a")

        cluster.stop("immediate")
        self.check_crashed(backup, snapshot)
        cluster.start()
        self.load.step(10)
        cluster.stop()
        against = f"--against={cluster.data}"
        for base in (backup, snapshot):
            self.assertGreater(self.check(base, against)["backup"]["unchanged_compared"], 100)
        cold = self.copy("cold")
        cluster.start()
        cluster.psql("UPDATE fleeting SET a = 0; DELETE FROM fleeting WHERE a > 3; VACUUM fleeting")
        self.load.step(20)
        cluster.stop()
        said = self.check(cold, against)
        self.assertIn("a copy of a stopped cluster", said["wal_notes"][0])
        self.check(cold)

        self.check_stale_manifest(cold, backup)
        self.check_lost_label(backup)
        self.check_directories(cold)
        self.check_start_meanwhile(backup)

    def refused(self, words, base, *arguments, status=2):
        got, _, text = verify(f"--base-backup={base}", f"--wal={self.cluster.wal}", *arguments)
        self.assertEqual(got, status, text[:3000])
        self.assertIn(words, text)

    def check_stale_manifest(self, cold, backup):
        """Of the backup that the cluster was once restored from."""
        place = os.path.join(cold, "backup_manifest")
        shutil.copy(os.path.join(backup, "backup_manifest"), place)
        self.assertFalse(self.check(cold)["backup"]["manifest"])
        os.unlink(place)

    def check_lost_label(self, backup):
        """It is no snapshot: replay would begin too late."""
        lost = os.path.join(self.cluster.directory, "lost")
        self.cluster.run_as_server(["cp", "-a", backup, lost])
        os.unlink(f"{lost}/backup_label")
        for option in ("--quick", f"--against={self.cluster.data}"):
            self.refused("by backup_manifest it is a base backup", lost, option)
        page = ["--lsn=end", f"{self.path}/3", f"--wal={self.cluster.wal}"]
        done = run_neon_redo("page", f"--base-backup={lost}", *page, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("by backup_manifest it is a base backup", done.stderr)
        os.unlink(f"{lost}/backup_manifest")
        pathlib.Path(f"{lost}/tablespace_map").touch()
        self.refused("tablespace_map is there", lost)
        self.refused("no repository", backup, "--label=latest")

    def check_directories(self, cold):
        for name in ("pg_twophase", "pg_commit_ts", "pg_tblspc"):
            place = os.path.join(cold, name)
            os.rename(place, place + ".away")
            self.refused(f'{name}\\": it is missing', cold, "--quick")
            self.refused(f'"{name}"', cold, status=1)
            os.symlink(place + ".away", place)
            self.refused(f'"{name}"', cold, status=1)
            os.unlink(place)
            os.rename(place + ".away", place)

    def check_start_meanwhile(self, backup):
        """A server starts and stops while the command runs, which is held meanwhile."""
        command = [neon_redo_program(), "verify", "--engine=native", "--no-progress", "--jobs=1"]
        command += [f"--base-backup={backup}", f"--wal={self.cluster.wal}", f"--against={self.cluster.data}"]
        begin = time.monotonic()
        subprocess.run(command, capture_output=True, check=True)
        seconds = time.monotonic() - begin
        # When it is held is a matter of luck: it may be at its end, or not have begun.
        for part in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2):
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                time.sleep(seconds * part)
                running.send_signal(signal.SIGSTOP)
                self.cluster.start()
                self.cluster.psql("UPDATE cold SET b = 'meanwhile'")
                self.cluster.stop()
                running.send_signal(signal.SIGCONT)
                _, text = running.communicate(timeout=120)
            if running.returncode == 2:
                break
            self.assertEqual(running.returncode, 0, text)
        self.assertIn("changed while the command ran", text)

    def check_snapshot(self, snapshot):
        said = self.check(snapshot)
        self.assertIn("taken for a snapshot (state: in production)", said["wal_notes"][0])
        place = os.path.join(snapshot, self.path)
        with flipped(place, 3 * BLOCK + 4000):
            if self.checksums:
                self.check_found("snapshot", snapshot)
        # Without its own WAL nobody knows when it is consistent.
        own = os.path.join(snapshot, "pg_wal")
        os.rename(own, own + ".away")
        status, _, text = verify(f"--base-backup={snapshot}", f"--wal={self.cluster.wal}")
        self.assertEqual(status, 2)
        self.assertIn("pg_wal", text)
        os.rename(own + ".away", own)
        output = os.path.join(self.cluster.directory, "page")
        module = copy_module(self.cluster.directory, self.version)
        worker = [f"--bindir={self.cluster.bindir}", f"--module={module}"]
        run_neon_redo("page", f"--base-backup={snapshot}", f"--wal={self.cluster.wal}", "--lsn=end",
                      f"--output={output}", *worker, f"{self.path}/3")  # fmt: skip
        self.assertEqual(os.path.getsize(output), BLOCK)

    def check_crashed(self, backup, snapshot):
        against = f"--against={self.cluster.data}"
        for base in (backup, snapshot):
            said = self.check(base, against)
            self.assertGreater(said["compared"]["relation pages"], 10)
            self.assertGreater(said["skipped"]["changed after the cluster's last checkpoint"], 10)
            self.assertGreater(said["backup"]["unchanged_compared"], 100)
        with flipped(os.path.join(self.cluster.data, self.path), 3 * BLOCK + 4000):
            self.check_found("crashed", backup, against)


def load_tests(loader, _tests, pattern):
    """On each server, with checksums and once without."""
    del pattern
    suite = unittest.TestSuite()
    for case in cases_of_each_server(globals(), [Copies]):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
