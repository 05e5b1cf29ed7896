"""neon-redo receive-logical with real servers: pgoutput as JSON lines, test_decoding as text."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import ROOT, Cluster, neon_redo_program
from test_receive import KILLS, WAIT, load, wait_for


class ReceiveLogical(unittest.TestCase):
    def setUp(self):
        settings = {"wal_level": "logical", "max_prepared_transactions": "4"}
        self.cluster = self.enterContext(Cluster(settings=settings))
        self.cluster.psql(
            "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE full_t (a int, b text);"
            "ALTER TABLE full_t REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR ALL TABLES"
        )
        self.output = self.enterContext(tempfile.NamedTemporaryFile())

    def start(self, *arguments, environment=None):
        command = [neon_redo_program(), "receive-logical", "--slot", "s", "--status-interval", "0.2"]
        with open(self.output.name, "ab") as output:
            process = subprocess.Popen(
                [*command, "--dbname", "dbname=postgres", *arguments],
                env={**self.cluster.environment(), **(environment or {})},
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=WAIT)

        self.addCleanup(end)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT)
        self.assertEqual(process.returncode, 0, errors)

    def create_slot(self, plugin="pgoutput", two_phase=False):
        self.cluster.psql(
            f"SELECT pg_create_logical_replication_slot('s', '{plugin}', false, {str(two_phase).lower()})"
        )

    def until_now(self, *arguments):
        end = self.cluster.psql("SELECT pg_current_wal_flush_lsn()")
        self.cluster.psql("CREATE TABLE IF NOT EXISTS moves_the_end_of_wal (a int)")
        process = self.start("--until", end, *arguments)
        _, errors = process.communicate(timeout=WAIT)
        self.assertEqual(process.returncode, 0, errors)

    def lines(self):
        with open(self.output.name, encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file]

    def events(self):
        return [json.loads(line) for line in self.lines()]

    def test_every_change(self):
        self.create_slot()
        self.cluster.psql(
            "INSERT INTO t VALUES (1, 'x\"ä'), (2, NULL); UPDATE t SET a = 3 WHERE a = 1;"
            "DELETE FROM t WHERE a = 2; INSERT INTO full_t VALUES (7, 'old');"
            "UPDATE full_t SET b = 'new'; TRUNCATE t, full_t;"
            "SELECT pg_logical_emit_message(true, 'prefix', 'content')"
        )
        self.until_now("--publication", "p", "--messages")
        events = [e for e in self.events() if e["action"] not in ("begin", "commit")]
        changes = [{k: v for k, v in e.items() if k != "lsn"} for e in events]
        t, full = {"schema": "public", "table": "t"}, {"schema": "public", "table": "full_t"}
        self.assertEqual(
            changes,
            [
                {"action": "insert", **t, "new": {"a": "1", "b": 'x"ä'}},
                {"action": "insert", **t, "new": {"a": "2", "b": None}},
                {"action": "update", **t, "key": {"a": "1"}, "new": {"a": "3", "b": 'x"ä'}},
                {"action": "delete", **t, "key": {"a": "2"}},
                {"action": "insert", **full, "new": {"a": "7", "b": "old"}},
                {"action": "update", **full, "old": {"a": "7", "b": "old"}, "new": {"a": "7", "b": "new"}},
                {"action": "truncate", "cascade": False, "restart_identity": False, "tables": [t, full]},
                {"action": "message", "transactional": True, "prefix": "prefix", "content": "content"},
            ],
        )

    def test_streamed_and_two_phase(self):
        self.create_slot(two_phase=True)
        self.cluster.psql(
            "BEGIN; INSERT INTO t VALUES (1, 'x'); PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one';"
            "BEGIN; INSERT INTO t VALUES (2, 'x'); PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';"
            "INSERT INTO full_t SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i"
        )
        self.cluster.configure({"logical_decoding_work_mem": "64kB"})
        self.cluster.restart()
        self.until_now("--publication", "p", "--two-phase", "--streaming", "on")
        actions = [e["action"] for e in self.events()]
        self.assertEqual(actions.count("insert"), 2002)
        for action in ("begin_prepare", "prepare", "commit_prepared", "rollback_prepared"):
            self.assertIn(action, actions)
        self.assertGreater(actions.count("stream_start"), 1)
        self.assertEqual(actions.count("stream_start"), actions.count("stream_stop"))
        self.assertEqual(actions.count("stream_commit"), 1)

    def test_test_decoding_is_passed_through(self):
        self.create_slot("test_decoding")
        self.cluster.psql("INSERT INTO t VALUES (1, 'x')")
        expected = self.cluster.psql(
            "SELECT data FROM pg_logical_slot_peek_changes('s', NULL, NULL) WHERE data !~ 'moves'"
        ).splitlines()
        self.until_now("--plugin", "test_decoding")
        self.assertEqual(self.lines()[: len(expected)], expected)

    def test_a_plugin_sends_no_commands_to_a_terminal(self):
        """A terminal gets the plug-in's text without control characters."""
        self.create_slot("test_decoding")
        self.cluster.psql(r"INSERT INTO t VALUES (1, E'red \x1b[31m, bell \x07, C1 \u009b, \u00e4')")
        end = self.cluster.psql("SELECT pg_current_wal_flush_lsn()")
        self.cluster.psql("CREATE TABLE moves_the_end_of_wal (a int)")
        parent, child = pty.openpty()
        self.addCleanup(os.close, parent)
        command = [
            *(neon_redo_program(), "receive-logical", "--slot", "s", "--plugin", "test_decoding"),
            *("--dbname", "dbname=postgres", "--until", end),
        ]
        with subprocess.Popen(
            command, env=self.cluster.environment(), stdout=child, stderr=subprocess.PIPE
        ) as process:
            os.close(child)
            shown = b""
            with contextlib.suppress(OSError):  # EIO: the program has ended
                while select.select([parent], [], [], WAIT)[0]:
                    shown += os.read(parent, 4096)
            self.assertEqual(process.wait(WAIT), 0, process.stderr.read())
        self.assertIn("ä".encode(), shown)
        self.assertNotRegex(shown.decode().replace("\r\n", ""), r"[\x00-\x1f\x7f-\x9f]")

    def test_each_line_once_over_lost_connections(self):
        """Walsenders die under load; every row of the table is printed exactly once."""
        self.cluster.pgbench("-i", "-q")
        self.create_slot()
        process = self.start("--publication", "p")
        active = "SELECT active_pid FROM pg_replication_slots WHERE active_pid IS NOT NULL"
        with load(self.cluster):
            for i in range(KILLS):
                wait_for("a walsender", lambda: self.cluster.psql(active))
                time.sleep((i * 37 % 100) / 500)
                self.cluster.psql(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL"
                )
        # One transaction of many rows, cut in the middle.
        self.cluster.psql("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 100000) i")
        wait_for("the large transaction", lambda: os.path.getsize(self.output.name) > 1 << 20)
        self.cluster.psql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
        end = self.cluster.psql("SELECT pg_current_wal_flush_lsn()")
        confirmed = "SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots"
        wait_for("the end of WAL", lambda: self.cluster.psql(confirmed % end) == "t")
        self.stop(process)
        events = self.events()
        inserts = [e for e in events if e["action"] == "insert"]
        history = [e for e in inserts if e["table"] == "pgbench_history"]
        count = int(self.cluster.psql("SELECT count(*) FROM pgbench_history"))
        self.assertEqual(len(history), count)
        rows = [int(e["new"]["a"]) for e in inserts if e["table"] == "t"]
        self.assertEqual(rows, list(range(1, 100001)))
        begins = [e["xid"] for e in events if e["action"] == "begin"]
        self.assertEqual(len(begins), len(set(begins)))
        self.assertEqual(len(begins), sum(e["action"] == "commit" for e in events))

    def test_idle_stream_moves_its_slot(self):
        """WAL of unpublished tables is confirmed, too."""
        self.create_slot()
        process = self.start("--publication", "p")
        self.cluster.psql("CREATE TEMP TABLE x AS SELECT generate_series(1, 10); CREATE ROLE r")
        end = self.cluster.psql("SELECT pg_current_wal_flush_lsn()")
        confirmed = "SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots"
        wait_for("the end of WAL", lambda: self.cluster.psql(confirmed % end) == "t")
        self.stop(process)

    def confirmed(self):
        return self.cluster.psql("SELECT confirmed_flush_lsn FROM pg_replication_slots")

    def test_a_stop_confirms_what_is_written(self):
        self.create_slot()
        for number, name in enumerate(("SIGINT", "SIGTERM")):
            self.cluster.psql(f"INSERT INTO t VALUES ({number})")
            process = self.start("--publication", "p", "--status-interval", "1000")
            written = lambda: [e["new"]["a"] for e in self.events() if e["action"] == "insert"]
            wait_for("the row", lambda: str(number) in written())
            before = self.confirmed()
            # timeout of coreutils sends a signal twice. While one is pending, the next is lost.
            for _ in range(20):
                process.send_signal(getattr(signal, name))
                time.sleep(0.001)
            _, errors = process.communicate(timeout=WAIT)
            self.assertEqual(process.returncode, 0, errors)
            self.assertNotEqual(self.confirmed(), before)
        self.until_now("--publication", "p")
        self.assertEqual(written(), ["0", "1"])

    def test_a_failed_flush_confirms_nothing(self):
        """The flush at the end succeeds, but the kernel may have dropped what the first one lost."""
        self.create_slot()
        module = ROOT / "build" / "tests" / "integration" / "failed_flush.so"
        before = self.confirmed()
        self.cluster.psql("INSERT INTO t VALUES (1)")
        end = self.cluster.psql("SELECT pg_current_wal_flush_lsn()")
        self.cluster.psql("CREATE TABLE moves_the_end_of_wal (a int)")
        arguments = ["--publication", "p", "--until", end, "--status-interval", "1000"]
        process = self.start(*arguments, environment={"LD_PRELOAD": str(module)})
        _, errors = process.communicate(timeout=WAIT)
        self.assertEqual(process.returncode, 2)
        self.assertIn("error: could not flush standard output: Input/output error", errors)
        self.assertEqual(self.confirmed(), before)

    def test_the_publication_must_exist(self):
        arguments = ["--create-slot", "--publication", 'p, "Not ""there"']
        _, errors = self.start(*arguments).communicate(timeout=WAIT)
        self.assertIn('error: publication "Not "there" does not exist', errors)
        self.assertEqual(self.cluster.psql("SELECT count(*) FROM pg_replication_slots"), "0")
        # A slot that was there before: the insertion cannot be decoded.
        self.create_slot()
        self.cluster.psql(
            'INSERT INTO t VALUES (1); CREATE PUBLICATION p2; CREATE PUBLICATION "Not ""there" FOR ALL TABLES'
        )
        process = self.start("--publication", 'P , p2,"Not ""there"')
        _, errors = process.communicate(timeout=WAIT)
        self.assertEqual(process.returncode, 2)
        self.assertIn("hint: A change from before the publication was created", errors)

    def test_a_row_above_the_limit(self):
        self.create_slot()
        self.cluster.psql("INSERT INTO t VALUES (1, 'small')")
        self.cluster.psql("INSERT INTO t VALUES (2, repeat('x', 2 << 20))")
        self.cluster.psql("INSERT INTO t VALUES (3, 'small')")
        rows = lambda: [e["new"]["a"] for e in self.events() if e["action"] == "insert"]
        for _ in range(2):
            process = self.start("--publication", "p", "--max-message-size", "1MB")
            _, errors = process.communicate(timeout=WAIT)
            self.assertEqual(process.returncode, 2)
            self.assertRegex(errors, "error: the server sent a message of 2097...")
            self.assertIn("hint: What came before it is confirmed. --max-message-size=SIZE", errors)
            self.assertEqual(rows(), ["1"])
        module = ROOT / "build" / "tests" / "integration" / "failed_flush.so"
        arguments = ["--publication", "p", "--max-message-size", "1MB", "--status-interval", "1000"]
        process = self.start(*arguments, environment={"LD_PRELOAD": str(module)})
        _, errors = process.communicate(timeout=WAIT)
        self.assertRegex(errors, "of 2097.*; could not flush standard output: Input/output error")
        self.assertIn("hint: --max-message-size=SIZE raises the limit.", errors)
        self.until_now("--publication", "p")
        self.assertEqual(rows(), ["1", "2", "3"])

    def test_refusals(self):
        for arguments, words in (
            (["--publication", "p"], 'replication slot "s" does not exist (SQLSTATE 42704)'),
            ([], "pgoutput needs --publication"),
        ):
            process = self.start(*arguments)
            _, errors = process.communicate(timeout=WAIT)
            self.assertEqual(process.returncode, 2)
            self.assertIn(words, errors)


if __name__ == "__main__":
    unittest.main()
