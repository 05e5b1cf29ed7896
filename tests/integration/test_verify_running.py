"""neon-redo verify on clusters that servers run on: no false alarm whatever the server does meanwhile, and
damage to what is cold is found.

With NEON_REDO_LONG=1 (make test-damage) there are 20 workloads on the server of PG_CONFIG instead of one, and
ten injections instead of three into each.
"""

import contextlib
import json
import os
import pathlib
import pty
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

from backup_tools import PgBackRest, need
from cluster import Cluster, cases_of_each_server, major, neon_redo_program, run
from test_damage import LONG, SETTINGS, RandomWorkload
from test_receive import wait_for

BLOCK = 8192
UNDECIDED = "changed all the time while the server ran"
INJECTIONS = 10 if LONG else 3
# Checkpoints are the test's own.
OF_SERVER = {**SETTINGS, "checkpoint_timeout": "1d", "max_wal_size": "10GB", "bgwriter_delay": "10ms"}
TIMEOUT = 300

SCHEMA = """
CREATE TABLE cold AS SELECT g a, repeat('x', 100) t FROM generate_series(1, 30000) g;
CREATE INDEX cold_a ON cold (a);
CREATE TABLE changed AS SELECT g a, repeat('y', 100) t FROM generate_series(1, 20000) g;
CREATE TABLE hot AS SELECT 1 a;
CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 1000) a;
"""


# What is gone soon after it was made, and moves while it is there.
SHORT_LIVED = """
CREATE TEMP TABLE ours AS SELECT generate_series(1, 5000);
INSERT INTO fleeting SELECT generate_series(1, 1000);
TRUNCATE fleeting;
CREATE TABLESPACE passing LOCATION '';
CREATE TABLE passenger TABLESPACE passing AS SELECT generate_series(1, 3000) a;
CREATE INDEX ON passenger (a);
ALTER TABLE passenger SET TABLESPACE pg_default;
DROP TABLE passenger;
CREATE DATABASE moved TABLESPACE passing;
"""


class Verification:
    """One run of the command on a running server, which may be watched."""

    def __init__(self, cluster, backup, *arguments):
        environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
        command = [neon_redo_program(), "verify", "--engine=native", "--format=json"]
        command += ["--base-backup", backup, "--wal", cluster.wal, "--against", cluster.data, *arguments]
        # Progress is shown on a terminal only.
        self.terminal, slave = pty.openpty()
        self.shown = b""
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=slave, text=True, env=environment
        )
        os.close(slave)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        # The terminal has no end of file, but an error, once its last user has ended.
        with contextlib.suppress(OSError):
            while part := os.read(self.terminal, 65536):
                self.shown += part

    def until_it_waits(self):
        """Its first look is over: it waits for a checkpoint."""
        deadline = time.monotonic() + TIMEOUT
        while b"waiting for a checkpoint" not in self.shown:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.end())
            time.sleep(0.02)

    def end(self):
        """Exit status, report (or None) and messages."""
        try:
            out = self.process.communicate(timeout=TIMEOUT)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(TIMEOUT)
        os.close(self.terminal)
        return self.process.returncode, json.loads(out) if out else None, self.shown.decode("utf-8", "replace")


def verify(*arguments):
    return Verification(*arguments).end()


@contextlib.contextmanager
def in_background(step, pause=0.0):
    """Calls step() again and again, in a thread; what it raises is raised at the end."""
    stop, errors = threading.Event(), []

    def run():
        try:
            while not stop.wait(pause):
                step()
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if errors:
            raise errors[0]


@contextlib.contextmanager
def commits(cluster, statement):
    """One session commits the statement every few milliseconds, and has begun to."""
    begun = "wal_is_written"
    sql = f"DO $$ BEGIN LOOP {statement}; COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$"
    session = threading.Thread(
        target=cluster.psql, args=(f"SET application_name = '{begun}'; {sql}",), kwargs={"check": False}
    )
    of_session = f"FROM pg_stat_activity WHERE application_name = '{begun}'"
    session.start()
    try:
        position = lambda: cluster.psql("SELECT pg_current_wal_flush_lsn()")
        for _ in range(2):
            before = position()
            wait_for("a commit", lambda before=before: position() != before)
        wait_for("the session", lambda: cluster.psql(f"SELECT count(*) {of_session}") == "1")
        yield
    finally:
        ended = lambda: cluster.psql(f"SELECT count(pg_terminate_backend(pid)) {of_session}") == "0"
        wait_for("the end of the session", ended)
        session.join(TIMEOUT)


class Running(unittest.TestCase):
    version, checksums, seed = None, True, 1

    @classmethod
    def setUpClass(cls):
        if cls is Running or not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.cluster = cls.enterClassContext(
            Cluster(settings=OF_SERVER, checksums=cls.checksums, version=cls.version)
        )
        cls.chance = random.Random(cls.seed)
        cls.load = RandomWorkload(cls.cluster, cls.seed)
        cls.cluster.psql(SCHEMA)
        cls.cluster.pgbench("-i", "-s", "2", "-q")
        cls.backup = cls.cluster.basebackup()
        cls.cluster.psql("UPDATE changed SET t = 'z' WHERE a % 3 = 0; SELECT count(*) FROM cold")
        cls.load.step(20)
        # What was cached is so no more.
        cls.cluster.restart()

    def check_fine(self, outcome):
        status, report, messages = outcome
        self.assertEqual(status, 0, f"{messages}{json.dumps((report or {}).get('mismatches'), indent=1)}")
        self.assertEqual(report["mismatches"], [])
        self.assertGreater(report["backup"]["unchanged_compared"], 300)
        self.assertFalse(report["running_server"]["is_standby"])
        return report

    def test_under_load(self):
        """Whatever happens meanwhile, nothing is called damage."""
        cluster = self.cluster

        def work():
            self.load.step(10)
            cluster.psql(SHORT_LIVED)
            cluster.psql("ALTER DATABASE moved SET TABLESPACE pg_default; DROP DATABASE moved")
            cluster.psql("DROP TABLESPACE passing")
            if self.chance.random() < 0.5:
                self.load.database()

        pgbench = lambda: cluster.pgbench("-c", "2", "-t", "100", "-n")
        checkpoint = lambda: cluster.psql("CHECKPOINT")
        looks = 0
        with in_background(work, 0.2), in_background(pgbench, 0.1), in_background(checkpoint, 1.0):
            for _ in range(3):
                report = self.check_fine(verify(cluster, self.backup, "--patience=6s"))
                looks += len(report["running_server"]["looks"])
                self.assertGreater(report["pages_compared"], 100)
        self.assertGreater(looks, 3)

    def test_quiet(self):
        """All is decided after a checkpoint, and the same is found as once the server has stopped."""
        with in_background(lambda: self.cluster.psql("CHECKPOINT"), 1.0):
            running = self.check_fine(verify(self.cluster, self.backup))
        self.assertEqual(running["running_server"]["undecided"], 0)
        self.assertNotIn(UNDECIDED, running["skipped"])
        self.assertGreater(running["pages_compared"], 300)

    def test_checkpoint_decides(self):
        """What is changed after a checkpoint is compared after the next one."""
        cluster = self.cluster
        cluster.psql("CHECKPOINT; UPDATE changed SET t = 'w' WHERE a % 5 = 0")
        run = Verification(cluster, self.backup, "--patience=120s")
        run.until_it_waits()
        with in_background(lambda: cluster.psql("CHECKPOINT"), 1.0):
            report = self.check_fine(run.end())
        looks = report["running_server"]["looks"]
        self.assertGreater(looks[0]["undecided"], 50)
        self.assertEqual(looks[-1]["undecided"], 0)
        self.assertNotIn(UNDECIDED, report["skipped"])
        self.assertNotEqual(looks[0]["settled_lsn"], looks[-1]["settled_lsn"])

    def test_hot_page(self):
        """A page that changes all the time is undecided, and not called equal."""
        cluster = self.cluster
        checkpoint = lambda: cluster.psql("CHECKPOINT")
        with commits(cluster, "UPDATE hot SET a = a + 1"), in_background(checkpoint, 0.5):
            files = [os.path.join(cluster.directory, f"report.{kind}") for kind in ("html", "json")]
            arguments = ["--patience=4s", *(f"--report={file}" for file in files)]
            report = self.check_fine(verify(cluster, self.backup, *arguments))
        left = report["running_server"]["undecided"]
        self.assertGreater(left, 0)
        page, file = (pathlib.Path(file).read_text("utf-8") for file in files)
        self.assertEqual(json.loads(file)["running_server"], report["running_server"])
        pages = f"{left} page{'s' if left != 1 else ''}"
        self.assertIn(f"Left undecided: {pages} that changed all the time while the server ran", page)
        self.assertIn(f"({pages} left undecided)", page)
        self.assertGreater(report["skipped"][UNDECIDED], 0)

    def path(self, relation):
        name = self.cluster.psql(f"SELECT pg_relation_filepath('{relation}')")
        return name, pathlib.Path(self.cluster.data, name)

    def found(self, outcome):
        status, report, messages = outcome
        self.assertEqual(status, 1, messages)
        return sorted((m["file"], m["block"], m["damage"]) for m in report["mismatches"])

    def test_cold_damage(self):
        """Bytes of pages that are not in the server's memory, with and without WAL since the backup."""
        cluster = self.cluster
        places = [("cold", False), ("cold_a", False)]
        cluster.psql("CHECKPOINT")
        cluster.restart()
        damaged, before = [], {}
        for n in range(INJECTIONS):
            relation, _ = places[n % len(places)]
            name, path = self.path(relation)
            block = self.chance.randrange(1, path.stat().st_size // BLOCK)
            if (name, block) in damaged:
                continue
            damaged.append((name, block))
            with open(path, "r+b") as file:
                at = block * BLOCK + self.chance.randrange(7000, 8100)
                file.seek(at)
                before[path, at] = file.read(4)
                file.seek(at)
                file.write(bytes(255 - byte for byte in before[path, at]))
        try:
            with in_background(lambda: cluster.psql("UPDATE hot SET a = a + 1")):
                found = self.found(verify(cluster, self.backup, "--patience=2s"))
        finally:
            for (path, at), content in reversed(before.items()):
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(content)
        self.assertEqual([place[:2] for place in found], sorted(damaged))

    def test_damage_of_what_wal_changes(self):
        """A page that WAL has changed, and that was written and forgotten since."""
        cluster = self.cluster
        cluster.psql("UPDATE changed SET t = 'v' WHERE a % 4 = 0; CHECKPOINT")
        cluster.restart()
        name, path = self.path("changed")
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.seek(3 * BLOCK)
            file.write(pathlib.Path(self.backup, name).read_bytes()[3 * BLOCK : 4 * BLOCK])
        try:
            found = self.found(verify(cluster, self.backup, "--patience=2s"))
        finally:
            with open(path, "r+b") as file:
                file.write(content)
        self.assertEqual(found, [(name, 3, "stale")])

    def test_only_some_pages(self):
        """By an index: a page that changes is undecided, and a cold one that is damaged is found."""
        cluster = self.cluster
        cluster.psql("CHECKPOINT")
        cluster.restart()
        hot, (name, path) = self.path("hot")[0], self.path("cold")
        only = [f"--only={name}", f"--only={hot}/0", f"--index={cluster.directory}/index", "--patience=1s"]
        content = path.read_bytes()
        with commits(cluster, "UPDATE hot SET a = a + 1"):
            status, report, messages = verify(cluster, self.backup, *only)
            self.assertEqual(status, 0, messages)
            # Autovacuum may have changed cold pages since the backup.
            compared = report["backup"]["unchanged_compared"] + report["pages_compared"]
            self.assertGreaterEqual(compared, len(content) // BLOCK)
            self.assertEqual(report["running_server"]["undecided"], 1)
            path.write_bytes(content[: BLOCK + 8100] + bytes(4) + content[BLOCK + 8104 :])
            try:
                found = self.found(verify(cluster, self.backup, *only))
            finally:
                path.write_bytes(content)
        self.assertEqual([place[:2] for place in found], [(name, 1)])

    def test_missing_file(self):
        cluster = self.cluster
        name, path = self.path("cold")
        path.rename(f"{path}.away")
        try:
            with in_background(lambda: cluster.psql("UPDATE hot SET a = a + 1; CHECKPOINT"), 1.0):
                found = self.found(verify(cluster, self.backup, "--patience=2s"))
        finally:
            path.with_name(path.name + ".away").rename(path)
        self.assertEqual({place[0] for place in found}, {name})
        self.assertIn("missing file", {place[2] for place in found})

    def test_damage_of_an_slru(self):
        """A page that is not in the server's memory."""
        cluster = self.cluster
        cluster.psql("SELECT txid_current();\n" * 2000 + "CHECKPOINT")
        cluster.restart()
        slru = pathlib.Path(cluster.data, "pg_commit_ts", "0000")
        at = BLOCK + 3000
        before = slru.read_bytes()[at : at + 4]
        self.assertEqual(len(before), 4)
        with open(slru, "r+b") as file:
            file.seek(at)
            file.write(bytes(255 - byte for byte in before))
        try:
            with in_background(lambda: cluster.psql("UPDATE hot SET a = a + 1; CHECKPOINT"), 1.0):
                found = self.found(verify(cluster, self.backup, "--patience=2s"))
        finally:
            with open(slru, "r+b") as file:
                file.seek(at)
                file.write(before)
        self.assertEqual([place[:2] for place in found], [("pg_commit_ts/0000", 1)])

    def test_damaged_base(self):
        name = self.path("cold")[0]
        path = pathlib.Path(self.backup, name)
        content = path.read_bytes()
        path.write_bytes(content[:20000] + b"\xde\xad" + content[20002:])
        try:
            status, report, messages = verify(self.cluster, self.backup, "--patience=2s")
        finally:
            path.write_bytes(content)
        self.assertEqual(status, 1, messages)
        # Without checksums of pages nothing tells which of two different pages is damaged.
        if self.checksums:
            self.assertEqual([m for m in report["mismatches"] if not m["in_backup"]], [])
        self.assertIn(name, {m["file"] for m in report["mismatches"]})

    def test_ends_with_the_server(self):
        """A server that stops, or crashes and starts again, ends the command with status 2."""
        cluster = self.cluster
        for end in ("stop", "restart", "crash"):
            with self.subTest(end=end):
                cluster.psql("CHECKPOINT; UPDATE changed SET t = 'q' WHERE a % 7 = 0")
                run = Verification(cluster, self.backup, "--patience=100s")
                run.until_it_waits()
                if end == "crash":
                    backend = cluster.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
                    os.kill(int(backend), signal.SIGKILL)
                    deadline = time.monotonic() + 60
                    while cluster.psql("SELECT 1", check=False).returncode != 0:
                        self.assertLess(time.monotonic(), deadline)
                        time.sleep(0.1)
                elif end == "stop":
                    cluster.stop()
                else:
                    cluster.restart()
                status, report, messages = run.end()
                if cluster.process is None:
                    cluster.start()
                self.assertEqual((status, list(report)), (2, ["error"]), messages)
                self.assertIn("begin again", messages)

    def test_against_dbname(self):
        """The server says where its data directory is."""
        cluster = self.cluster
        command = [neon_redo_program(), "verify", "--engine=native", "--no-progress", "--patience=0"]
        command += ["--base-backup", self.backup, "--wal", cluster.wal]
        connection = f"host={cluster.directory} port={cluster.port} user=postgres"
        result = run([*command, "--against-dbname", connection], check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("The server ran meanwhile", result.stdout)
        self.assertIn(f'comparing with "{cluster.data}"', result.stderr)
        result = run([*command, "--against-dbname", connection, "--against", cluster.data], check=False)
        self.assertEqual(result.returncode, 2)
        result = run([*command, "--against-dbname", f"{connection} dbname=x port=1"], check=False)
        self.assertEqual(result.returncode, 2)

    def test_server_that_is_not_seen(self):
        """It looks like a crashed cluster, as one whose server runs in a container does from outside."""
        cluster = self.cluster
        cluster.psql("CHECKPOINT")
        path = pathlib.Path(cluster.data, "postmaster.pid")
        text = path.read_text()
        # The server's own reading of its file passes over the space.
        path.write_text(" " + text)
        try:
            # WAL is read to its end, all files are compared, and WAL is read again: for a second, with this rate.
            with commits(cluster, "INSERT INTO changed VALUES (1, 'n')"):
                status, report, messages = verify(cluster, self.backup, "--max-rate=100M")
        finally:
            path.write_text(text)
        self.assertEqual((status, list(report)), (2, ["error"]), messages)
        self.assertIn("a server runs there that cannot be seen from here", messages)

    def test_rate(self):
        began = time.monotonic()
        report = self.check_fine(verify(self.cluster, self.backup, "--patience=0", "--max-rate=20M"))
        read = report["backup"]["bytes_read"] + BLOCK * report["backup"]["unchanged_compared"]
        self.assertGreater(time.monotonic() - began, read / (21 << 20))


class RunningStandby(unittest.TestCase):
    version, checksums, seed = None, True, 1

    def setUp(self):
        if type(self) is RunningStandby:
            self.skipTest("a base of others")

    def test_under_load(self):
        options = {"settings": OF_SERVER, "checksums": self.checksums, "version": self.version}
        with Cluster(**options) as primary:
            load = RandomWorkload(primary, self.seed)
            primary.psql(SCHEMA)
            backup = primary.basebackup()
            with Cluster("standby", standby_of=primary, **options) as standby:
                load.step(20)
                with in_background(lambda: load.step(10), 0.2), in_background(
                    lambda: (primary.psql("CHECKPOINT"), standby.psql("CHECKPOINT")), 1.0
                ):
                    loaded = primary.psql("SELECT pg_current_wal_flush_lsn()")
                    settled = f"SELECT redo_lsn > '{loaded}' FROM pg_control_checkpoint()"
                    wait_for("a restartpoint", lambda: standby.psql(settled) == "t")
                    arguments = (backup, "--wal", primary.wal, "--patience=6s")
                    status, report, messages = verify(standby, *arguments)
                self.assertEqual(status, 0, f"{messages}{(report or {}).get('mismatches')}")
                self.assertTrue(report["running_server"]["is_standby"])
                self.assertGreater(report["pages_compared"], 50)
                primary.psql("UPDATE changed SET t = 'p'")
                run = Verification(standby, *arguments[:-1], "--patience=100s")
                run.until_it_waits()
                standby.promote()
                status, _, messages = run.end()
                self.assertEqual(status, 2)
                self.assertIn("begin again", messages)


class RunningAsleep(unittest.TestCase):
    """A quiet server, whose background writer sleeps for as long as it may by default."""

    def test_table_of_an_open_transaction(self):
        """Its file is there long before its WAL, since nobody waits for a commit."""
        settings = {name: value for name, value in OF_SERVER.items() if name != "bgwriter_delay"}
        cluster = self.enterContext(Cluster(settings={**settings, "autovacuum": "off"}))
        cluster.psql(SCHEMA)
        backup = cluster.basebackup()
        # The WAL writer flushes a page of WAL that is full, and leaves one that is not to the other.
        rows = cluster.psql("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('background writer', 'walwriter')")
        writers = [int(row) for row in rows.split()]
        self.assertEqual(len(writers), 2)
        send = lambda number: [os.kill(writer, number) for writer in writers]
        sql = "BEGIN; CREATE TABLE fresh (a int); INSERT INTO fresh VALUES (1); SELECT pg_sleep(300)"
        send(signal.SIGSTOP)
        awake = threading.Timer(27, send, (signal.SIGCONT,))
        session = threading.Thread(target=cluster.psql, args=(sql,), kwargs={"check": False})
        awake.start()
        session.start()
        try:
            time.sleep(1)
            status, report, messages = verify(cluster, backup, "--patience=0")
        finally:
            awake.cancel()
            send(signal.SIGCONT)
            cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(300)%'")
            session.join(TIMEOUT)
        self.assertEqual(status, 0, f"{messages}{(report or {}).get('mismatches')}")
        # A file that no WAL will explain is found.
        cold = cluster.psql("SELECT pg_relation_filepath('cold')")
        shutil.copy(os.path.join(cluster.data, cold), os.path.join(cluster.data, "base", "5", "77777"))
        with in_background(lambda: cluster.psql("CHECKPOINT"), 1.0):
            status, report, messages = verify(cluster, backup, "--patience=0")
        self.assertEqual(status, 1, messages)
        self.assertEqual([(m["file"], m["damage"]) for m in report["mismatches"]], [("base/5/77777", "extra file")])


class RunningOfRepository(unittest.TestCase):
    """The WAL comes from an encrypted pgBackRest repository with two stanzas, in every look."""

    def test_repository(self):
        need(self, "pgbackrest")
        cluster = self.enterContext(Cluster(settings={**OF_SERVER, "archive_mode": "on", "autovacuum": "off"}))
        passphrase = "correct horse battery staple"
        tool = PgBackRest(cluster, repo1_cipher_type="aes-256-cbc", repo1_cipher_pass=passphrase)
        self.addCleanup(shutil.rmtree, tool.directory, ignore_errors=True)
        secret = pathlib.Path(cluster.directory, "passphrase")
        secret.touch(mode=0o600)
        secret.write_text(passphrase + "\n")
        archive = pathlib.Path(tool.repository, "archive")
        cluster.psql(SCHEMA)
        tool.backup("full")
        shutil.copytree(archive / "main", archive / "other")
        cluster.psql("UPDATE changed SET t = 'z' WHERE a % 3 = 0; CHECKPOINT")
        options = ["--stanza=main", f"--repo-cipher-pass-file={secret}", f"--wal={tool.repository}"]
        status, report, messages = verify(cluster, tool.repository, *options, "--patience=0")
        self.assertEqual(status, 0, messages)
        self.assertGreater(report["pages_compared"], 100, messages)
        self.assertIsNotNone(report["running_server"])


def load_tests(loader, _tests, pattern):
    """On each server, with and without checksums."""
    del pattern
    suite = unittest.TestSuite()
    seeds = lambda version: range(1, 11) if LONG and version == major() else (1,)
    for case in cases_of_each_server(globals(), [Running, RunningStandby], seeds):
        suite.addTests(loader.loadTestsFromTestCase(case))
    for case in (RunningAsleep, RunningOfRepository):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
