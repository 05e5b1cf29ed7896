"""The walsender statistics in SQL with real standbys and pg_receivewal: values in normal operation, and
when a client is paused, killed or throttled."""

import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from cluster import Cluster, CommandFailed, as_server_user, major, make_directory, private_server
from walsender_clients import ThrottledProxy, receiver, walreceiver_pid

PRELOADED = {"shared_preload_libraries": "neon", "autovacuum": "off", "checkpoint_timeout": "1h"}
WRITE = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 100000)) FROM generate_series(1, 20)"
# One psql call each, so that WAL of a transaction is flushed before it is looked at.
FLUSHED = "pg_current_wal_flush_lsn()"


def setUpModule():
    global bindir
    directory = make_directory()
    unittest.addModuleCleanup(shutil.rmtree, directory)
    bindir = private_server(directory)


class WalsenderTest(unittest.TestCase):
    def start(self, name="node", settings=None, **options):
        """A server with the extension, until the end of the test."""
        cluster = Cluster(name, bindir=bindir, settings={**PRELOADED, **(settings or {})}, **options)
        cluster = self.enterContext(cluster)
        if not options.get("standby_of"):
            cluster.psql("CREATE EXTENSION neon_redo")
        return cluster

    def until(self, cluster, sql, expected="t"):
        """Waits until a query gives the expected answer: the server writes WAL of its own at any time,
        and a reply may come between the reading of two functions or views of one query."""
        deadline = time.monotonic() + 60
        while (answer := cluster.psql(sql)) != expected:
            if time.monotonic() > deadline:
                state = cluster.psql("\\x on\nSELECT * FROM neon_stat_replication")
                self.fail(f"{sql}\nis {answer!r}, not {expected!r}\n{state}\n{cluster.log()}")
            time.sleep(0.05)

    def until_caught_up(self, cluster, count=1):
        self.until(cluster, "SELECT count(*) FROM neon_stat_replication WHERE caught_up", str(count))

    def client(self, command, cluster):
        """A client process until the end of the test."""
        process = subprocess.Popen(
            as_server_user(command, die_with_parent=True),
            env=cluster.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def session(self, cluster, sql):
        """psql in the background."""
        command = [cluster.program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]
        return self.client(command, cluster)

    def pause(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.resume, pid)

    def resume(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


class Standby(WalsenderTest):
    def test_values_agree_with_the_standard_views(self):
        primary = self.start(
            settings={
                "wal_keep_size": "64MB",
                "max_slot_wal_keep_size": "100MB",
                "synchronous_standby_names": "FIRST 1 (near)",
                "synchronous_commit": "local",
            }
        )
        primary.psql("SELECT pg_create_physical_replication_slot('of_near')")
        self.start("near", {"primary_slot_name": "of_near"}, standby_of=primary)
        primary.psql(WRITE)
        self.until_caught_up(primary)
        self.until(
            primary,
            "SELECT row(n.usesysid, n.usename, n.application_name, n.client_addr, n.client_port,"
            "  n.backend_start, n.state, n.sent_lsn, n.write_lsn, n.flush_lsn, n.replay_lsn,"
            "  n.sync_priority, n.sync_state, n.reply_time)"
            " = row(p.usesysid, p.usename, p.application_name, p.client_addr, p.client_port,"
            "  p.backend_start, p.state, p.sent_lsn, p.write_lsn, p.flush_lsn, p.replay_lsn,"
            "  p.sync_priority, p.sync_state, p.reply_time) IS NOT FALSE,"
            " row(n.slot_wal_status, n.slot_safe_wal_size) = row(s.wal_status, s.safe_wal_size),"
            f" n.slot_retained_bytes = {FLUSHED} - s.restart_lsn"
            " FROM pg_stat_replication p JOIN neon_stat_replication n USING (pid)"
            " JOIN pg_replication_slots s ON s.active_pid = pid",
            "t|t|t",
        )
        self.until(
            primary,
            "SELECT kind, application_name, state, sync_state, slot_name, sent_bytes_behind,"
            " write_bytes_behind, flush_bytes_behind, replay_bytes_behind, caught_up,"
            " write_lag, flush_lag, replay_lag FROM neon_stat_replication",
            "physical|near|streaming|sync|of_near|0|0|0|0|t|||",
        )
        self.until(
            primary,
            f"SELECT neon_oldest_sent_lsn() = {FLUSHED}, neon_oldest_flush_lsn() = {FLUSHED}",
            "t|t",
        )

    def test_paused_standby_falls_behind_for_as_long_as_it_is_paused(self):
        primary = self.start()
        standby = self.start("paused", standby_of=primary)
        # Idle and unreachable: nothing is missing over there, so no lag, but the reply gets old.
        silent = "SELECT replay_bytes_behind, replay_lag, caught_up FROM neon_stat_replication"
        # The server writes WAL of its own at any time, also just before the pause: then once more.
        deadline = time.monotonic() + 60
        while True:
            self.until_caught_up(primary)
            since = primary.psql("SELECT clock_timestamp()")
            self.pause(walreceiver_pid(standby))
            before, seen = primary.psql(f"SELECT {FLUSHED}"), primary.psql(silent)
            if seen == "0||t" or time.monotonic() > deadline:
                break
            self.resume(walreceiver_pid(standby))
        self.assertEqual(seen, "0||t")
        older = (
            "SELECT reply_age AS was FROM neon_stat_replication \\gset\nSELECT pg_sleep(0.2) \\g /dev/null\n"
            "SELECT reply_age >= interval :'was' + '0.2 s' FROM neon_stat_replication"
        )
        self.assertEqual(primary.psql(older), "t")

        primary.psql(WRITE)
        written = primary.psql("SELECT clock_timestamp()")
        self.until(primary, f"SELECT sent_lsn > '{before}' FROM neon_stat_replication")
        primary.psql("SELECT pg_sleep(1)")
        # Not less than the WAL's age, and not more, though the last reply is older than the WAL.
        self.until(
            primary,
            f"SELECT replay_bytes_behind = {FLUSHED} - replay_lsn, replay_bytes_behind >= 2000000,"
            f" flush_lsn <= '{before}'::pg_lsn, caught_up, write_lag > '1 s', replay_lag > '1 s',"
            f" replay_lag <= clock_timestamp() - '{since}', reply_age > replay_lag,"
            " neon_oldest_flush_lsn() = flush_lsn FROM neon_stat_replication",
            "t|t|t|f|t|t|t|t|t",
        )
        self.assertEqual(
            primary.psql("SELECT eta FROM neon_walsender_eta() WHERE bytes_behind > 0"), ""
        )
        self.until(
            primary,
            "SELECT count(DISTINCT lag) >= 2 AND min(lag) >= '0' FROM neon_walsender_history()"
            f" WHERE bytes_behind > 0 AND sample_time > '{written}'",
        )
        self.resume(walreceiver_pid(standby))
        self.until_caught_up(primary)
        self.assertEqual(primary.psql(silent), "0||t")

    def test_paused_walsender_is_late_too(self):
        """A stopped walsender cannot record that its standby lags."""
        primary = self.start()
        self.start("behind", standby_of=primary)
        self.until_caught_up(primary)
        self.until(primary, "SELECT count(*) > 1 FROM neon_walsender_history() WHERE bytes_behind = 0")
        self.pause(int(primary.psql("SELECT pid FROM neon_stat_replication")))
        primary.psql(WRITE)
        primary.psql("SELECT pg_sleep(1)")
        late = "SELECT sent_bytes_behind > 2000000, replay_lag >= '1 s' FROM neon_stat_replication"
        self.assertEqual(primary.psql(late), "t|t")

    def test_killed_standby_leaves_a_slot_that_grows(self):
        primary = self.start(settings={"max_slot_wal_keep_size": "1GB"})
        primary.psql("SELECT pg_create_physical_replication_slot('of_killed')")
        standby = self.start("killed", {"primary_slot_name": "of_killed"}, standby_of=primary)
        self.until_caught_up(primary)
        history = "SELECT count(*) > 0 FROM neon_walsender_history() WHERE application_name = 'killed'"
        self.until(primary, history)
        self.assertEqual(primary.psql("SELECT count(*) FROM neon_inactive_slots()"), "0")
        standby.stop("immediate")
        self.until(primary, "SELECT count(*) FROM neon_stat_replication", "0")
        self.assertEqual(
            primary.psql("SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn()"), "|"
        )
        gone = primary.psql("SELECT clock_timestamp()")
        self.until(
            primary, "SELECT count(*) FROM neon_inactive_slots() WHERE inactive_since IS NOT NULL", "1"
        )
        primary.psql(WRITE)
        # The view and pg_replication_slots look at the end of WAL one after the other, and the server
        # may write some in between.
        self.until(
            primary,
            (
                "SELECT slot_name, i.slot_type, i.restart_lsn = r.restart_lsn,"
                f" i.inactive_since BETWEEN '{gone}'::timestamptz - '1 min'::interval AND now(),"
                f" retained_bytes = {FLUSHED} - r.restart_lsn, growth_bytes_per_second > 0,"
                " i.safe_wal_size = r.safe_wal_size, disk_free_bytes > 0,"
                " abs(extract(epoch FROM time_left) * growth_bytes_per_second"
                "   / least(i.safe_wal_size, disk_free_bytes) - 1) < 0.01,"
                " limited_by = CASE WHEN i.safe_wal_size < disk_free_bytes"
                "   THEN 'max_slot_wal_keep_size' ELSE 'disk' END"
                " FROM neon_inactive_slots() i JOIN pg_replication_slots r USING (slot_name)"
            ),
            "of_killed|physical|t|t|t|t|t|t|t|t",
        )
        self.assertEqual(primary.psql(history), "t")  # what it did last can still be seen

    def test_reading_on_a_standby(self):
        primary = self.start()
        standby = self.start("middle", standby_of=primary)
        self.until_caught_up(primary)
        self.assertEqual(standby.psql("SELECT count(*) FROM neon_stat_replication"), "0")
        self.client(receiver(standby, "cascaded"), standby)
        self.until_caught_up(standby)
        end = primary.psql(WRITE + f"; SELECT {FLUSHED}").splitlines()[-1]
        self.until(standby, f"SELECT write_lsn >= '{end}' AND caught_up FROM neon_stat_replication")
        row = "SELECT kind, application_name, state, sync_state, write_bytes_behind FROM neon_stat_replication"
        self.until(standby, row, "physical|cascaded|streaming|async|0")
        self.until(standby, "SELECT count(*) > 1 FROM neon_walsender_history() WHERE confirmed_lsn IS NOT NULL")


class Receiver(WalsenderTest):
    def test_receiver_that_replays_nothing(self):
        primary = self.start()
        self.client(receiver(primary, "plain"), primary)
        self.until_caught_up(primary)
        row = (
            "SELECT kind, state, sync_state, write_bytes_behind, write_lag, flush_lsn, replay_lsn,"
            " replay_lag, replay_bytes_behind, slot_name, caught_up FROM neon_stat_replication"
        )
        self.until(primary, row, "physical|streaming|async|0|||||||t")
        # It reports no flushes, so there is no oldest one.
        self.until(primary, f"SELECT neon_oldest_sent_lsn() = {FLUSHED}, neon_oldest_flush_lsn()", "t|")

    def test_paused_receiver(self):
        primary = self.start()
        primary.psql("SELECT pg_create_physical_replication_slot('archive', true)")
        process = self.client(receiver(primary, "archive", "--slot=archive"), primary)
        self.until_caught_up(primary)
        self.pause(process.pid)
        primary.psql(WRITE)
        primary.psql("SELECT pg_sleep(1)")
        self.until(
            primary,
            f"SELECT write_bytes_behind = {FLUSHED} - write_lsn, write_bytes_behind >= 2000000,"
            " caught_up, write_lag >= '1 s', write_lag < reply_age, slot_name,"
            " slot_retained_bytes >= 2000000 FROM neon_stat_replication",
            "t|t|f|t|t|archive|t",
        )
        self.resume(process.pid)
        self.until_caught_up(primary)

    def test_throttled_receiver_catches_up_in_the_time_foretold(self):
        primary = self.start()
        proxy = self.enterContext(ThrottledProxy(primary, bytes_per_second=2_000_000))
        primary.psql("SELECT pg_create_physical_replication_slot('slow', true)")
        for _ in range(20):
            primary.psql(WRITE)
        command = receiver(primary, "slow", "--slot=slow", host=proxy.directory)
        self.client(command, primary)
        self.until(primary, "SELECT state FROM neon_stat_replication", "catchup")
        self.until(primary, "SELECT eta > '0' FROM neon_walsender_eta() WHERE application_name = 'slow'")
        self.assertEqual(
            primary.psql(
                "SELECT abs(extract(epoch FROM eta) * (applied_bytes_per_second - wal_bytes_per_second)"
                " / bytes_behind - 1) < 0.01, applied_bytes_per_second > 0, caught_up,"
                " write_lag > '0' FROM neon_walsender_eta() JOIN neon_stat_replication USING (pid)"
            ),
            "t|t|f|t",
        )
        self.until(
            primary,
            "SELECT count(*) > 0 FROM neon_walsender_history() WHERE state = 'catchup'"
            " AND applied_bytes_per_second BETWEEN 1 AND 20e6 AND bytes_behind > 0 AND lag > '0'",
        )
        proxy.bytes_per_second = None
        self.until_caught_up(primary)
        self.until(primary, "SELECT eta FROM neon_walsender_eta()", "00:00:00")
        self.until(
            primary,
            "SELECT count(*) FROM neon_walsender_history() WHERE state = 'streaming' AND state_changed",
            "1",
        )

    def test_logical_receiver(self):
        primary = self.start(settings={"wal_level": "logical"})
        primary.psql("SELECT pg_create_logical_replication_slot('changes', 'test_decoding')")
        command = [primary.program("pg_recvlogical"), "-d", "postgres", "--slot=changes", "--start"]
        self.client([*command, "-f", "/dev/null"], primary)
        self.until(primary, "SELECT state FROM neon_stat_replication", "streaming")
        self.assertEqual(
            primary.psql("SELECT kind, slot_name FROM neon_stat_replication"), "logical|changes"
        )

    def test_64_walsenders(self):
        primary = self.start(settings={"max_wal_senders": 64})
        for i in range(64):
            self.client(receiver(primary, f"client_{i}"), primary)
        self.until_caught_up(primary, 64)
        same = (
            "SELECT count(*), count(DISTINCT n.application_name) FROM neon_stat_replication n"
            " JOIN pg_stat_replication p ON row(n.pid, n.application_name, n.sent_lsn, n.write_lsn)"
            " = row(p.pid, p.application_name, p.sent_lsn, p.write_lsn)"
        )
        self.assertEqual(primary.psql(same), "64|64")
        self.until(primary, "SELECT count(DISTINCT pid) FROM neon_walsender_history()", "64")


class Waiting(WalsenderTest):
    def wait_sql(self, arguments):
        return f"SELECT neon_wait_for_replay({arguments})"

    def test_standby_that_replays_wakes_the_waiter(self):
        primary = self.start()
        standby = self.start("reader", standby_of=primary)
        self.until_caught_up(primary)
        standby.psql("SELECT pg_wal_replay_pause()")
        self.until(standby, "SELECT pg_get_wal_replay_pause_state()", "paused")
        primary.psql("CREATE TABLE t AS SELECT 1")
        lsn = primary.psql(f"SELECT {FLUSHED}")
        self.assertEqual(primary.psql(self.wait_sql(f"'{lsn}', '0', 'reader'")), "f")
        self.assertEqual(primary.psql(self.wait_sql(f"'{lsn}', '0.2 s', 'reader'")), "f")
        self.assertEqual(primary.psql(self.wait_sql(f"'{lsn}', '0.2 s'")), "f")
        self.assertEqual(primary.psql(self.wait_sql("'0/1', '0', 'nobody'")), "f")
        waiters = [
            self.session(primary, self.wait_sql(f"'{lsn}', null, 'reader'")),
            self.session(primary, self.wait_sql(f"'{lsn}', '1000 years'")),
        ]
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE '%wait_for%'"
        self.until(primary, asleep, "2")
        standby.psql("SELECT pg_wal_replay_resume()")
        for waiter in waiters:
            self.assertEqual(waiter.communicate(timeout=120), ("t\n", ""))
        self.assertEqual(standby.psql("TABLE t"), "1")

    def test_standby_that_leaves_is_not_waited_for(self):
        primary = self.start()
        self.start("here", standby_of=primary)
        leaving = self.start("leaving", standby_of=primary)
        self.until_caught_up(primary, 2)
        leaving.psql("SELECT pg_wal_replay_pause()")
        self.until(leaving, "SELECT pg_get_wal_replay_pause_state()", "paused")
        primary.psql("CREATE TABLE t AS SELECT 1")
        lsn = primary.psql(f"SELECT {FLUSHED}")
        self.assertEqual(primary.psql(self.wait_sql(f"'{lsn}', '1 min', 'here'")), "t")
        waiter = self.session(primary, self.wait_sql(f"'{lsn}'"))
        self.until(
            primary, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension'", "1"
        )
        leaving.stop("immediate")
        self.assertEqual(waiter.communicate(timeout=120), ("t\n", ""))

    def test_waiter_sleeps_and_can_be_interrupted(self):
        primary = self.start()
        waiter = self.session(primary, self.wait_sql("'FFFFFFFF/0'"))
        waiting = "FROM pg_stat_activity WHERE wait_event = 'Extension' AND state = 'active'"
        self.until(primary, f"SELECT count(*) {waiting}", "1")
        pid = primary.psql(f"SELECT pid {waiting}")

        def switches():
            status = pathlib.Path(f"/proc/{pid}/status").read_text("ascii")
            return [line for line in status.splitlines() if line.startswith("voluntary")]

        before = switches()
        time.sleep(1)
        self.assertEqual(switches(), before)  # not woken once: nothing polls
        primary.psql(f"SELECT pg_cancel_backend({pid})")
        self.assertIn("canceling statement due to user request", waiter.communicate(timeout=60)[1])
        timed_out = primary.psql(
            "SET statement_timeout = 100;" + self.wait_sql("'FFFFFFFF/0'"), check=False
        )
        self.assertIn("canceling statement due to statement timeout", timed_out.stderr)
        negative = primary.psql(self.wait_sql("'0/0', '-1 s'"), check=False)
        self.assertIn("timeout must not be negative", negative.stderr)
        self.assertEqual(primary.psql(self.wait_sql("null, '1 s'")), "")

    def test_shutdown(self):
        primary = self.start()
        waiter = self.session(primary, self.wait_sql("'FFFFFFFF/0'"))
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND state = 'active'"
        self.until(primary, asleep, "1")
        primary.stop("fast")
        self.assertIn("terminating connection due to administrator", waiter.communicate(timeout=60)[1])
        primary.start()
        # A smart shutdown waits for the session, which meanwhile can still look.
        session = self.session(
            primary,
            self.wait_sql("'FFFFFFFF/0', '2 s'") + "; SELECT count(*) FROM neon_stat_replication;"
            " SELECT count(*) FROM neon_walsender_history(); SELECT count(*) FROM neon_walsender_eta();"
            " SELECT count(*) FROM neon_inactive_slots()",
        )
        self.until(primary, asleep, "1")
        primary.stop("smart")
        self.assertEqual(session.communicate(timeout=60), ("f\n0\n0\n0\n0\n", ""))
        self.assertNotRegex(primary.log(), "PANIC|WARNING|was terminated by signal")


class Server(WalsenderTest):
    def test_sample_interval(self):
        primary = self.start()
        self.client(receiver(primary, "sampled"), primary)
        count = "SELECT count(*) FROM neon_walsender_history()"
        self.until(primary, f"SELECT ({count}) > 2")
        primary.psql("ALTER SYSTEM SET neon.walsender_sample_interval = 0; SELECT pg_reload_conf()")
        self.until(primary, "SHOW neon.walsender_sample_interval", "0")
        time.sleep(1.5)
        stopped = primary.psql(count)
        time.sleep(2.5)
        self.assertEqual(primary.psql(count), stopped)
        refused = primary.psql("ALTER SYSTEM SET neon.walsender_sample_interval = '100ms'", check=False)
        self.assertIn("The interval must be at least 1000 ms; 0 turns the samples off.", refused.stderr)
        primary.psql("ALTER SYSTEM SET neon.walsender_sample_interval = '1s'; SELECT pg_reload_conf()")
        self.until(primary, f"SELECT ({count}) > {stopped} + 1")
        # Samples are in order, each pid's a second or more apart, and only asked-for ones are shown.
        self.assertEqual(
            primary.psql(
                "SELECT bool_and(gap >= '0.9 s') FROM (SELECT sample_time - lag(sample_time)"
                " OVER (PARTITION BY pid ORDER BY sample_time) AS gap FROM neon_walsender_history()) g"
            ),
            "t",
        )
        self.assertEqual(primary.psql("SELECT count(*) FROM neon_walsender_history(1)"), "0")
        self.assertEqual(primary.psql("SELECT count(*) FROM neon_walsender_eta(1)"), "0")

    def test_sampler_comes_back(self):
        primary = self.start()
        self.client(receiver(primary, "sampled"), primary)
        children = pathlib.Path(f"/proc/{primary.process.pid}/task/{primary.process.pid}/children")

        def sampler():
            for pid in children.read_text("ascii").split():
                if b"walsender sampler" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
            return None

        self.until(primary, "SELECT count(*) > 0 FROM neon_walsender_history()")
        os.kill(sampler(), signal.SIGTERM)
        ended = primary.psql("SELECT clock_timestamp() + '2 s'")
        self.until(primary, f"SELECT max(sample_time) > '{ended}' FROM neon_walsender_history()")

    def test_no_walsenders_allowed(self):
        primary = self.start(settings={"max_wal_senders": 0, "wal_level": "minimal"})
        for function in ("neon_stat_wal_senders()", "neon_walsender_history()", "neon_walsender_eta()"):
            self.assertEqual(primary.psql(f"SELECT count(*) FROM {function}"), "0")
        self.assertEqual(
            primary.psql("SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn()"), "|"
        )
        refused = primary.psql("SELECT neon_wait_for_replay('0/0')", check=False)
        self.assertIn("this server cannot have a standby to wait for", refused.stderr)

    def test_not_preloaded(self):
        primary = self.start(settings={"shared_preload_libraries": ""})
        standby = self.start("plain", {"shared_preload_libraries": ""}, standby_of=primary)
        self.until_caught_up(primary)
        self.pause(walreceiver_pid(standby))
        primary.psql(WRITE)
        primary.psql("SELECT pg_sleep(1)")
        self.assertEqual(
            primary.psql(
                "SELECT application_name, replay_bytes_behind >= 2000000, replay_lag >= '1 s', caught_up"
                " FROM neon_stat_replication"
            ),
            "plain|t|t|f",
        )
        with self.assertRaisesRegex(CommandFailed, "Add neon to shared_preload_libraries"):
            primary.psql("SELECT * FROM neon_walsender_history()")

    def test_parallel_query(self):
        primary = self.start()
        self.client(receiver(primary, "seen"), primary)
        self.until_caught_up(primary)
        setting = "debug_parallel_query" if major() >= 16 else "force_parallel_mode"
        rows = primary.psql(
            f"SET {setting} = on; CREATE TABLE t AS SELECT generate_series(1, 10) AS i;"
            " SELECT application_name, count(*), bool_and(neon_oldest_sent_lsn() IS NOT NULL)"
            " FROM neon_stat_replication, t GROUP BY 1"
        )
        self.assertEqual(rows, "seen|10|t")


if __name__ == "__main__":
    unittest.main()
