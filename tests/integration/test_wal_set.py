"""WAL from several directories as one, the data directory's own pg_wal, and replay up to a target."""

import json
import os
import pathlib
import re
import shlex
import shutil
import threading
import unittest

from cluster import Cluster, run_neon_redo
from test_verify import verify

SEGMENT = 1 << 20
ARCHIVING = {
    "archive_mode": "on",
    "wal_keep_size": "1GB",
    "max_wal_size": "2GB",
    "autovacuum": "off",
}


def archived_cluster(name, **options):
    """A cluster whose archive_command copies to DIRECTORY/archive, which is empty."""
    cluster = Cluster(name, settings=ARCHIVING, wal_segment_mb=1, start=False, **options)
    cluster.__enter__()
    archive = os.path.join(cluster.directory, "archive")
    cluster.run_as_server(["mkdir", archive])
    cluster.configure({"archive_command": f"cp %p {archive}/%f"})
    cluster.start()
    return cluster, archive


def fill(cluster, first, last):
    cluster.psql(
        f"INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series({first}, {last}) i;"
    )


def segments(directory):
    return sorted(name for name in os.listdir(directory) if len(name) == 24)


def set_up_archive(case, name, inserts):
    """Gives the class of tests a stopped cluster with its archive, and a backup before the inserts."""
    case.cluster, case.archive = archived_cluster(name)
    case.addClassCleanup(case.cluster.close)
    case.cluster.psql("CREATE TABLE t (i int PRIMARY KEY, filler text)")
    fill(case.cluster, -1000, -1)
    case.table = case.cluster.psql("SELECT pg_relation_filepath('t')").strip()
    case.backup = case.cluster.basebackup("backup", "--wal-method=none")
    for i in range(inserts):
        fill(case.cluster, i * 4000, i * 4000 + 3999)
    case.cluster.stop()


class Archive(unittest.TestCase):
    """An archive of archive_command, which never gets the segment of the shutdown checkpoint."""

    @classmethod
    def setUpClass(cls):
        set_up_archive(cls, "archived", inserts=5)
        cls.wal = cls.cluster.wal
        cls.archived = segments(cls.archive)[-1]

    def setUp(self):
        self.copies = os.path.join(self.cluster.directory, self.id())
        os.mkdir(self.copies)
        self.addCleanup(shutil.rmtree, self.copies)

    def copy(self, name, directory):
        target = os.path.join(self.copies, name)
        shutil.copytree(directory, target, ignore=shutil.ignore_patterns("archive_status", "summaries"))
        return pathlib.Path(target)

    def verify(self, status, *arguments, against=True):
        own = ["--against", self.cluster.data] if against else []
        result = verify(
            self.cluster, "--base-backup", self.backup, *own, "--format=json", *arguments
        )
        self.assertEqual(result.returncode, status, result.stdout[-3000:] + result.stderr)
        return json.loads(result.stdout) if status != 2 else result.stderr

    def dump(self, *directories):
        arguments = [f"--wal={directory}" for directory in directories]
        return run_neon_redo("waldump", *arguments, f"--from={self.start()}")

    def start(self):
        label = pathlib.Path(self.backup, "backup_label").read_text("utf-8")
        return label.split("START WAL LOCATION: ")[1].split(" ")[0]

    def test_the_shutdown_checkpoint_is_in_pg_wal(self):
        self.assertNotEqual(self.archived, segments(self.wal)[-1])
        report = self.verify(0, "--wal", self.archive)
        self.assertEqual(report["wal_directories"], [self.archive, self.wal])
        self.assertIn("shutdown checkpoint", report["end_reason"])
        self.assertEqual(report["wal_notes"], [])
        self.assertEqual(report["coverage"]["pages_changed_by_wal"], "compared")
        self.assertEqual(report["timeline"], 1)
        self.assertIsNotNone(report["last_transaction"])
        text = verify(
            self.cluster,
            *["--base-backup", self.backup, "--wal", self.archive, "--against", self.cluster.data],
        ).stdout
        for line in ("End: the shutdown checkpoint", "Read from: ", "Covered: all files of"):
            self.assertIn("\n" + line, text)

    def test_commands_name_the_wal_that_was_read(self):
        archive = self.copy("archive", self.archive)
        victim = archive / segments(archive)[-2]
        victim.write_bytes(victim.read_bytes()[: SEGMENT // 2])
        data = self.copy("data", self.cluster.data)
        shutil.copytree(self.wal, data / "pg_wal", dirs_exist_ok=True)
        with open(data / self.table, "r+b") as file:
            file.seek(8100)
            file.write(b"\xa5\x5a")
        options = ["--base-backup", self.backup, "--wal", archive, "--against", data]
        result = verify(self.cluster, *options)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        command = re.search(r"All records of a page: neon-redo (verify --explain .*)\n", result.stdout)[1]
        self.assertIn(f" --wal={archive} --wal={data}/pg_wal --base-backup=", command)
        # The segment of the first directory is cut short: without the second it could not be read.
        explained = run_neon_redo(*shlex.split(command))
        self.assertRegex(explained.stdout, "[0-9] changes of")
        self.assertIn(f'note: "{data}/pg_wal/{victim.name}" is read', explained.stderr)

    def test_pg_wal_on_another_disk(self):
        elsewhere = os.path.join(self.copies, "disk")
        shutil.move(self.wal, elsewhere)
        os.symlink(elsewhere, self.wal)

        def restore():
            os.remove(self.wal)
            shutil.move(elsewhere, self.wal)

        self.addCleanup(restore)
        self.verify(0, "--wal", self.archive)
        # The same directory by both its names.
        report = self.verify(0, "--wal", elsewhere)
        self.assertEqual(report["wal_notes"], [])

    def test_holes_are_filled(self):
        whole = self.verify(0, "--wal", self.wal)
        archive = self.copy("archive", self.archive)
        names = segments(archive)
        for name in names[-4:-1]:
            (archive / name).unlink()
        self.assertEqual(self.verify(0, "--wal", archive)["records"], whole["records"])
        # The reverse, and directories that have every second segment.
        own, first = self.copy("own", self.wal), self.copy("first", self.wal)
        for i, name in enumerate(segments(own)):
            ((own if i % 2 else first) / name).unlink()
        self.assertEqual(self.dump(own, first).stdout, self.dump(self.wal).stdout)
        self.assertEqual(self.dump(first, own).stdout, self.dump(self.wal).stdout)
        # One that nobody has is named.
        gone = segments(first)[-3]
        (first / gone).unlink()
        result = run_neon_redo("waldump", f"--wal={own}", f"--wal={first}", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(gone, result.stderr)

    def test_every_command_takes_several(self):
        archive = self.copy("archive", self.archive)
        tail = pathlib.Path(self.copies, "tail")
        tail.mkdir()
        for name in segments(archive)[-3:]:
            (archive / name).rename(tail / name)
        both = [f"--wal={archive}", f"--wal={tail}"]
        whole = [f"--wal={self.archive}"]
        start = f"--from={self.start()}"
        path = "base/1/1259/0"
        for command in (
            ["ingest", "--list", start],
            ["page", path, "--lsn=end", f"--base-backup={self.backup}", "--format=json"],
            ["waldump", start],
            ["verify", f"--explain={path}", f"--base-backup={self.backup}"],
        ):
            got = run_neon_redo(*command, *both, check=False)
            want = run_neon_redo(*command, *whole, check=False)
            self.assertEqual((got.returncode, got.stdout), (0, want.stdout), command)
        # STARTSEG in one of them, ENDSEG in another.
        names = [segments(archive)[-1], segments(tail)[1]]
        got = run_neon_redo("waldump", *both, *names).stdout
        self.assertEqual(got, run_neon_redo("waldump", *whole, *names).stdout)

    def test_the_better_copy_is_read(self):
        archive = self.copy("archive", self.archive)
        name = segments(archive)[-3]
        content = bytearray((archive / name).read_bytes())
        content[SEGMENT // 2 : SEGMENT // 2 + 100] = b"x" * 100
        (archive / name).write_bytes(content)
        report = self.verify(0, "--wal", archive)
        self.assertEqual(len(report["wal_notes"]), 1, report["wal_notes"])
        for part in (str(archive / name), os.path.join(self.wal, name), "is damaged at LSN"):
            self.assertIn(part, report["wal_notes"][0])
        result = self.dump(archive, self.wal)
        self.assertIn("is damaged at LSN", result.stderr)
        self.assertEqual(result.stdout, self.dump(self.wal).stdout)
        # A copy that archive_command left unfinished.
        (archive / name).write_bytes(content[: SEGMENT // 4])
        self.assertIn("is cut short", self.verify(0, "--wal", archive)["wal_notes"][0])
        (archive / name).write_bytes(b"")
        self.verify(0, "--wal", archive)
        # What follows a switch of segments is no WAL.
        shutil.copy(os.path.join(self.archive, name), archive)
        content = bytearray((archive / self.archived).read_bytes())
        content[-1] = 1
        (archive / self.archived).write_bytes(content)
        self.assertEqual(self.verify(0, "--wal", archive)["wal_notes"], [])

    def test_recycled_segments_are_no_wal(self):
        own = self.copy("own", self.wal)
        names = segments(own)
        later = f"{int(names[-1][16:], 16) + 1:08X}"
        shutil.copy(own / names[0], own / (names[-1][:16] + later))
        whole = self.dump(self.wal).stdout
        self.assertEqual(self.dump(self.archive, own).stdout, whole)

    def test_other_clusters_are_refused(self):
        with Cluster("other", wal_segment_mb=1) as other:
            other.stop()
            error = self.verify(2, f"--wal={self.archive}", f"--wal={other.wal}", against=False)
            for part in (self.archive, other.wal, "system identifiers"):
                self.assertIn(part, error)
        with Cluster("large", wal_segment_mb=2) as large:
            large.stop()
            result = run_neon_redo(
                "waldump", f"--wal={self.archive}", f"--wal={large.wal}", check=False
            )
            self.assertEqual(result.returncode, 2)
            for part in (self.archive, large.wal):
                self.assertIn(part, result.stderr)


class Promoted(unittest.TestCase):
    def test_the_timelines_of_pg_wal(self):
        """The archive ends on the old timeline; the promoted cluster's pg_wal has the new one."""
        cluster, archive = archived_cluster("primary")
        self.addCleanup(cluster.close)
        cluster.psql("CREATE TABLE t (i int PRIMARY KEY, filler text)")
        backup = cluster.basebackup("backup", "--wal-method=none")
        fill(cluster, 1, 9000)
        with Cluster("standby", settings=ARCHIVING | {"archive_mode": "off"}, standby_of=cluster) as standby:
            fill(cluster, 9001, 12000)
            cluster.stop()
            standby.promote()
            fill(standby, 12001, 15000)
            standby.stop()
            result = verify(
                standby,
                *["--base-backup", backup, "--wal", archive, "--against", standby.data],
                "--format=json",
            )
            self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
            self.assertEqual(json.loads(result.stdout)["timeline"], 2)


class Until(unittest.TestCase):
    """Replay ends where a server's recovery to the same target pauses."""

    @classmethod
    def setUpClass(cls):
        cls.cluster, cls.archive = archived_cluster("until")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.psql("CREATE TABLE t (i int PRIMARY KEY, filler text)")
        cls.cluster.psql("CREATE TABLE u (i int)")
        cls.before = cls.moment()
        # So that transactions end while the backup is taken.
        writer = threading.Thread(
            target=cls.cluster.psql,
            args=[
                "DO $$ BEGIN FOR i IN 1..150 LOOP INSERT INTO u VALUES (i); COMMIT;"
                " PERFORM pg_sleep(0.02); END LOOP; END $$"
            ],
        )
        writer.start()
        cls.backup = cls.cluster.basebackup("backup", "--wal-method=none")
        writer.join(60)
        fill(cls.cluster, 1, 5000)
        cls.time = cls.moment()
        cls.lsn = cls.cluster.wal_lsn()
        fill(cls.cluster, 5001, 9000)
        cls.cluster.psql("SELECT pg_switch_wal()")
        cls.cluster.stop()

    @classmethod
    def moment(cls):
        return cls.cluster.psql("SELECT pg_sleep(0.05); SELECT clock_timestamp()").strip()

    def verify(self, until, *arguments):
        return verify(
            self.cluster,
            *["--base-backup", self.backup, "--wal", self.archive, "--until", until, *arguments],
        )

    def recovery(self, target):
        """LSN and number of rows where recovery with these settings pauses."""
        data = os.path.join(self.cluster.directory, "restored")
        self.cluster.run_as_server(["cp", "-a", self.backup, data])
        self.cluster.run_as_server(["touch", os.path.join(data, "recovery.signal")])
        settings = {"restore_command": f"cp {self.archive}/%f %p", "archive_mode": "off", **target}
        with Cluster("restored", settings=settings, from_backup=data) as restored:
            restored.psql(
                "DO $$ BEGIN FOR i IN 1..600 LOOP EXIT WHEN pg_get_wal_replay_pause_state() = 'paused';"
                " PERFORM pg_sleep(0.1); END LOOP; END $$"
            )
            self.assertEqual(restored.psql("SELECT pg_get_wal_replay_pause_state()"), "paused")
            return restored.psql("SELECT pg_last_wal_replay_lsn(), count(*) FROM t").split("|")

    def check(self, until, target):
        lsn, rows = self.recovery(target)
        self.assertEqual(rows, "5000")
        result = self.verify(until, "--format=json")
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["end_lsn"], lsn)
        self.assertEqual(report["coverage"]["until"], until)
        self.assertGreater(report["pages_replayed"], 100)
        return report

    def test_time(self):
        report = self.check(self.time, {"recovery_target_time": self.time})
        self.assertIn("the next transaction ended at", report["end_reason"])

    def test_lsn(self):
        report = self.check(self.lsn, {"recovery_target_lsn": self.lsn})
        self.assertIn(f"the target {self.lsn} was reached", report["end_reason"])

    def test_targets_that_recovery_cannot_reach(self):
        for until, text in (
            ("2099-01-01 00:00", "does not reach it: the last transaction in it ended at"),
            ("FF/0", "does not reach it"),
            (self.before, "before the end of the backup"),
            ("0/100028", "before the end of the backup"),
        ):
            result = self.verify(until)
            self.assertEqual(result.returncode, 2, until + result.stdout + result.stderr)
            self.assertIn(text, result.stderr)
        result = self.verify("yesterday")
        self.assertEqual(result.returncode, 2)
        self.assertIn("it must be an LSN", result.stderr)
        result = self.verify(self.lsn, "--against", self.cluster.data)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--until ends replay before", result.stderr)


if __name__ == "__main__":
    unittest.main()
