"""neon-redo restore: a base backup rolled forward to a point, and a server that recovers the rest by itself, beside
PostgreSQL's own recovery of the same backup to the same point. Both must have the same content.
"""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import time
import unittest

import workload
from cluster import (
    START_TIMEOUT,
    Cluster,
    copy_module,
    make_directory,
    neon_redo_program,
    run,
    run_neon_redo,
    server_program,
    server_user,
    servers,
)

LONG = os.environ.get("NEON_REDO_LONG")
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


SETTINGS_AGAIN = {"max_prepared_transactions": 10, "track_commit_timestamp": "on", "wal_level": "logical",
                  "allow_in_place_tablespaces": "on"}  # fmt: skip
CATALOG = {15: 202209061, 17: 202406281, 18: 202506291}


def check_pages(server):
    """By amcheck, and by their checksums: the server is stopped then."""
    server.run_as_server([server.program("pg_amcheck"), "--all", "--heapallindexed", "--install-missing"])
    server.stop()
    server.run_as_server([server.program("pg_checksums"), "--check", "-D", server.data])


def own(*paths):
    """The server's user gets what root has written."""
    if user := server_user():
        run(["chown", "-R", "-h", f"{user}:", *paths])


def restore(*arguments, check=True):
    environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
    return run_neon_redo("restore", "--no-progress", "--no-sync", *arguments, check=check, env=environment)


def content_of(server):
    """What pg_dumpall says, without what differs by chance."""
    text = server.run_as_server([server.program("pg_dumpall"), "--no-role-passwords"]).stdout
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)
    return re.sub(r"LOCATION '.*'", "LOCATION", text)


def damage(path):
    """A byte of the first page."""
    with open(path, "r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))


class Restored(Cluster):
    """A server on a directory that is there, and is moved into the cluster's."""

    def await_end_of_recovery(self):
        deadline = time.monotonic() + START_TIMEOUT
        while self.psql("SELECT pg_is_in_recovery()") != "f":
            if time.monotonic() > deadline:
                raise TimeoutError(f"still in recovery:\n{self.log()}")
            time.sleep(0.02)


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
            places = json.loads(result.stdout)["tablespaces"].values()
            own(output, *(place for place in places if os.path.exists(place)))
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

    @staticmethod
    def archive_all(cluster):
        """The archive has all WAL until now."""
        segment = cluster.psql("SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + START_TIMEOUT
        while cluster.psql("SELECT last_archived_wal FROM pg_stat_archiver") < segment:
            if time.monotonic() > deadline:
                raise TimeoutError(cluster.log())
            time.sleep(0.02)

    def server(self, directory, **settings):
        return Restored(version=self.version, from_backup=directory, settings={**RESTORED, **settings})

    def contents(self, directory, check=True):
        """Starts a server, says what it has, and looks at all of it."""
        with self.server(directory) as server:
            server.await_end_of_recovery()
            content = content_of(server)
            if check:
                server.run_as_server([server.program("pg_amcheck"), "--all", "--heapallindexed",
                                      "--install-missing"])  # fmt: skip
            log = server.log()
            server.stop()
            if check:
                server.run_as_server([server.program("pg_checksums"), "--check", "-D", server.data])
            return content, log

    def compare(self, backup, to, settings, *arguments, mapping=None, check=True, between=lambda: None):
        """Both ways to the same point."""
        output, result = self.restore(backup, to, *arguments, mapping=mapping)
        ours, log = self.contents(output, check)
        between()
        theirs, _ = self.contents(self.recovered(backup, settings, mapping), False)
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
            targets = [("latest", {}), (lsn, {"recovery_target_lsn": lsn})]
            for to, settings in targets if LONG else targets[:1]:
                with self.subTest(to=to):
                    mapping = {space: f"{self.directory}/space_to_{to.replace('/', '_')}"}
                    report, log = self.compare(backup, to, settings, mapping=mapping, check=to == "latest")
                    self.assertIsNotNone(report["checkpoint_lsn"])
                    self.assertGreater(report["pages_written"], 100)
                    self.assertIn(f"redo starts at {report['redo_lsn']}", log)


    def random_targets(self):
        """LSNs anywhere in the WAL of a running workload with checkpoints."""
        with self.cluster() as cluster:
            workload.prepare(cluster, ROWS)
            backup = workload.basebackup(cluster)
            begin = cluster.wal_lsn()
            workload.run(cluster, ROWS, rounds=workload.ROUNDS[:2])
            end = cluster.wal_lsn()
            cluster.psql("CHECKPOINT")
            self.archive_all(cluster)
            cluster.stop()

            def clear():
                """Tablespaces that WAL makes go to the same place both ways."""
                for place in pathlib.Path(cluster.directory).glob("space.*/*"):
                    shutil.rmtree(place)

            random.seed(self.version)
            first, last = (int("".join(part.zfill(8) for part in lsn.split("/")), 16) for lsn in (begin, end))
            space = f"{cluster.directory}/backup.workload_space"
            for number in range(20):
                at = random.randrange(first, last)
                lsn = f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"
                with self.subTest(lsn=lsn):
                    mapping = {space: f"{self.directory}/space_{number}"}
                    clear()
                    self.compare(backup, lsn, {"recovery_target_lsn": lsn}, mapping=mapping, between=clear)
                for path in pathlib.Path(self.directory).glob("rec*"):
                    shutil.rmtree(path)
                for path in pathlib.Path(self.directory).glob("space_*"):
                    shutil.rmtree(path)


if LONG:
    Mixed.test_random_targets = Mixed.random_targets


class Small(RestoreCase):
    """One cluster with little in it, and all ways to its points."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.primary = cls.enterClassContext(cls.cluster())
        cls.primary.psql("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE v AS SELECT 1 a")
        cls.backup = cls.primary.basebackup()
        cls.primary.psql("UPDATE v SET a = 2; INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 5000) g; CHECKPOINT")

    def test_targets(self):
        """Each is between two rows of its own."""
        primary = self.primary
        primary.psql("CREATE TABLE u (a int); INSERT INTO u VALUES (1)")
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
            (xid, ["--exclusive"], 1),
            (f"xid:{prepared}", [], 3),
            ("named", [], 3),
            (moment, [], 4),
            (lsn, ["--exclusive"], 6),
        ):
            with self.subTest(to=to, arguments=arguments):
                output, result = self.restore(self.backup, to, *arguments)
                self.assertIsNotNone(json.loads(result.stdout)["checkpoint_lsn"])
                with self.server(output) as server:
                    server.await_end_of_recovery()
                    self.assertEqual(server.psql("SELECT max(a) FROM u"), str(last))
                    self.assertEqual(server.psql("SELECT count(*) FROM t"), "5000")
        self.refusals(lsn)
        self.damaged_pages()

    def refusals(self, lsn):
        """What cannot be is refused before anything is written, and the last point is named."""
        for to, words in (
            ("never", "does not reach it"),
            ("99999999", "does not reach it"),
            ("F/0", "does not reach it"),
            ("0/1", "before the end of the backup"),
        ):
            output, result = self.restore(self.backup, to, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            if "reach" in words:
                self.assertRegex(result.stderr, r"the last point that can be reached is [0-9A-F/]+, whose last "
                                                r"transaction ended at ")  # fmt: skip
            self.assertFalse(os.path.exists(output))
        gap = f"{self.directory}/gap"
        shutil.copytree(self.archive, gap)
        first = re.search(r"file (\w+)", pathlib.Path(self.backup, "backup_label").read_text("utf-8"))[1]
        names = sorted(name for name in os.listdir(gap) if len(name) == 24 and name > first)
        os.unlink(f"{gap}/{names[0]}")
        output, result = self.restore(self.backup, lsn, check=False, wal=gap)
        self.assertEqual(result.returncode, 2)
        self.assertIn(names[0], result.stderr)
        self.assertIn("the last point that can be reached is ", result.stderr)
        self.assertFalse(os.path.exists(output))
        # A directory that holds something.
        output, result = self.restore(self.backup, "latest", "--output", self.archive, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("is not empty", result.stderr)


    def damaged_pages(self):
        """One that WAL makes whole, as a torn one is, and one that it does not."""
        damaged = f"{self.directory}/damaged"
        shutil.copytree(self.backup, damaged)
        path = self.primary.psql("SELECT pg_relation_filepath('v')")
        damage(f"{damaged}/{path}")
        output, result = self.restore(damaged, "latest")
        self.assertEqual(json.loads(result.stdout)["pages_made_good"], 1)
        with self.server(output) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT * FROM v"), "2")
        damage(f"{damaged}/base/1/1259")
        output, result = self.restore(damaged, "latest", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("has 1 damaged pages that WAL does not make whole: block 0 of base/1/1259;", result.stderr)
        self.assertFalse(os.path.exists(f"{output}/global/pg_control"))


class Special(RestoreCase):
    """What WAL has beside pages."""

    SPACE_SQL = """
CREATE TABLESPACE inside LOCATION '';
CREATE TABLE in_place (a int) TABLESPACE inside;
INSERT INTO in_place SELECT generate_series(1, 1000);
CREATE TABLESPACE later LOCATION '{0}/later';
CREATE TABLE spaced (a int PRIMARY KEY) TABLESPACE later;
INSERT INTO spaced SELECT generate_series(1, 1000);
"""

    def test_all(self):
        with self.cluster() as cluster:
            cluster.run_as_server(["mkdir", f"{cluster.directory}/later"])
            self.before(cluster)
            backup = cluster.basebackup()
            self.meanwhile(cluster)
            # Open at the checkpoint, and one that ends after it.
            cluster.psql("BEGIN; INSERT INTO t VALUES (-1, 'p'); PREPARE TRANSACTION 'stays'")
            cluster.psql("BEGIN; INSERT INTO t VALUES (-2, 'q'); PREPARE TRANSACTION 'ends'")
            cluster.psql("CHECKPOINT")
            cluster.psql("COMMIT PREPARED 'ends'; INSERT INTO t VALUES (-3, 'after')")
            cluster.psql("BEGIN; INSERT INTO t VALUES (-4, 'r'); PREPARE TRANSACTION 'new'")
            self.archive_all(cluster)
            mapping = {f"{cluster.directory}/later": f"{self.directory}/mapped"}
            self.refused_places(cluster, backup)
            result = restore("--in-place", "--base-backup", backup, "--wal", self.archive, "--tablespace-mapping",
                             f"{cluster.directory}/later={self.directory}/mapped", check=False)  # fmt: skip
            self.assertIn("which cannot be done in place: give --output", result.stderr)
            output, result = self.restore(backup, "latest", mapping=mapping)
            with self.server(output, **SETTINGS_AGAIN) as server:
                server.await_end_of_recovery()
                ours = self.look(server)
                log = server.log()
                server.run_as_server([server.program("pg_amcheck"), "--all", "--heapallindexed",
                                      "--install-missing"])  # fmt: skip
                server.stop()
                server.run_as_server([server.program("pg_checksums"), "--check", "-D", server.data])
            self.assertEqual(ours, self.look(cluster))
            self.assertIn(f"redo starts at {json.loads(result.stdout)['redo_lsn']}", log)
            self.assertEqual(os.listdir(f"{self.directory}/mapped"), [f"PG_{self.version}_{CATALOG[self.version]}"])

    def refused_places(self, cluster, backup):
        """A tablespace never goes to where one lies."""
        later = f"{cluster.directory}/later"
        for mapping, words in (
            ({}, f'cannot go to "{later}": directory "{later}" is not empty'),
            ({later: self.archive}, f'directory "{self.archive}" is not empty'),
            ({"/nowhere": "/elsewhere"}, f'cannot go to "{later}"'),
            ({later: f"{self.directory}/mapped", "/nowhere": "/elsewhere"}, 'no tablespace was at "/nowhere"'),
        ):
            output, result = self.restore(backup, "latest", mapping=mapping, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            self.assertFalse(os.path.exists(output))

    def before(self, cluster):
        cluster.psql("""
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 3000) g;
CREATE TABLE cut (a int, b text);
INSERT INTO cut SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g;
DELETE FROM cut WHERE a % 2 = 0;
VACUUM cut;
CREATE UNLOGGED TABLE fleeting (a int PRIMARY KEY);
INSERT INTO fleeting VALUES (1);
CREATE DATABASE template;
CREATE TABLE locked (a int PRIMARY KEY);
INSERT INTO locked SELECT generate_series(1, 100);
SELECT pg_replication_origin_create('kept'), pg_replication_origin_create('gone');
SELECT pg_replication_origin_advance('gone', '0/123');
""")
        cluster.psql("CREATE TABLE in_template AS SELECT g a FROM generate_series(1, 100) g", "template")

    def meanwhile(self, cluster):
        cluster.psql("UPDATE in_template SET a = a + 1000; CREATE TABLE more AS SELECT 1 a", "template")
        cluster.psql("CREATE DATABASE copied TEMPLATE template STRATEGY file_copy")
        # The template goes on, and the copy too.
        cluster.psql("UPDATE in_template SET a = -a; DROP TABLE more", "template")
        cluster.psql("INSERT INTO in_template VALUES (7)", "copied")
        cluster.psql("CREATE DATABASE logged TEMPLATE template STRATEGY wal_log")
        cluster.psql(self.SPACE_SQL.format(cluster.directory))
        cluster.psql("ALTER DATABASE logged SET TABLESPACE later")
        cluster.psql("""
DELETE FROM cut WHERE a > 1000;
VACUUM cut;
CREATE UNLOGGED TABLE new_fleeting (a int PRIMARY KEY);
SELECT pg_replication_origin_drop('gone');
SELECT pg_replication_origin_session_setup('kept');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/456', now());
INSERT INTO t VALUES (0, 'of another');
COMMIT;
""")
        for switch in ("off", "on"):
            cluster.configure({"track_commit_timestamp": switch})
            cluster.restart()
            cluster.psql(f"INSERT INTO t VALUES ({-10 if switch == 'on' else -11}, '{switch}')")
        for _ in range(3):
            cluster.psql("BEGIN; SELECT count(*) FROM (SELECT * FROM locked FOR SHARE) l; SAVEPOINT s;"
                         "SELECT count(*) FROM (SELECT * FROM locked FOR UPDATE) l; COMMIT")  # fmt: skip
        cluster.psql("TRUNCATE fleeting; VACUUM FREEZE t; SELECT count(*) FROM t")

    def look(self, server):
        """All that must be equal."""
        rows = [content_of(server)]
        rows.append(server.psql("SELECT gid FROM pg_prepared_xacts ORDER BY 1"))
        rows.append(server.psql("SELECT external_id, remote_lsn FROM pg_replication_origin_status"))
        rows.append(server.psql("SELECT a, pg_xact_commit_timestamp(xmin) FROM t WHERE a < 1 ORDER BY 1"))
        rows.append(server.psql("SELECT count(*), sum(a) FROM in_template", "copied"))
        # The free space map promises nothing after the end.
        rows.append(server.psql("CREATE EXTENSION IF NOT EXISTS pg_freespacemap; SELECT count(*) FROM "
                                "pg_freespace('cut') WHERE avail > 0 AND blkno >= pg_relation_size('cut') / 8192"))
        server.psql("BEGIN; INSERT INTO cut SELECT g, repeat('y', 400) FROM generate_series(1, 2000) g; ROLLBACK")
        server.psql("COMMIT PREPARED 'stays'; COMMIT PREPARED 'new'")
        rows.append(server.psql("SELECT * FROM t WHERE a < 1 ORDER BY 1"))
        rows.append(server.psql("SELECT pg_relation_filepath('new_fleeting') IS NOT NULL, count(*) FROM new_fleeting"))
        return rows


class Ways(RestoreCase):
    """Other bases, archives and histories."""

    def test_all(self):
        with self.cluster() as primary:
            primary.psql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
            backup = primary.basebackup()
            tar = primary.basebackup("tar", "--format=tar", "--gzip")
            with Cluster("standby", standby_of=primary, version=self.version, settings=SETTINGS) as standby:
                of_standby = self.back_up_standby(primary, standby)
                primary.psql("INSERT INTO t VALUES (1001); CHECKPOINT; INSERT INTO t VALUES (1002)")
                self.archive_all(primary)
                primary.stop()
                self.check(of_standby, "latest", 1002)
                self.check(tar, "latest", 1002)
                self.check(backup, "latest", 1002, "--quick", "--engine", "native", "--jobs", "1")
                self.by_a_command(backup)
                self.in_place(backup)
                self.delta(backup)
                self.packed_archive(backup)
                # Another timeline.
                standby.psql("ALTER SYSTEM SET archive_command = "
                             f"'test ! -f {self.archive}/%f && cp %p {self.archive}/%f'")  # fmt: skip
                standby.psql("SELECT pg_reload_conf()")
                standby.promote()
                standby.psql("INSERT INTO t VALUES (1003); CHECKPOINT; INSERT INTO t VALUES (1004)")
                self.archive_all(standby)
            report = self.check(backup, "latest", 1004)
            self.assertEqual(report["timeline"], 2)
            self.assertEqual(self.check(backup, "latest", 1002, "--timeline", "1")["timeline"], 1)
            self.copy_of_a_stopped_cluster(primary)
            self.no_checkpoint(primary)
            self.minimal(primary)

    def check(self, backup, to, last, *arguments, wal=None):
        output, result = self.restore(backup, to, *arguments, wal=wal)
        with self.server(output) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT max(a) FROM t"), str(last))
        report = json.loads(result.stdout)
        self.assertIsNotNone(report["checkpoint_lsn"])
        return report

    def back_up_standby(self, primary, standby):
        """A restartpoint, and a backup whose end no record says."""
        primary.psql("UPDATE t SET a = a WHERE a < 100; CHECKPOINT")
        lsn = primary.wal_lsn()
        deadline = time.monotonic() + START_TIMEOUT
        while standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn") != "t":
            if time.monotonic() > deadline:
                raise TimeoutError(standby.log())
            time.sleep(0.02)
        return standby.basebackup("of_standby")

    def delta(self, backup):
        """Over a cluster that has lost something, and has something that it should not have."""
        output, first = self.restore(backup, "latest")
        with self.server(output) as server:
            server.await_end_of_recovery()
            server.psql("CREATE TABLE of_its_own AS SELECT generate_series(1, 1000); CREATE DATABASE own")
            arguments = ["--delta", "--output", server.data, "--base-backup", backup, "--wal", self.archive,
                         "--module", self.module]  # fmt: skip
            refused = restore(*arguments, check=False)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("runs on", refused.stderr)
            server.stop()
            for lies, option in ((f"{server.data}/pg_wal", ["--wal"]), (server.data, ["--base-backup"])):
                refused = restore(*arguments, *option, lies, check=False)
                self.assertEqual(refused.returncode, 2)
                self.assertTrue(os.path.exists(f"{server.data}/global/pg_control"))
                if option == ["--wal"]:
                    self.assertIn("which is written over: copy it to another place", refused.stderr)
            itself = ["--delta", "--output", backup, "--base-backup", backup, "--wal", self.archive]
            refused = restore(*itself, "--module", self.module, check=False)
            self.assertIn("which is written over: copy it to another place", refused.stderr)
            damage(f"{server.data}/base/1/1259")
            os.unlink(f"{server.data}/base/1/1249")
            pathlib.Path(server.data, "base/1/999999").touch()
            result = restore(*arguments, "--format", "json")
            self.assertLess(json.loads(result.stdout)["bytes_copied"], json.loads(first.stdout)["bytes_copied"] / 4)
            self.assertFalse(os.path.exists(f"{server.data}/base/1/999999"))
            self.assertEqual(os.path.exists(f"{server.data}/base/1/1249"), True)
            own(server.data)
            # Its settings are the backup's again.
            server.configure({"listen_addresses": "", "unix_socket_directories": server.directory, **RESTORED})
            server.start()
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT max(a) FROM t"), "1002")
            self.assertEqual(server.psql("SELECT count(*) FROM pg_database"), "3")
            self.assertEqual(server.psql("SELECT to_regclass('of_its_own') IS NULL"), "t")
            check_pages(server)

    def in_place(self, backup):
        place = f"{self.directory}/in_place"
        shutil.copytree(backup, place)
        own(place)
        result = restore("--in-place", "--base-backup", place, "--wal", self.archive, "--module", self.module)
        self.assertIn(f"Start the server, as the user that owns the files:\n  pg_ctl start -D {place}", result.stdout)
        self.assertFalse(os.path.exists(f"{place}/neon_redo.changes"))
        with self.server(place) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT max(a) FROM t"), "1002")
            check_pages(server)

    def by_a_command(self, backup):
        """What brings the WAL here brings it to the server, too."""
        output = f"{self.directory}/by_a_command"
        command = f'cp {self.archive}/%f "%p"'
        restore("--base-backup", backup, "--restore-command", command, "--output", output, "--module", self.module)
        own(output)
        self.assertIn(f"restore_command = '{command}'", pathlib.Path(output, "postgresql.auto.conf").read_text("utf-8"))
        with self.server(output) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT max(a) FROM t"), "1002")
        made = f"{self.directory}/made_by_a_command"
        restore("--base-backup", backup, "--restore-command", command, "--output", made, "--module", self.module,
                "--synthetic-backup")  # fmt: skip
        own(made)
        run([server_program("pg_verifybackup", self.version), made])

    def packed_archive(self, backup):
        """The server gets what it needs in pg_wal, and no command could bring it."""
        packed = f"{self.directory}/packed"
        shutil.copytree(self.archive, packed)
        run(["gzip", "-r", packed])
        report = self.check(backup, "latest", 1002, wal=packed)
        self.assertGreater(report["segments_copied"], 0)
        self.assertEqual(report["restore_command"], "false")

    def copy_of_a_stopped_cluster(self, primary):
        copy = f"{primary.directory}/copy"
        shutil.copytree(primary.data, copy)
        own(copy)
        self.check(copy, "latest", 1002, wal=f"{copy}/pg_wal")
        result = restore("--in-place", "--base-backup", copy, "--wal", f"{copy}/pg_wal", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("has no backup_label, as a cluster has none", result.stderr)

    def no_checkpoint(self, primary):
        """The server has to do it all, and does."""
        primary.start()
        primary.psql("BEGIN; INSERT INTO t VALUES (1999); PREPARE TRANSACTION 'before'; SELECT "
                     "pg_replication_origin_create('o'); SELECT pg_replication_origin_advance('o', '0/789')")
        backup = primary.basebackup("late")
        primary.psql("INSERT INTO t VALUES (2000)")
        primary.stop("immediate")
        output, result = self.restore(backup, "latest", wal=primary.wal)
        self.assertIsNone(json.loads(result.stdout)["checkpoint_lsn"])
        with self.server(output, **SETTINGS_AGAIN) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT max(a) FROM t"), "2000")
            self.assertEqual(server.psql("SELECT gid FROM pg_prepared_xacts"), "before")
            self.assertEqual(server.psql("SELECT remote_lsn FROM pg_replication_origin_status"), "0/789")

    def minimal(self, primary):
        primary.start()
        primary.psql("ROLLBACK PREPARED 'before'")
        primary.stop()
        primary.configure({"wal_level": "minimal", "max_wal_senders": 0, "archive_mode": "off"})
        primary.start()
        primary.psql("INSERT INTO t VALUES (3000)")
        primary.stop()
        for backup, words in (("late", "was written with wal_level=minimal"), ("data", "had wal_level=minimal")):
            output, result = self.restore(f"{primary.directory}/{backup}", "latest", wal=primary.wal, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            self.assertFalse(os.path.exists(output))


class Synthetic(RestoreCase):
    """New base backups made of older ones and the archive."""

    def test_a_chain(self):
        links = 50 if LONG else 2
        incremental = {"summarize_wal": "on"} if self.version >= 17 else {}
        with self.cluster(**incremental) as cluster:
            cluster.run_as_server(["mkdir", f"{cluster.directory}/space"])
            cluster.psql(f"CREATE TABLESPACE space LOCATION '{cluster.directory}/space'")
            cluster.psql("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE s (a int) TABLESPACE space;"
                         "CREATE TABLE fixed AS SELECT g a FROM generate_series(1, 1000) g")  # fmt: skip
            last = f"{cluster.directory}/space"
            first = f"{self.directory}/first_space"
            backup = cluster.basebackup("backup", f"--tablespace-mapping={last}={first}")
            last = first
            for number in range(links):
                cluster.psql(f"INSERT INTO t SELECT g, md5(g::text) FROM generate_series({number} * 1000 + 1, "
                             f"{number} * 1000 + 1000) g; INSERT INTO s VALUES ({number})")  # fmt: skip
                cluster.psql(f"BEGIN; INSERT INTO s VALUES ({number}); PREPARE TRANSACTION 'p{number}'; CHECKPOINT")
                if number > 0:
                    cluster.psql(f"ROLLBACK PREPARED 'p{number - 1}'")
                self.archive_all(cluster)
                place = f"{self.directory}/space{number}"
                backup, result = self.restore(backup, "latest", "--synthetic-backup", mapping={last: place})
                self.assertIsNone(json.loads(result.stdout)["start_command"])
                last = place
                cluster.run_as_server([cluster.program("pg_verifybackup"), backup])
            ours = f"{self.directory}/last_space"
            output, _ = self.restore(backup, "latest", mapping={last: ours})
            if incremental:
                self.combine(cluster, backup)
            with self.server(output, max_prepared_transactions=10) as server:
                server.await_end_of_recovery()
                server.psql(f"ROLLBACK PREPARED 'p{links - 1}'")
                content = content_of(server)
            cluster.psql(f"ROLLBACK PREPARED 'p{links - 1}'")
            self.assertEqual(content, content_of(cluster))
            cluster.stop()
            self.verify(backup, cluster)
            cluster.start()
            self.in_place(backup, cluster)

    def in_place(self, backup, cluster):
        """With its tablespace, where it is."""
        cluster.psql("INSERT INTO s SELECT generate_series(1, 5000); DELETE FROM t WHERE a < 100; VACUUM t; "
                     "DROP TABLE fixed; CHECKPOINT; INSERT INTO s VALUES (-5)")  # fmt: skip
        self.archive_all(cluster)
        restore("--in-place", "--base-backup", backup, "--wal", self.archive, "--module", self.module)
        with self.server(backup, max_prepared_transactions=10) as server:
            server.await_end_of_recovery()
            self.assertEqual(content_of(server), content_of(cluster))
            check_pages(server)

    def combine(self, cluster, backup):
        """PostgreSQL takes it as the backup that an incremental one builds upon."""
        cluster.psql("INSERT INTO t VALUES (-1, 'incremental')")
        later = cluster.basebackup("later", f"--incremental={backup}/backup_manifest",
                                   f"--tablespace-mapping={cluster.directory}/space={self.directory}/later_space")
        combined = f"{self.directory}/combined"
        cluster.run_as_server([cluster.program("pg_combinebackup"), "--output", combined,
                               f"--tablespace-mapping={self.directory}/later_space={self.directory}/combined_space",
                               backup, later])  # fmt: skip
        with self.server(combined, max_prepared_transactions=10) as server:
            self.assertEqual(server.psql("SELECT b FROM t WHERE a = -1"), "incremental")
            self.assertEqual(server.psql("SELECT count(*) FROM fixed"), "1000")
        # And so does this program, and makes a full one of both.
        cluster.psql("INSERT INTO t VALUES (-2, 'later'); CHECKPOINT")
        self.archive_all(cluster)
        full, _ = self.restore(backup, "latest", "--base-backup", later, "--synthetic-backup",
                               mapping={f"{self.directory}/later_space": f"{self.directory}/full_space"})  # fmt: skip
        cluster.run_as_server([cluster.program("pg_verifybackup"), full])
        with self.server(full, max_prepared_transactions=10, restore_command="false") as server:
            self.assertEqual(server.psql("SELECT count(*) FROM t WHERE a < 0"), "2")

    def verify(self, backup, cluster):
        environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
        result = run_neon_redo("verify", "--no-progress", "--base-backup", backup, "--wal", self.archive,
                               "--against", cluster.data, "--module", self.module, check=False,
                               env=environment)  # fmt: skip
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Interrupted(RestoreCase):
    """Whatever ends a restore: no server starts on what it leaves, and the same command again ends right."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.cluster() as primary:
            primary.psql("CREATE TABLE t (a int PRIMARY KEY, b text)")
            cls.backup = shutil.move(primary.basebackup(), f"{cls.directory}/backup")
            primary.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 30000) g; CHECKPOINT")
            primary.psql("INSERT INTO t VALUES (-1, 'last')")
            cls.archive_all(primary)

    def arguments(self, output):
        return ["--base-backup", self.backup, "--wal", self.archive, "--output", output, "--module", self.module]

    def check(self, output):
        own(output)
        with self.server(output) as server:
            server.await_end_of_recovery()
            self.assertEqual(server.psql("SELECT count(*), min(a) FROM t"), "30001|-1")

    def assert_incomplete(self, output):
        self.assertFalse(os.path.exists(f"{output}/global/pg_control"))

    def test_kills(self):
        output = f"{self.directory}/killed"
        began = time.monotonic()
        restore(*self.arguments(f"{self.directory}/whole"))
        takes = time.monotonic() - began
        random.seed(1)
        for _ in range(200 if LONG else 5):
            command = [neon_redo_program(), "restore", "--no-progress", "--no-sync", *self.arguments(output)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(random.uniform(0, takes))
                process.kill()
                # It may be complete, and not have said so yet.
                if process.wait() == 0 or os.path.exists(f"{output}/global/pg_control"):
                    shutil.rmtree(output)
                    continue
            self.assert_incomplete(output)
        restore(*self.arguments(output))
        # A directory that is complete is nobody's to write to.
        again = restore(*self.arguments(output), check=False)
        self.assertEqual(again.returncode, 2)
        self.assertIn("is not empty", again.stderr)
        self.check(output)

    def in_place(self, place):
        return ["--in-place", "--base-backup", place, "--wal", self.archive, "--module", self.module]

    def test_kills_in_place(self):
        """The backup is as it was, or no server starts; and the same command again ends it."""
        place = f"{self.directory}/place"
        shutil.copytree(self.backup, place)
        own(place)
        began = time.monotonic()
        restore(*self.in_place(place))
        takes = time.monotonic() - began
        random.seed(2)
        for _ in range(200 if LONG else 8):
            if not os.path.exists(f"{place}/backup_label") and not os.path.exists(f"{place}/neon_redo.changes"):
                shutil.rmtree(place)
                shutil.copytree(self.backup, place)
                own(place)
            command = [neon_redo_program(), "restore", "--no-progress", "--no-sync", *self.in_place(place)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(random.uniform(0, takes))
                process.kill()
            has_label = os.path.exists(f"{place}/backup_label")
            has_control = os.path.exists(f"{place}/global/pg_control")
            if not os.path.exists(f"{place}/neon_redo.changes/target") and has_label:
                self.assertTrue(has_control)
                self.assertFalse(os.path.exists(f"{place}/recovery.signal"))
            elif not has_label and has_control:
                self.assertTrue(os.path.exists(f"{place}/recovery.signal"))
        if os.path.exists(f"{place}/neon_redo.changes/target"):
            other = restore(*self.in_place(place), "--to", "742", check=False)
            self.assertIn("was interrupted: run it again with that target", other.stderr)
        if os.path.exists(f"{place}/backup_label") or os.path.exists(f"{place}/neon_redo.changes"):
            restore(*self.in_place(place))
        self.assertFalse(os.path.exists(f"{place}/neon_redo.changes"))
        self.check(place)

    @unittest.skipIf(os.geteuid() != 0, "only root can mount")
    def test_a_full_disk_and_one_that_cannot_be_written(self):
        place = f"{self.directory}/disk"
        os.mkdir(place)
        run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", place])
        self.addCleanup(run, ["umount", place])
        output = f"{place}/out"
        full = restore(*self.arguments(output), check=False)
        self.assertEqual(full.returncode, 2)
        self.assertIn("No space left on device; make room, then start again", full.stderr)
        self.assert_incomplete(output)
        run(["mount", "-o", "remount,ro", place])
        fixed = restore(*self.arguments(output), check=False)
        self.assertEqual(fixed.returncode, 2)
        self.assertIn("Read-only file system", fixed.stderr)
        run(["mount", "-o", "remount,rw,size=300m", place])
        restore(*self.arguments(output))
        self.assertTrue(os.path.exists(f"{output}/global/pg_control"))
        self.assertFalse(os.path.exists(f"{output}/neon_redo.restoring"))


def load_tests(loader, _tests, _pattern):
    """These on each server, and others on one each, since servers take their time; the long form: all on all."""
    versions = list(servers())
    others = {Interrupted: 0, Small: 1, Ways: 2}
    suite = unittest.TestSuite()
    for number, version in enumerate(versions):
        for base in (Mixed, Special, Synthetic, *others):
            if not LONG and base in others and others[base] % len(versions) != number:
                continue
            name = f"{base.__name__}{version}"
            case = type(name, (base,), {"version": version, "__module__": __name__})
            globals()[name] = case
            suite.addTests(loader.loadTestsFromTestCase(case))
    return suite
