"""neon-redo verify on standbys: backups taken from them, standbys that were stopped or promoted, clusters that
were restored to a target and went on. None of them has lost anything, and verify must say so; and what
is damaged in them is found.

With NEON_REDO_LONG=1 (make test-damage) there are four workloads instead of one on the server of PG_CONFIG:
each has a primary, its standby at two times, and two restored clusters.
"""

import json
import os
import pathlib
import shutil
import time
import unittest

from cluster import Cluster, cases_of_each_server, major, run_neon_redo
from test_damage import LONG, RandomWorkload
from test_damage import SETTINGS as OF_DAMAGE

# Replay waits for a test's questions, however slow the machine is.
SETTINGS = {**OF_DAMAGE, "max_standby_archive_delay": -1, "max_standby_streaming_delay": -1}

# What a server changes without WAL, or otherwise than one that replays its WAL.
SCHEMA = """
CREATE TABLE points AS SELECT point(g % 100, g) p, g a FROM generate_series(1, 3000) g;
CREATE INDEX ON points USING gist (p);
CREATE TABLE seen AS SELECT g a FROM generate_series(1, 5000) g;
CREATE TABLE mapped AS SELECT g a FROM generate_series(1, 5000) g;
CREATE UNLOGGED TABLE fleeting (a int PRIMARY KEY);
INSERT INTO fleeting SELECT generate_series(1, 100);
CREATE SEQUENCE counted;
SELECT nextval('counted');
VACUUM mapped;
"""


def verify(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
    return run_neon_redo(
        "verify", "--engine", "native", "--no-progress", "--format", "json", *arguments,
        check=False, env=environment,
    )  # fmt: skip


class Standby(unittest.TestCase):
    version, checksums, seed = None, True, 7

    @classmethod
    def setUpClass(cls):
        if cls is Standby or not cls.version:
            raise unittest.SkipTest("a base of others")
        options = {"checksums": cls.checksums, "version": cls.version}
        cls.primary = cls.enterClassContext(Cluster(settings=SETTINGS, **options))
        cls.load = RandomWorkload(cls.primary, cls.seed)
        cls.oldest = cls.primary.basebackup("oldest")
        # The primary makes the map's first page without WAL.
        cls.primary.psql("CREATE TABLE unmapped AS SELECT 1 a; BEGIN; SELECT txid_current(); VACUUM unmapped",
                         check=False)  # fmt: skip
        cls.standby = cls.enterClassContext(
            Cluster("standby", settings=SETTINGS, standby_of=cls.primary, **options)
        )
        cls.primary.psql(SCHEMA)
        # The map's bits of a copied database are not logged.
        cls.primary.psql("CREATE DATABASE copied STRATEGY wal_log")
        cls.primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) a; VACUUM t", "copied")
        cls.load.step(20)
        cls.catch_up()

    @classmethod
    def catch_up(cls, checkpoint=True):
        if checkpoint:
            cls.primary.psql("CHECKPOINT")
        lsn = cls.primary.wal_lsn()
        deadline = time.monotonic() + 120
        while cls.standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn") != "t":
            if time.monotonic() > deadline:
                raise TimeoutError(cls.standby.log())
            time.sleep(0.05)

    def wal(self, *clusters):
        """All WAL of the clusters in one directory."""
        target = os.path.join(self.primary.directory, "all_wal")
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target)
        for cluster in clusters:
            for path in pathlib.Path(cluster.wal).iterdir():
                if path.is_file():
                    shutil.copy(path, target)
        return target

    def check_undamaged(self, backup, wal, data=None):
        with self.subTest(backup=backup, data=data):
            against = ["--against", data] if data else []
            result = verify("--base-backup", backup, "--wal", wal, *against)
            self.assertEqual(result.returncode, 0, result.stdout[:6000] + result.stderr)
            report = json.loads(result.stdout)
            self.assertEqual(report["mismatches"], [])
            if data:
                self.assertGreater(report["backup"]["unchanged_compared"], 500)
            return report
        return None

    def test_all(self):
        """In the order of their lives, since each takes a while to make."""
        primary, standby = self.primary, self.standby
        of_primary = primary.basebackup("of_primary")
        self.catch_up()
        of_standby = standby.basebackup("of_standby")
        backups = (of_primary, of_standby)
        primary.psql("SELECT count(*) FROM seen; SELECT nextval('counted'); INSERT INTO fleeting VALUES (0)")
        self.load.step(30)
        self.catch_up()
        self.load.step(20)  # which the standby's next restartpoint does not have
        self.catch_up(checkpoint=False)
        later = standby.basebackup("later_of_standby")
        standby.stop()
        wal = self.wal(primary)
        for backup in backups:
            self.check_undamaged(backup, wal)
            for data in (standby.data, later):
                report = self.check_undamaged(backup, wal, data)
                self.assertGreater(report["compared"]["relation pages"], 10)
                self.assertGreater(report["skipped"]["changed after the standby's last restartpoint"], 10)
                maps = report["skipped"].get("visibility map of another server", 0)
                self.assertEqual(maps > 20, backup == of_primary, maps)
        self.check_damage(of_primary, wal, standby.data)

        standby.start()
        self.load.step(10)
        self.load.database()
        self.catch_up()
        middle = primary.psql("SELECT pg_current_wal_lsn()")
        self.load.step(10)
        self.catch_up(checkpoint=False)
        primary.stop()
        for backup in backups:
            self.check_undamaged(backup, self.wal(primary), primary.data)

        standby.promote()
        load = RandomWorkload.__new__(RandomWorkload)
        load.__dict__.update(self.load.__dict__, cluster=standby)
        load.step(20)
        standby.stop()
        for backup in backups:
            self.check_undamaged(backup, self.wal(primary, standby), standby.data)

        for backup in (self.oldest, of_primary):
            with self.subTest(restored=backup):
                self.check_restored(backup, backups, middle)

    def check_restored(self, backup, backups, target):
        copy = os.path.join(self.primary.directory, "restored")
        self.primary.run_as_server(["cp", "-a", backup, copy])
        self.primary.run_as_server(["touch", f"{copy}/recovery.signal"])
        settings = {
            **SETTINGS,
            "restore_command": f"cp {self.primary.wal}/%f %p",
            "recovery_target_lsn": target,
            "recovery_target_action": "promote",
            "recovery_target_timeline": "current",
        }
        with Cluster("restored", settings=settings, from_backup=copy, checksums=self.checksums,
                     version=self.version) as restored:  # fmt: skip
            deadline = time.monotonic() + 120
            while restored.psql("SELECT pg_is_in_recovery()") == "t":
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            restored.psql("SELECT count(*) FROM seen; CREATE TABLE more AS SELECT 1; VACUUM")
            restored.psql("VACUUM", "copied")
            restored.psql("DELETE FROM t WHERE a % 7 = 0", "copied")
            restored.stop()
            wal = self.wal(self.primary, restored)
            for other in backups:
                self.check_undamaged(other, wal, restored.data)

    def check_damage(self, backup, wal, data):
        """A byte of a page that WAL does not change, on the standby."""
        name = self.standby_path
        path = pathlib.Path(data, name)
        content = path.read_bytes()
        path.write_bytes(content[:8100] + b"\xde\xad" + content[8102:])
        result = verify("--base-backup", backup, "--wal", wal, "--against", data)
        self.assertEqual(result.returncode, 1, result.stderr)
        (mismatch,) = json.loads(result.stdout)["mismatches"]
        self.assertEqual((mismatch["file"], mismatch["block"]), (name, 0))
        path.write_bytes(content)

    @property
    def standby_path(self):
        return self.primary.psql("SELECT pg_relation_filepath('points')")


def load_tests(loader, _tests, pattern):
    """On each server, with and without checksums."""
    del pattern
    suite = unittest.TestSuite()
    seeds = lambda version: (7, 8, 9, 10) if LONG and version == major() else (7,)
    for case in cases_of_each_server(globals(), [Standby], seeds):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
