"""Compares neon-redo waldump with pg_waldump on real WAL of every resource manager."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import workload
from cluster import Cluster, make_directory, neon_redo_program, run, run_neon_redo, server_program

SEGMENT = 4 * 1024 * 1024

# Resource managers whose records the mixed workload makes; CLOG only turns a page every 32,768
# transactions.
RESOURCE_MANAGERS = """XLOG Transaction Storage CLOG Database Tablespace MultiXact RelMap Standby
    Heap2 Heap Btree Hash Gin Gist Sequence SPGist BRIN CommitTs ReplicationOrigin Generic
    LogicalMessage""".split()

# What else the WAL of AsPgWaldump must have, beside what changes pages (test_oracle.OPERATIONS).
OPERATIONS = {
    "XLOG": "CHECKPOINT_SHUTDOWN CHECKPOINT_ONLINE NEXTOID SWITCH BACKUP_END PARAMETER_CHANGE RESTORE_POINT FPW_CHANGE",
    "Transaction": "COMMIT PREPARE ABORT COMMIT_PREPARED ABORT_PREPARED ASSIGNMENT INVALIDATION",
    "Storage": "CREATE TRUNCATE",
    "CLOG": "ZEROPAGE",
    "Database": "CREATE_FILE_COPY CREATE_WAL_LOG DROP",
    "Tablespace": "CREATE DROP",
    "MultiXact": "ZERO_MEM_PAGE CREATE_ID",
    "RelMap": "UPDATE",
    "Standby": "LOCK RUNNING_XACTS INVALIDATIONS",
    "Heap2": "REWRITE NEW_CID",
    "Heap": "TRUNCATE",
    "CommitTs": "ZEROPAGE",
    "ReplicationOrigin": "SET DROP",
    "LogicalMessage": "MESSAGE",
}

SUBTRANSACTIONS = """
BEGIN;
DO $$ BEGIN FOR i IN 1 .. {} LOOP
    BEGIN INSERT INTO rolled_back VALUES (i); EXCEPTION WHEN division_by_zero THEN END;
END LOOP; END $$;
CHECKPOINT;
COMMIT;
"""

SAVEPOINTS = """
BEGIN;
INSERT INTO rolled_back VALUES (1);
SAVEPOINT s;
DROP TABLE dropped;
ROLLBACK TO s;
CREATE TABLE created (a int);
PREPARE TRANSACTION 'gid with ''quotes'' and ünicode';
ROLLBACK PREPARED 'gid with ''quotes'' and ünicode';
BEGIN;
DROP TABLE dropped;
TRUNCATE rolled_back RESTART IDENTITY CASCADE;
PREPARE TRANSACTION 'second';
COMMIT PREPARED 'second';
ALTER SYSTEM SET full_page_writes = off;
SELECT pg_reload_conf();
CHECKPOINT;
"""


def pg_waldump(wal, start, *options):
    """Standard output of pg_waldump, which ends with an error because it takes the end of WAL for one."""
    command = [server_program("pg_waldump"), "-p", wal, "-s", start, *options]
    return run(command, check=False).stdout


def lsn(number):
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def position(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def first_lsn(wal):
    """Where the oldest segment starts, as pg_waldump wants it."""
    name = min(name for name in os.listdir(wal) if re.fullmatch("[0-9A-F]{24}", name))
    return lsn(int(name[8:16], 16) << 32 | int(name[16:], 16) * SEGMENT)


class AsPgWaldump(unittest.TestCase):
    """All tests read the WAL of one cluster, made once and copied."""

    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.wal = os.path.join(cls.directory, "wal")
        with Cluster(settings=workload.SETTINGS, wal_segment_mb=4) as cluster:
            workload.prepare(cluster, 1000)
            workload.run(cluster, 1000)
            cluster.psql("CREATE TABLE rolled_back (a serial); CREATE TABLE dropped (a int)")
            cluster.psql(SAVEPOINTS)
            # Running transactions with some subtransactions, and with more than a backend lists.
            cluster.psql(SUBTRANSACTIONS.format(3) + SUBTRANSACTIONS.format(70))
            cluster.psql("SELECT pg_backup_start('b', true); SELECT pg_backup_stop(false)")
            # Subscribers' caches are told, since 18 by a message of their own.
            cluster.psql("CREATE PUBLICATION p FOR TABLE rolled_back; ALTER PUBLICATION p RENAME TO q")
            cls.middle = cluster.wal_lsn()
            # Enough transactions to need a new page of pg_xact, and a crash with recovery.
            cluster.psql(
                "CREATE PROCEDURE spend(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. n LOOP"
                " PERFORM txid_current(); COMMIT; END LOOP; END $$"
            )
            cluster.psql("SET synchronous_commit = off; CALL spend(33000)")
            cluster.psql("INSERT INTO rolled_back VALUES (1)")  # writes the WAL of all before it
            cluster.stop("immediate")
            cluster.start()
            cluster.psql("INSERT INTO rolled_back VALUES (2)")
            cluster.stop()
            shutil.copytree(cluster.wal, cls.wal)
        cls.start = first_lsn(cls.wal)

    def test_every_line(self):
        theirs = pg_waldump(self.wal, self.start).splitlines()
        ours = run_neon_redo("waldump", "--wal", self.wal).stdout.splitlines()
        self.assertGreater(len(theirs), 100000)
        for number, (their, our) in enumerate(zip(theirs, ours)):
            self.assertEqual(our, their, f"line {number + 1}")
        self.assertEqual(len(ours), len(theirs))
        seen = set(re.findall(r"^rmgr: (\w+) .*? desc: (\S+)", "\n".join(ours), re.MULTILINE))
        self.assertEqual(set(RESOURCE_MANAGERS) - {rmgr for rmgr, _ in seen}, set())
        wanted = {(rmgr, name) for rmgr, names in OPERATIONS.items() for name in names.split()}
        self.assertEqual(wanted - seen, set())

    def test_statistics(self):
        for option in ("--stats", "--stats=record"):
            ours = run_neon_redo("waldump", "--wal", self.wal, option).stdout
            self.assertEqual(ours, pg_waldump(self.wal, self.start, option))

    def test_from_to_and_rmgr(self):
        everything = run_neon_redo("waldump", "--wal", self.wal, "--from", self.middle).stdout
        self.assertTrue(everything)
        starts = re.findall(r"lsn: ([0-9A-F/]+),", everything)
        theirs = pg_waldump(self.wal, starts[0], "-e", starts[50], "-r", "Transaction")
        options = ["--from", starts[0], "--to", starts[50], "--rmgr", "transaction"]
        ours = run_neon_redo("waldump", "--wal", self.wal, *options).stdout
        self.assertEqual(ours, theirs)
        self.assertTrue(ours)

    def test_json_says_the_same(self):
        options = ["--from", self.middle, "--format", "json"]
        text = run_neon_redo("waldump", "--wal", self.wal, "--from", self.middle).stdout
        records = run_neon_redo("waldump", "--wal", self.wal, *options).stdout.splitlines()
        lines = text.splitlines()
        self.assertEqual(len(records), len(lines))
        previous_end = 0
        for line, record in zip(lines, map(json.loads, records)):
            self.assertIn(f"rmgr: {record['resource_manager']} ", line)
            self.assertIn(f"desc: {record['operation']} {record['description']}", line)
            self.assertIn(f"/{record['length']:6}, tx: {record['xid']:10},", line)
            for block in record["blocks"]:
                name = "{tablespace}/{database}/{relation}".format(**block)
                self.assertIn(f"blkref #{block['id']}: rel {name} ", line)
            self.assertGreaterEqual(position(record["lsn"]), previous_end)
            self.assertGreater(position(record["end_lsn"]), position(record["lsn"]))
            previous_end = position(record["end_lsn"])

    def both(self, *options, start=None):
        """What both programs print with the same options, but for the start, which is one of theirs."""
        theirs = pg_waldump(self.wal, start or self.start, *options)
        ours = run_neon_redo("waldump", "-p", self.wal, "-s", start or self.start, *options).stdout
        self.assertEqual(ours, theirs, options)
        return ours

    def test_the_options_of_pg_waldump(self):
        everything = run_neon_redo("waldump", "--wal", self.wal, "--from", self.middle).stdout
        start = re.search(r"lsn: ([0-9A-F/]+),", everything).group(1)
        relation = re.search(r"rmgr: Heap .* blkref #0: rel (\S+) blk (\d+)", everything)
        xid = re.search(r"rmgr: Heap .* tx: +(\d+),", everything).group(1)
        self.assertTrue(self.both("-n", "20"))
        for options in (
            ["-r", "Heap", "--rmgr=Btree", "-n", "500"],
            ["--relation", relation[1]],
            ["-R", relation[1], "-B", relation[2]],
            ["-R", relation[1], "--fork=main", "--limit=7"],
            ["-F", "vm"],
            ["--xid", xid],
            ["-w", "-n", "300"],
            ["--fullpage", "--bkp-details", "-n", "300"],
            ["-b", "-n", "3000"],
            ["-z", "-r", "Heap", "-n", "1000"],
            ["--stats=record", "-w"],
        ):
            with self.subTest(options):
                self.assertTrue(self.both(*options))
                self.both(*options, start=start)
        self.assertEqual(self.both("-q"), "")
        # Not the start of a record.
        inside = lsn(position(start) + 1)
        options = ["-s", inside, "-n", "3"]
        result = run_neon_redo("waldump", "-p", self.wal, *options)
        self.assertEqual(result.stdout, pg_waldump(self.wal, *options[1:]))
        # Since 17, not among the records.
        self.assertIn("first record is after", result.stdout + result.stderr)

    def test_segments_as_arguments(self):
        names = sorted(n for n in os.listdir(self.wal) if re.fullmatch("[0-9A-F]{24}", n))
        first, second, third = (os.path.join(self.wal, n) for n in names[:3])
        for arguments in ([first], [second, third], [second, names[2]], ["-p", self.wal, names[1]]):
            with self.subTest(arguments):
                theirs = run([server_program("pg_waldump"), *arguments], check=False).stdout
                self.assertEqual(run_neon_redo("waldump", *arguments).stdout, theirs)
                self.assertTrue(theirs)
        for arguments, words in (
            ([second, first], "is before STARTSEG"),
            (["-p", self.wal, "0" * 24], "could not find file"),
            (["README"], "is not the name of a WAL segment"),
            ([first, "--start=7F/0"], "is not inside file"),
            ([first, "--end=7F/0"], "is not inside file"),
        ):
            result = run_neon_redo("waldump", *arguments, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)

    def test_why_no_directory_was_found(self):
        directory = os.path.join(self.directory, "empty")
        os.mkdir(directory)
        options = {"check": False, "cwd": directory, "env": {"PGDATA": "loop"}}
        look = lambda: run_neon_redo("waldump", "--from=0/1", **options).stderr
        segment = os.path.join(directory, "0" * 7 + "1" + "0" * 15 + "3")
        os.symlink("loop", os.path.join(directory, "loop"))
        self.assertIn("Too many levels of symbolic links", look())
        os.unlink(os.path.join(directory, "loop"))
        self.assertIn('could not find any WAL file: no WAL segments in directory "."; could not', look())
        pathlib.Path(segment + ".lzo").write_bytes(b"x")
        self.assertIn("its segments are compressed", look())
        pathlib.Path(segment).write_bytes(b"x")
        self.assertIn("is a PostgreSQL 15, 17, 18 WAL segment", look())
        result = run_neon_redo("waldump", "--path", segment, os.path.basename(segment), check=False)
        self.assertIn("could not find file", result.stderr)

    def test_why_a_segment_cannot_be_looked_for(self):
        stanza = os.path.join(self.directory, "stanza")
        name = "0" * 7 + "1" + "0" * 15 + "3"
        for part in ("15-1", "17-2"):
            os.makedirs(os.path.join(stanza, part))
        result = run_neon_redo("waldump", "--path", stanza, name, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("has the WAL of several databases: name one of them", result.stderr)
        shutil.rmtree(os.path.join(stanza, "15-1"))
        os.symlink("loop", os.path.join(stanza, "17-2", "loop"))
        os.rename(os.path.join(stanza, "17-2", "loop"), os.path.join(stanza, "17-2", name[:16]))
        result = run_neon_redo("waldump", "--path", stanza, name, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(f'could not look into "{stanza}/17-2/{name[:16]}"', result.stderr)

    def test_no_directory_of_images_without_wal(self):
        images = os.path.join(self.directory, "none")
        options = ["--wal", self.directory + "/empty of WAL", "--save-fullpage", images]
        self.assertEqual(run_neon_redo("waldump", *options, check=False).returncode, 2)
        self.assertFalse(os.path.exists(images))

    def test_options_that_make_no_sense(self):
        for arguments, words in (
            (["--relation=1/2"], "tablespace OID/database OID/relation filenode"),
            (["--relation=0/0/1"], "tablespace OID/database OID/relation filenode"),
            (["--block=1"], "option --block requires option --relation"),
            (["--fork=toast"], "it must be main, fsm, vm or init"),
            (["--xid=-1"], "it must be between 0 and 4294967295"),
            (["--rmgr=Heap", "--rmgr=Heap3"], "this resource manager does not exist"),
            (["--after=yesterday"], "it must be a time"),
            (["--before=2024-01-01 00:00", "--follow"], "options --before and --follow exclude each other"),
        ):
            result = run_neon_redo("waldump", "--wal", self.wal, *arguments, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)

    def test_full_page_images_as_files(self):
        directory = os.path.join(self.directory, "images")
        options = ["--wal", self.wal, "--fullpage", "--limit", "50"]
        lines = run_neon_redo("waldump", *options, "--save-fullpage", directory).stdout
        images = len(re.findall(" FPW", lines))
        names = os.listdir(directory)
        self.assertEqual(len(names), images)
        for name in names:
            self.assertRegex(name, r"^00000001(-[0-9A-F]{8}){2}(\.\d+){4}_(main|fsm|vm|init)$")
            with open(os.path.join(directory, name), "rb") as file:
                page = file.read()
            self.assertEqual(len(page), 8192)
            high, low = name.split("-")[1:3]
            before = int.from_bytes(page[:4], "little") << 32 | int.from_bytes(page[4:8], "little")
            self.assertLess(before, int(high, 16) << 32 | int(low[:8], 16))
        again = run_neon_redo("waldump", *options, "--save-fullpage", directory, check=False)
        self.assertIn("exists but is not empty", again.stderr)

    def test_commit_times(self):
        options = ["--wal", self.wal, "--rmgr", "Transaction", "--format", "json"]
        text = run_neon_redo("waldump", *options, env=dict(os.environ, TZ="UTC")).stdout
        ends = [
            (match[0], record["lsn"])
            for record in map(json.loads, text.splitlines())
            if record["operation"].startswith(("COMMIT", "ABORT"))
            and (match := re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", record["description"]))
        ]
        # Sessions write their records almost in the order of these times, but not quite.
        after, before = ends[len(ends) // 3][0], ends[2 * len(ends) // 3][0]
        first, last = (next(i for i, (time, _) in enumerate(ends) if time >= cut) for cut in (after, before))
        between = [at for _, at in ends[first:last]]
        self.assertGreater(len(between), len(ends) // 4)
        shown = run_neon_redo("waldump", *options, f"--after={after}Z", f"--before={before}Z").stdout
        records = [r for r in map(json.loads, shown.splitlines()) if r["lsn"] in dict(map(reversed, ends))]
        self.assertEqual([r["lsn"] for r in records], between)

    def test_statistics_in_json(self):
        options = ["--stats", "--format", "json"]
        statistics = json.loads(run_neon_redo("waldump", "--wal", self.wal, *options).stdout)
        self.assertEqual(statistics["segment_size"], SEGMENT)
        self.assertEqual(set(statistics["types"]), set(RESOURCE_MANAGERS))
        records = sum(counts["records"] for counts in statistics["types"].values())
        self.assertEqual(records, statistics["total"]["records"])

    def test_every_segment_size(self):
        for megabytes in (1, 64):
            with Cluster(settings={"wal_keep_size": "1GB"}, wal_segment_mb=megabytes) as cluster:
                cluster.pgbench("-i", "-q")
                cluster.psql("SELECT pg_switch_wal(); CHECKPOINT")
                cluster.stop()
                ours = run_neon_redo("waldump", "--wal", cluster.data).stdout
                name = min(n for n in os.listdir(cluster.wal) if len(n) == 24)
                start = lsn(int(name[16:], 16) * megabytes << 20)
                self.assertEqual(ours, pg_waldump(cluster.wal, start))

    def test_partial_segment_of_pg_receivewal(self):
        with Cluster(settings={"wal_level": "replica"}) as cluster:
            target = os.path.join(cluster.directory, "received")
            cluster.run_as_server(["mkdir", target])
            cluster.pgbench("-i", "-q")
            end = cluster.wal_lsn()
            receive = [cluster.program("pg_receivewal"), "-D", target, "--no-loop", "-E", end]
            cluster.run_as_server(receive, check=False)
            self.assertTrue(any(name.endswith(".partial") for name in os.listdir(target)))
            ours = run_neon_redo("waldump", "--wal", target, "--to", end).stdout
            cluster.stop()
            first = re.search(r"lsn: ([0-9A-F/]+),", ours).group(1)
            self.assertEqual(ours, pg_waldump(cluster.wal, first, "-e", end))


class AcrossTimelines(unittest.TestCase):
    def test_images_of_a_promoted_server(self):
        with Cluster("primary") as primary, Cluster("standby", standby_of=primary) as standby:
            primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) a; CHECKPOINT")
            images = os.path.join(standby.directory, "images")
            command = [neon_redo_program(), "waldump", "--wal", standby.wal, "--follow", "--quiet"]
            with subprocess.Popen([*command, "--save-fullpage", images]) as follower:
                try:
                    primary.psql("INSERT INTO t VALUES (1)")
                    standby.promote()
                    standby.psql("CHECKPOINT; UPDATE t SET a = 0")
                    timelines = lambda: {name[:8] for name in os.listdir(images)}
                    deadline = time.monotonic() + 60
                    while "00000002" not in timelines():
                        self.assertLess(time.monotonic(), deadline, timelines())
                        time.sleep(0.1)
                finally:
                    follower.send_signal(signal.SIGINT)
                    follower.wait(60)
            names = os.listdir(images)
            fork = max(name for name in names if name.startswith("00000001"))
            new = min(name for name in names if name.startswith("00000002"))
            self.assertGreater(new.split("-")[1:3], fork.split("-")[1:3])
            name = os.path.join(images, new)
            self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)

    def test_promotion_is_followed(self):
        with Cluster("primary") as primary, Cluster("standby", standby_of=primary) as standby:
            primary.psql("CREATE TABLE before AS SELECT generate_series(1, 1000) a")
            standby.psql("SELECT 1")
            primary.stop()
            standby.promote()
            standby.psql("CREATE TABLE after AS SELECT generate_series(1, 1000) a; CHECKPOINT")
            standby.stop()
            result = run_neon_redo("waldump", "--wal", standby.wal).stdout
            self.assertIn("CHECKPOINT_SHUTDOWN redo", result.splitlines()[-1])
            self.assertIn("tli 2; prev tli 2", result.splitlines()[-1])
            self.assertIn("END_OF_RECOVERY tli 2; prev tli 1", result)
            first = re.search(r"lsn: ([0-9A-F/]+),", result).group(1)
            both = pg_waldump(standby.wal, first, "-t", "1") + pg_waldump(standby.wal, first, "-t", "2")
            for line in result.splitlines():
                self.assertIn(line, both)


class OldTransactions(unittest.TestCase):
    def test_truncation_of_what_transactions_did(self):
        """Segments of pg_xact, pg_multixact and pg_commit_ts that nobody needs any more are removed."""
        settings = {"track_commit_timestamp": "on", "autovacuum": "off"}
        with Cluster(settings=settings, wal_segment_mb=1) as cluster:
            cluster.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
            # A row lock and a foreign key's make a multixact, which vacuum then removes.
            cluster.psql("BEGIN; SELECT FROM t FOR SHARE; SAVEPOINT s; SELECT FROM t FOR UPDATE; COMMIT")
            cluster.stop()
            # As if a million transactions and 65,536 multixacts had gone by. The server looks for the
            # next one's page.
            for name, pages in (("pg_xact/0001", 32), ("pg_multixact/offsets/0001", 32)):
                path = os.path.join(cluster.data, name)
                cluster.run_as_server(["dd", "if=/dev/zero", f"of={path}", "bs=8192", f"count={pages}"])
            reset = ["-x", 2**20 + 100, "-m", f"{2**16 + 10},1", "-D", cluster.data]
            cluster.run_as_server([cluster.program("pg_resetwal"), *reset])
            cluster.start()
            cluster.psql("UPDATE pg_database SET datallowconn = true")
            freeze = [cluster.program("vacuumdb"), "--all", "--freeze", "--quiet"]
            cluster.run_as_server(freeze)
            cluster.stop()
            result = run_neon_redo("waldump", "--wal", cluster.wal).stdout
            for operation in ("CLOG .* TRUNCATE page", "MultiXact .* TRUNCATE_ID", "CommitTs .* TRUNCATE"):
                self.assertRegex(result, f"rmgr: {operation}")
            first = re.search(r"lsn: ([0-9A-F/]+),", result).group(1)
            self.assertEqual(result, pg_waldump(cluster.wal, first))


class TornRecord(unittest.TestCase):
    def test_recovery_goes_on_in_a_record_that_was_never_finished(self):
        with Cluster(settings={"wal_keep_size": "1GB"}, wal_segment_mb=1) as cluster:
            cluster.psql("CREATE TABLE t (a int); CHECKPOINT")
            before = cluster.wal_lsn()
            cluster.psql("SELECT pg_logical_emit_message(false, 'long', repeat('x', 4000000))")
            cluster.psql("INSERT INTO t VALUES (1)")
            after = cluster.wal_lsn()
            cluster.stop("immediate")
            # The last two of the segments that the record lies in, and what follows, are lost.
            lost = f"{1:08X}{0:08X}{position(after) // (1 << 20) - 1:08X}"
            for name in os.listdir(cluster.wal):
                if lost <= name < "1":
                    os.remove(os.path.join(cluster.wal, name))
            cluster.start()
            cluster.psql("INSERT INTO t VALUES (2)")
            cluster.stop()
            result = run_neon_redo("waldump", "--wal", cluster.wal, "--from", before)
            self.assertIn("desc: OVERWRITE_CONTRECORD lsn", result.stdout)
            self.assertNotIn("LogicalMessage", result.stdout)
            first = re.search(r"lsn: ([0-9A-F/]+),", result.stdout).group(1)
            self.assertEqual(result.stdout, pg_waldump(cluster.wal, first))


if __name__ == "__main__":
    unittest.main()
