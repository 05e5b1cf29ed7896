"""neon-redo restore: a base backup rolled forward to a point, and a server that recovers the rest by itself, beside
PostgreSQL's own recovery of the same backup to the same point. Both must have the same content.
"""

import json
import os
import pathlib
import re
import shutil
import time
import unittest

import workload
from cluster import (
    START_TIMEOUT,
    Cluster,
    copy_module,
    make_directory,
    run,
    run_neon_redo,
    server_user,
    servers,
)

ROWS = 600

# The server takes its WAL from nowhere else, and leaves nothing out.
SETTINGS = {
    **workload.SETTINGS,
    "archive_mode": "on",
    "autovacuum": "off",
    "wal_log_hints": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1d",
    "allow_in_place_tablespaces": "on",
}
# Of a server that was restored: it archives nothing.
RESTORED = {"archive_mode": "off", "archive_command": "", "log_min_messages": "info"}


def own(*paths):
    """The server's user gets what root has written."""
    if user := server_user():
        run(["chown", "-R", "-h", f"{user}:", *paths])


def restore(*arguments, check=True):
    environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
    return run_neon_redo("restore", "--no-progress", "--no-sync", *arguments, check=check, env=environment)


class Restored(Cluster):
    """A server on a directory that is there, and is moved into the cluster's."""

    def await_end_of_recovery(self):
        deadline = time.monotonic() + START_TIMEOUT
        while self.psql("SELECT pg_is_in_recovery()") != "f":
            if time.monotonic() > deadline:
                raise TimeoutError(f"still in recovery:\n{self.log()}")
            time.sleep(0.02)

    def content(self, program="pg_dumpall"):
        """What pg_dumpall says, without what differs by chance."""
        text = self.run_as_server([self.program(program), "--no-role-passwords"]).stdout
        text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)
        return re.sub(r"LOCATION '.*'", "LOCATION", text)


class RestoreCase(unittest.TestCase):
    version = None

    @classmethod
    def setUpClass(cls):
        if not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        cls.module = copy_module(f"{cls.directory}/module", cls.version)
        cls.archive = f"{cls.directory}/archive"
        os.mkdir(cls.archive)
        own(cls.archive)
        cls.restored = 0

    @classmethod
    def cluster(cls, **settings):
        archive = {"archive_command": f"test ! -f {cls.archive}/%f && cp %p {cls.archive}/%f"}
        return Cluster(version=cls.version, settings={**SETTINGS, **archive, **settings})

    def restore(self, backup, to, *arguments, mapping=None, check=True, wal=None):
        """Returns the directory, and what the command said."""
        type(self).restored += 1
        output = f"{self.directory}/restored{self.restored}"
        for old, new in (mapping or {}).items():
            arguments += (f"--tablespace-mapping={old}={new}",)
        result = restore("--base-backup", backup, "--wal", wal or self.archive, "--to", to, "--output",
                         output, "--module", self.module, "--format", "json", "--jobs", "2",
                         *arguments, check=check)  # fmt: skip
        if result.returncode == 0:
            own(output, *(mapping or {}).values())
        return output, result

    def recovered(self, backup, settings, mapping=None):
        """The same by PostgreSQL's own recovery: a copy of the backup that is yet to be started."""
        type(self).restored += 1
        output = f"{self.directory}/recovered{self.restored}"
        shutil.copytree(backup, output, symlinks=True)
        for link in pathlib.Path(output, "pg_tblspc").iterdir():
            if link.is_symlink():
                target = f"{output}.{link.name}"
                shutil.copytree(os.readlink(link), target)
                own(target)
                link.unlink()
                link.symlink_to(target)
        tablespace_map = pathlib.Path(output, "tablespace_map")
        if tablespace_map.exists():
            lines = [f"{link.name} {os.readlink(link)}\n" for link in pathlib.Path(output, "pg_tblspc").iterdir()
                     if link.is_symlink()]  # fmt: skip
            tablespace_map.write_text("".join(lines), "utf-8")
        pathlib.Path(output, "recovery.signal").touch()
        with open(f"{output}/postgresql.auto.conf", "a", encoding="utf-8") as file:
            file.write(f"restore_command = 'cp {self.archive}/%f \"%p\"'\n")
            for name, value in {"recovery_target_action": "promote", **settings}.items():
                file.write(f"{name} = '{value}'\n")
        own(output)
        return output

    def archive_all(self, cluster):
        """The archive has all WAL until now."""
        segment = cluster.psql("SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + START_TIMEOUT
        while cluster.psql("SELECT last_archived_wal FROM pg_stat_archiver") < segment:
            if time.monotonic() > deadline:
                raise TimeoutError(cluster.log())
            time.sleep(0.02)

    def server(self, directory, **settings):
        return Restored(version=self.version, from_backup=directory, settings={**RESTORED, **settings})

    def content_of(self, directory, check=True):
        """Starts a server, says what it has, and looks at all of it."""
        with self.server(directory) as server:
            server.await_end_of_recovery()
            content = server.content()
            if check:
                server.run_as_server([server.program("pg_amcheck"), "--all", "--heapallindexed",
                                      "--install-missing"])  # fmt: skip
            log = server.log()
            server.stop()
            if check:
                server.run_as_server([server.program("pg_checksums"), "--check", "-D", server.data])
            return content, log

    def compare(self, backup, to, settings, *arguments, mapping=None, check=True):
        """Both ways to the same point."""
        output, result = self.restore(backup, to, *arguments, mapping=mapping)
        ours, log = self.content_of(output, check)
        theirs, _ = self.content_of(self.recovered(backup, settings, mapping), False)
        self.assertEqual(ours, theirs)
        return json.loads(result.stdout), log


class Mixed(RestoreCase):
    """The mixed workload, with checkpoints between its rounds, tablespaces and databases made and dropped."""

    def test_latest_and_an_lsn(self):
        with self.cluster() as cluster:
            workload.prepare(cluster, ROWS)
            backup = workload.basebackup(cluster)
            workload.run(cluster, ROWS, rounds=workload.ROUNDS[:2])
            cluster.psql("CHECKPOINT; CREATE TABLE last_words AS SELECT 1 a")
            lsn = cluster.wal_lsn()
            cluster.psql("INSERT INTO last_words VALUES (2); DROP TABLE pgbench_accounts CASCADE; CHECKPOINT")
            cluster.psql("INSERT INTO last_words VALUES (3); SELECT pg_switch_wal()")
            cluster.stop()
            space = f"{cluster.directory}/backup.workload_space"
            for to, settings in (("latest", {}), (lsn, {"recovery_target_lsn": lsn})):
                with self.subTest(to=to):
                    mapping = {space: f"{self.directory}/space_to_{to.replace('/', '_')}"}
                    report, log = self.compare(backup, to, settings, mapping=mapping)
                    self.assertIsNotNone(report["checkpoint_lsn"])
                    self.assertGreater(report["pages_written"], 100)
                    self.assertIn(f"redo starts at {report['redo_lsn']}", log)


class Small(RestoreCase):
    """One cluster with little in it, and all ways to its points."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.primary = cls.enterClassContext(cls.cluster())
        cls.primary.psql("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE u (a int)")
        cls.backup = cls.primary.basebackup()
        cls.primary.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 5000) g; CHECKPOINT")

    def test_targets(self):
        """Each is between two rows of its own."""
        primary = self.primary
        primary.psql("INSERT INTO u VALUES (1)")
        xid = primary.psql("BEGIN; INSERT INTO u VALUES (2) RETURNING pg_current_xact_id(); COMMIT").split()[0]
        primary.psql("BEGIN; INSERT INTO u VALUES (3); PREPARE TRANSACTION 'p'")
        prepared = primary.psql("SELECT transaction FROM pg_prepared_xacts")
        primary.psql("COMMIT PREPARED 'p'")
        primary.psql("SELECT pg_create_restore_point('named'); INSERT INTO u VALUES (4)")
        moment = primary.psql("SELECT clock_timestamp()")
        primary.psql("INSERT INTO u VALUES (5); CHECKPOINT; INSERT INTO u VALUES (6)")
        lsn = primary.wal_lsn()
        primary.psql("INSERT INTO u VALUES (7)")
        self.archive_all(primary)
        for to, arguments, last in (
            (xid, [], 2),
            (xid, ["--exclusive"], 1),
            (prepared, ["--exclusive"], 2),
            (f"xid:{prepared}", [], 3),
            ("named", [], 3),
            (moment, [], 4),
            (lsn, [], 7),
            (lsn, ["--exclusive"], 6),
            ("latest", [], 7),
        ):
            with self.subTest(to=to, arguments=arguments):
                output, result = self.restore(self.backup, to, *arguments)
                self.assertIsNotNone(json.loads(result.stdout)["checkpoint_lsn"])
                with self.server(output) as server:
                    server.await_end_of_recovery()
                    self.assertEqual(server.psql("SELECT max(a) FROM u"), str(last))
                    self.assertEqual(server.psql("SELECT count(*) FROM t"), "5000")


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for version in servers():
        for base in (Mixed, Small):
            name = f"{base.__name__}{version}"
            case = type(name, (base,), {"version": version, "__module__": __name__})
            globals()[name] = case
            suite.addTests(loader.loadTestsFromTestCase(case))
    return suite
