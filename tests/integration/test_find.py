"""neon-redo find, and names of tables: what is found is what the server says, and recovery stops there."""

import contextlib
import json
import os
import pathlib
import time
import unittest

from cluster import Cluster, run_neon_redo, servers

SETTINGS = {
    "wal_keep_size": "1GB",
    "autovacuum": "off",
    "track_commit_timestamp": "on",
    "max_prepared_transactions": "4",
    "archive_mode": "off",
}
ROWS = 500
FULL = "x" * 1050  # seven such rows fill a page
LSN = "SELECT pg_current_wal_insert_lsn()"


def number(lsn):
    """An LSN as a number."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Found:
    """One cluster with all that is looked for."""

    version = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster = cls.enterClassContext(
            Cluster(settings=SETTINGS, version=cls.version, wal_segment_mb=1)
        )
        cls.index = os.path.join(cluster.directory, "index")
        cls.sql("CREATE DATABASE early STRATEGY wal_log")
        cls.backup = cluster.basebackup()
        cls.names = []  # LSN, database, name, path; without a path there is no such table then
        cls.make_names()
        cls.make_transactions()
        cls.make_lines()
        cls.drop()
        cluster.stop()
        cls.wal = cluster.wal

    @classmethod
    def sql(cls, text, dbname="postgres"):
        """The last line of what psql prints."""
        return cls.cluster.psql(text, dbname).split("\n")[-1]

    @classmethod
    def note(cls, name, dbname="postgres", there=True):
        path = cls.sql(f"SELECT pg_relation_filepath('{name}')", dbname) if there else None
        cls.names.append((cls.sql(LSN), dbname, name, path))

    @classmethod
    def make_names(cls):
        sql = cls.sql
        sql("CREATE SCHEMA s; CREATE TABLE first (a int PRIMARY KEY, b text); CHECKPOINT")
        for name in ("first", "public.first", "public.first_pkey", "pg_catalog.pg_class", "pg_database", "pg_proc"):
            cls.note(name)
        cls.note("nothing", there=False)
        sql("ALTER TABLE first RENAME TO second")
        cls.note("first", there=False)
        cls.note("public.second")
        sql("ALTER TABLE second SET SCHEMA s")
        cls.note("public.second", there=False)
        cls.note("s.second")
        sql("VACUUM FULL pg_class")
        cls.note("pg_class")
        cls.note("s.second")
        sql("VACUUM FULL s.second")
        cls.note("s.second")
        toast = sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'second'")
        cls.note(toast)
        for strategy in ("wal_log", "file_copy"):
            sql("CREATE TABLE of_template (a int)", "template1")
            sql(f"CREATE DATABASE of_{strategy} STRATEGY {strategy}")
            cls.note("of_template", f"of_{strategy}")
            sql("DROP TABLE of_template", "template1")
            cls.note("of_template", "template1", there=False)
            cls.note("of_template", f"of_{strategy}")
            sql("CREATE SEQUENCE counter", f"of_{strategy}")
            cls.note("public.counter", f"of_{strategy}")
        sql("BEGIN; CREATE TABLE aborted (); ROLLBACK")
        cls.note("aborted", there=False)
        lsn = cls.cluster.psql(f"BEGIN; CREATE TABLE opened (); {LSN}; SAVEPOINT a; CREATE TABLE nested (); COMMIT")
        cls.names.append((lsn, "postgres", "opened", None))
        cls.note("opened")
        cls.note("nested")
        sql("BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'p'")
        cls.note("prepared", there=False)
        sql("COMMIT PREPARED 'p'")
        cls.note("prepared")
        sql("CREATE TABLE parted (a int) PARTITION BY LIST (a)")

    @classmethod
    def make_transactions(cls):
        sql = cls.sql
        sql("CREATE TABLE counted (a int)")
        cls.counted = sql("SELECT pg_relation_filepath('counted')")
        cls.xids = [sql("INSERT INTO counted VALUES (1) RETURNING pg_current_xact_id()") for _ in range(5)]
        output = cls.cluster.psql(
            "BEGIN; INSERT INTO counted VALUES (2) RETURNING pg_current_xact_id();"
            " SAVEPOINT a; INSERT INTO counted VALUES (3) RETURNING xmin; COMMIT"
        )
        cls.top, cls.nested = output.split("\n")
        cls.aborted = cls.cluster.psql("BEGIN; INSERT INTO counted VALUES (9) RETURNING pg_current_xact_id(); ROLLBACK")
        cls.restore_point = sql("SELECT pg_create_restore_point('here it is')")
        sql("SELECT pg_create_restore_point('again'), pg_create_restore_point('again')")
        sql("CHECKPOINT")
        cls.checkpoint = sql("SELECT checkpoint_lsn FROM pg_control_checkpoint()")
        cls.redo = sql("SELECT redo_lsn FROM pg_control_checkpoint()")

    @classmethod
    def make_lines(cls):
        sql = cls.sql
        sql(f"CREATE TABLE lines (a int PRIMARY KEY, b text); ALTER TABLE lines ALTER b SET STORAGE plain;"
            f" INSERT INTO lines SELECT i, '{FULL}' FROM generate_series(1, 6) i")
        cls.lines = sql("SELECT pg_relation_filepath('lines')")
        cls.updated = sql("UPDATE lines SET b = b WHERE a = 1 RETURNING pg_current_xact_id()")
        sql("SELECT count(*) FROM lines")  # prunes
        cls.deleted = sql("DELETE FROM lines WHERE a = 2 RETURNING pg_current_xact_id()")
        cls.moved = sql("UPDATE lines SET a = 30 WHERE a = 3 RETURNING pg_current_xact_id()")
        sql("BEGIN; DELETE FROM lines WHERE a = 4; ROLLBACK")
        sql("CHECKPOINT")  # pages have images in the records of VACUUM
        sql("VACUUM (INDEX_CLEANUP on) lines")

    @classmethod
    def drop(cls):
        sql = cls.sql
        sql(f"CREATE TABLE s.dropped AS SELECT i AS a FROM generate_series(1, {ROWS}) i")
        cls.files = [sql("SELECT pg_relation_filepath('s.dropped')")]
        sql("INSERT INTO counted VALUES (4)")
        cls.before_truncate = sql("SELECT xmin FROM counted WHERE a = 4")
        cls.truncated = sql("BEGIN; TRUNCATE s.dropped; SELECT pg_current_xact_id(); COMMIT")
        cls.files.append(sql("SELECT pg_relation_filepath('s.dropped')"))
        sql(f"INSERT INTO s.dropped SELECT i FROM generate_series(1, {ROWS}) i")
        sql("ALTER TABLE s.dropped RENAME TO gone; BEGIN; DROP TABLE s.gone; ROLLBACK; INSERT INTO counted VALUES (5)")
        cls.before_drop = sql("SELECT xmin FROM counted WHERE a = 5")
        cls.dropper = cls.cluster.psql("BEGIN; DROP TABLE s.gone; SELECT pg_current_xact_id(); COMMIT")
        cls.in_early = sql("CREATE TABLE t (a int); SELECT pg_relation_filepath('t')", "early")
        sql("DROP DATABASE early")
        sql("CREATE DATABASE early STRATEGY wal_log")
        cls.times = {}
        for line in cls.cluster.psql(
            "SELECT x, pg_xact_commit_timestamp(x::text::xid) AT TIME ZONE 'UTC'"
            f" FROM generate_series({cls.xids[0]}, {cls.dropper}) x"
        ).split("\n"):
            xid, committed = line.split("|")
            if committed:
                cls.times[int(xid)] = committed

    def ask(self, command, *arguments, check=True, wal=None):
        return run_neon_redo(
            command, "--wal", wal or self.wal, "--index", self.index, *arguments, check=check,
            env={**os.environ, "TZ": "UTC"},
        )  # fmt: skip

    def find(self, *arguments, check=True, **options):
        result = self.ask("find", "--format=json", *arguments, check=check, **options)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def with_backup(self, *more):
        return ["--base-backup", self.backup, *more]

    def test_commit_times_are_those_of_the_server(self):
        found = {event["xid"]: event["time"] for event in self.find("--commits")}
        found[int(self.nested)] = found[int(self.top)]
        for xid, committed in self.times.items():
            # Trailing zeroes of the fraction are printed by one of the two only.
            self.assertEqual(found[xid].removesuffix(" UTC").rstrip("0"), committed.rstrip("0"))
        self.assertGreater(len(self.times), 15)

    def test_a_time(self):
        everything = [event for event in self.find() if event["time"]]
        times = sorted(event["time"] for event in everything)
        first, second = times[len(times) // 3], times[len(times) * 2 // 3]
        expected = [event for event in everything if first <= event["time"] < second]
        self.assertEqual(self.find(f"--between={first},{second}"), expected)
        self.assertEqual(self.find("--after", first, "--before", second, "--limit=3"), expected[-3:])
        # The server's word, to the microsecond.
        times = sorted(committed.ljust(26, "0") for committed in self.times.values())
        first, second = times[3], times[-3]
        expected = {xid for xid, committed in self.times.items() if first <= committed.ljust(26, "0") < second}
        found = {event["xid"] for event in self.find("--commits", "--after", first, "--before", second)}
        self.assertEqual(found, expected - {int(self.nested)})
        self.assertEqual({event["kind"] for event in self.find()}, {"commit", "checkpoint", "restore_point"})

    def test_transactions(self):
        commit, = self.find("--xid", self.top)
        self.assertEqual((commit["kind"], commit["xid"]), ("commit", int(self.top)))
        self.assertEqual(self.find("--xid", self.nested), [commit])
        abort, = self.find("--xid", self.aborted)
        self.assertEqual((abort["kind"], abort["xid"]), ("abort", int(self.aborted)))
        self.assertIn(abort, self.find("--aborts"))
        self.assertIn({"recovery_target_xid": self.top, "recovery_target_inclusive": "true",
                       "recovery_target_timeline": "1"}, commit["settings"])  # fmt: skip
        found = [str(event["xid"]) for event in self.find(self.counted)]
        for xid in (*self.xids, self.top, self.before_drop):
            self.assertIn(xid, found)
        self.assertNotIn(self.deleted, found)
        self.assertIn(self.aborted, [str(event["xid"]) for event in self.find(self.counted, "--aborts")])

    def test_what_does_not_go_together(self):
        for arguments in (["--checkpoints", self.counted], ["--restore-points", "--xid=741"], ["--timelines", "--xid=1"]):
            result = self.ask("find", *arguments, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn("go without a relation and --xid", result.stderr)
        result = self.ask("find", f"{self.lines}/9", "--tid=(0,2)", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("is a page: give the relation", result.stderr)

    def test_nothing(self):
        result = self.ask("find", "--xid=1", check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("nothing of that kind", result.stderr)

    def test_places(self):
        point, = self.find("--restore-points=here it is")
        self.assertEqual(point["end_lsn"], self.restore_point)
        self.assertIn({"recovery_target_name": "here it is", "recovery_target_timeline": "1"}, point["settings"])
        self.assertEqual(self.find("--restore-points=other", check=False), [])
        checkpoint = {event["lsn"]: event for event in self.find("--checkpoints")}[self.checkpoint]
        self.assertIn(f"redo {self.redo}", checkpoint["what"])
        text = self.ask("find", "--restore-points=here it is").stdout
        self.assertIn(f"recovery_target_lsn = '{point['lsn']}'\n", text)
        self.assertIn("# or: recovery_target_name = 'here it is'", text)
        again = self.find("--restore-points=again")
        self.assertEqual([len(event["settings"]) for event in again], [2, 1])

    def test_names(self):
        for lsn, database, name, path in self.names:
            with self.subTest(lsn=lsn, database=database, name=name):
                arguments = self.with_backup("--database", database, "--table", name, "--table-at", lsn)
                result = self.ask("history", *arguments, "--format=json", check=False)
                if path is None:
                    self.assertEqual(result.returncode, 2)
                    self.assertIn(f'there is no relation "{name}"', result.stderr)
                    continue
                self.assertEqual(result.returncode, 0, result.stderr)
                by_path = self.ask("history", path, "--format=json", "--table-at", lsn, *self.with_backup())
                self.assertEqual(result.stdout, by_path.stdout)
                self.assertIn(f"{name.rpartition('.')[2]}", by_path.stderr)

    def test_names_that_cannot_be_had(self):
        arguments = ["--database=postgres", "--table=s.second"]
        result = self.ask("history", *arguments, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("give a base backup with --base-backup", result.stderr)
        result = self.ask("history", *self.with_backup(*arguments, "--table-at=0/100028"), check=False)
        self.assertIn("is consistent from", result.stderr)
        result = self.ask("history", *self.with_backup("--database=postgres", "--table=parted"), check=False)
        self.assertIn("is a partitioned table, which has no file", result.stderr)
        result = self.ask("history", *self.with_backup("--database=none", "--table=t"), check=False)
        self.assertIn('there is no database "none"', result.stderr)

    def removals(self, line):
        return [(event["what"], event["xid"]) for event in self.find(self.lines, f"--tid=(0,{line})")]

    def test_who_removed_the_line_pointer(self):
        prune, cleanup = ("PRUNE", "VACUUM") if (self.version or 15) < 17 else ("PRUNE_", "PRUNE_VACUUM_CLEANUP")
        found = self.removals(1)
        self.assertEqual(found[0], ("HOT_UPDATE", int(self.updated)))
        self.assertTrue(found[1][0].startswith(prune), found)
        self.assertIn(": used before, redirected now", found[1][0])
        for line, operation, xid in ((2, "DELETE", self.deleted), (3, "UPDATE", self.moved)):
            found = self.removals(line)
            self.assertEqual(found[0], (operation, int(xid)))
            self.assertIn(": used before, dead now", found[1][0])
            self.assertEqual(found[2][0], f"{cleanup}: dead before, unused now")
            self.assertEqual(len(found), 3)
        self.assertEqual([what for what, _ in self.removals(4)], ["DELETE, rolled back"])
        deletion = self.find(self.lines, "--tid=(0,2)")[0]
        self.assertEqual(deletion["time"].removesuffix(" UTC").rstrip("0"), self.times[int(self.deleted)].rstrip("0"))
        commit, = self.find("--xid", self.deleted)
        self.assertEqual(deletion["settings"][0]["recovery_target_lsn"], commit["lsn"])
        self.assertEqual(deletion["settings"][0]["recovery_target_inclusive"], "false")

    def test_the_last_commit_before_a_drop(self):
        by_path = [self.find("--before-drop", path)[0] for path in self.files]
        self.assertEqual([str(event["xid"]) for event in by_path], [self.before_truncate, self.before_drop])
        for event, xid in zip(by_path, (self.truncated, self.dropper)):
            self.assertIn(f"of transaction {xid}", event["what"])
        by_name = self.find("--before-drop", *self.with_backup("--database=postgres", "--table=s.gone"))
        self.assertEqual(by_name, by_path[1:])
        by_name = self.find("--before-drop", *self.with_backup("--database=postgres", "--table=s.dropped"))
        self.assertEqual(by_name[:1], by_path[:1])
        self.assertEqual(self.find("--before-drop", self.counted, check=False), [])
        with_database, = self.find("--before-drop", self.in_early)
        self.assertIn("DROP at", with_database["what"])
        self.assertEqual(self.find("--before-drop", *self.with_backup("--database=early", "--table=t")), [with_database])

    @contextlib.contextmanager
    def recovering(self):
        """A copy of the backup, and a function that lets it recover with some settings, further on each time."""
        copy = os.path.join(self.cluster.directory, "copy")
        self.cluster.run_as_server(["cp", "-a", self.backup, copy])
        self.cluster.run_as_server(["touch", os.path.join(copy, "recovery.signal")])
        base = {**SETTINGS, "restore_command": f"cp {self.wal}/%f %p", "recovery_target_action": "pause"}
        with Cluster("recovered", settings=base, from_backup=copy, version=self.version, start=False) as server:
            configuration = pathlib.Path(server.data, "postgresql.conf")
            without_target = configuration.read_text("ascii")

            def recover(settings):
                if server.process is not None:
                    server.stop("immediate")
                lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
                configuration.write_text(without_target + "".join(lines), "ascii")
                server.start()
                deadline = time.monotonic() + 60
                while server.psql("SELECT pg_get_wal_replay_pause_state()") != "paused":
                    self.assertLess(time.monotonic(), deadline, server.log())
                    time.sleep(0.05)
                return server

            yield recover

    def test_recovery_stops_there(self):
        def with_setting(event, name):
            settings, = (settings for settings in event["settings"] if f"recovery_target_{name}" in settings)
            return settings

        commit, = self.find("--xid", self.top)
        abort, = self.find("--xid", self.aborted)
        point, = self.find("--restore-points=here it is")
        deletion = self.find(self.lines, "--tid=(0,2)")[0]
        drop = self.find("--before-drop", self.files[1])[0]
        with self.recovering() as recover:
            for event, name in ((commit, "lsn"), (commit, "xid"), (commit, "time"), (point, "name")):
                server = recover(with_setting(event, name))
                replayed = server.psql("SELECT pg_last_wal_replay_lsn()")
                if name != "time":
                    self.assertEqual(replayed, event["end_lsn"], name)
                    continue
                # Up to the next end of a transaction, which is the abort.
                self.assertGreaterEqual(number(replayed), number(event["end_lsn"]))
                self.assertLessEqual(number(replayed), number(abort["lsn"]))
            # Before the commit of the deletion.
            server = recover(deletion["settings"][0])
            self.assertEqual(server.psql("SELECT count(*) FROM lines WHERE a = 2"), "1")
            self.assertLessEqual(number(server.psql("SELECT pg_last_wal_replay_lsn()")), number(deletion["commit_lsn"]))
            server = recover(drop["settings"][0])
            self.assertEqual(server.psql("SELECT count(*) FROM s.gone"), str(ROWS))
            # The record of the drop is replayed, too.
            server = recover({**drop["settings"][0], "recovery_target_lsn": drop["drop_lsn"]})
            self.assertNotEqual(server.psql("SELECT count(*) FROM s.gone", check=False).returncode, 0)


for _version in servers():
    _name = f"Found{_version}"
    globals()[_name] = type(_name, (Found, unittest.TestCase), {"version": _version, "__module__": __name__})


class Ranges(unittest.TestCase):
    def test_what_is_before_the_range_counts(self):
        """A transaction that begins in one file of the index, of 256 MB of WAL, and commits in the next."""
        with Cluster(settings=SETTINGS, wal_segment_mb=1, start=False) as cluster:
            cluster.run_as_server([cluster.program("pg_resetwal"), "-l", "0000000100000000000000FD", cluster.data])
            cluster.start()
            cluster.psql("CREATE TABLE t (a int)")
            path = cluster.psql("SELECT pg_relation_filepath('t')")
            switch = "SELECT pg_logical_emit_message(false, 'a', 'b'); SELECT pg_switch_wal(); "
            xid = cluster.psql(f"BEGIN; INSERT INTO t VALUES (1); {switch * 4} SELECT pg_current_xact_id(); COMMIT")
            cluster.stop()

            def find(*arguments):
                index = os.path.join(cluster.directory, "index")
                return run_neon_redo("find", "--index", index, "--format=json", *arguments, check=False)

            result = find("--wal", cluster.wal, path, "--from=0/10000000")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["xid"], int(xid.split("\n")[-1]))
            # Earlier WAL may be in pieces.
            os.remove(os.path.join(cluster.wal, "0000000100000000000000FE"))
            result = find("--wal", cluster.wal, "--commits", "--from=0/10000000")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("WAL before 0/10000000 was not searched: ", result.stderr)


class Timelines(unittest.TestCase):
    def test_another_timeline(self):
        with Cluster(settings=SETTINGS, wal_segment_mb=1) as cluster:
            cluster.psql("CREATE TABLE t (a int)")
            cluster.stop()
            pathlib.Path(cluster.data, "standby.signal").touch()
            cluster.start()
            cluster.promote()
            cluster.psql("CREATE TABLE u (a int)")
            cluster.stop()
            index = os.path.join(cluster.directory, "index")
            result = run_neon_redo("find", "--wal", cluster.wal, "--index", index, "--timelines", "--format=json")
            event = json.loads(result.stdout)
            history = pathlib.Path(cluster.wal, "00000002.history").read_text("ascii")
            self.assertEqual(number(event["lsn"]), number(history.split("\t")[1]))
            self.assertIn("timeline 2 begins, after timeline 1", event["what"])
            self.assertEqual(event["settings"][0]["recovery_target_inclusive"], "false")
            self.assertEqual(event["settings"][0]["recovery_target_timeline"], "2")


if __name__ == "__main__":
    unittest.main()
