"""neon-redo receive with real servers: equality of bytes, restarts, timelines and errors."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
import unittest
import urllib.request

from cluster import (
    ROOT,
    Cluster,
    as_server_user,
    make_directory,
    neon_redo_program,
    run,
    server_user,
)

WAIT = 60  # seconds until something that must happen counts as not happening
SEGMENT = 1 << 20
# Kills in a row; NEON_REDO_LONG=1 asks for the number of the acceptance run.
KILLS = 200 if os.environ.get("NEON_REDO_LONG") else 10


def lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def wait_for(what, condition, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def wait_for_stream(cluster):
    """Waits for a walsender that streams, since one in state startup ends when the server stops."""
    streams = "SELECT count(*) FROM pg_stat_replication WHERE state IN ('catchup', 'streaming')"
    wait_for("a stream", lambda: cluster.psql(streams) == "1")


class Receiver:
    """A running neon-redo receive; output collected in a file."""

    def __init__(self, cluster, directory, *arguments, dbname=None, **options):
        self.log_path = directory + ".log"
        dbname = dbname or f"host={cluster.directory} port={cluster.port} user=postgres"
        command = [neon_redo_program(), "receive", "--dbname", dbname, "--wal", directory]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--status-interval", "0.2", *arguments], stderr=log, **options
            )

    def log(self):
        return pathlib.Path(self.log_path).read_text("utf-8")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT)

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT)


@contextlib.contextmanager
def load(cluster):
    """Small transactions from four clients while the block runs; server crashes do not end the block."""
    ended = threading.Event()

    def work():
        command = [cluster.program("pgbench"), "-n", "-N", "-c", "4", "-T", "3600", "postgres"]
        while not ended.is_set():
            with subprocess.Popen(
                as_server_user(command, die_with_parent=True),
                env=cluster.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=cluster.directory,
            ) as process:
                while process.poll() is None and not ended.is_set():
                    time.sleep(0.02)
                process.terminate()
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Receive(unittest.TestCase):
    settings = {
        "max_wal_size": "64MB",
        "wal_keep_size": "4GB",
        "autovacuum": "off",
        "wal_level": "replica",
    }

    def cluster(self, **settings):
        cluster = Cluster(settings={**self.settings, **settings}, wal_segment_mb=1)
        return self.enterContext(cluster)

    def directory(self):
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.addCleanup(lambda: os.path.exists(directory + ".log") and os.unlink(directory + ".log"))
        return directory

    def receive(self, cluster, directory, *arguments, **options):
        receiver = Receiver(cluster, directory, *arguments, **options)

        def end():
            if receiver.process.poll() is None:
                receiver.kill()

        self.addCleanup(end)
        return receiver

    def refused(self, cluster, directory, *arguments, **options):
        """Runs receive until it ends with an error; returns its last line."""
        receiver = self.receive(cluster, directory, *arguments, **options)
        self.assertEqual(receiver.process.wait(WAIT), 2, receiver.log())
        return receiver.log().strip().splitlines()[-1]

    def slot_flushed(self, cluster, slot="s"):
        text = cluster.psql(
            f"SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"
        )
        return lsn(text) if text else 0

    def catch_up(self, cluster, receiver, slot="s"):
        """Waits until the slot shows that all present WAL is on the receiver's disk."""
        end = lsn(cluster.psql("SELECT pg_current_wal_flush_lsn()"))
        wait_for("the slot at the end of WAL", lambda: self.slot_flushed(cluster, slot) >= end)
        self.assertIsNone(receiver.process.poll(), receiver.log())
        return end

    def assert_same_wal(self, directory, wal, up_to, timeline=1, only_last=False):
        """Every received byte below up_to is the server's, and none is missing.

        only_last: bytes are compared in the last few segments only.
        """
        names = sorted(n for n in os.listdir(directory) if re.fullmatch(r"[0-9A-F]{24}(.partial)?", n))
        names = [n for n in names if int(n[:8], 16) == timeline]
        self.assertTrue(names)
        numbers = [int(n[8:16], 16) * (1 << 32) // SEGMENT + int(n[16:24], 16) for n in names]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))), names)
        for name, number in list(zip(names, numbers))[-8 if only_last else 0 :]:
            received = pathlib.Path(directory, name).read_bytes()
            self.assertEqual(len(received), SEGMENT, name)
            length = max(0, min(SEGMENT, up_to - number * SEGMENT))
            original = pathlib.Path(wal, name[:24]).read_bytes()
            self.assertEqual(received[:length], original[:length], name)
            if not name.endswith(".partial"):
                self.assertEqual(received, original, name)
        self.assertGreaterEqual((numbers[-1] + 1) * SEGMENT, up_to)
        return len(names)

    def test_bytes_under_load(self):
        cluster, directory = self.cluster(), self.directory()
        cluster.pgbench("-i", "-q")
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        with load(cluster):
            time.sleep(3)
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assertIn("stopped at", receiver.log())
        self.assertGreater(self.assert_same_wal(directory, cluster.wal, end), 3)

    def test_client_killed_again_and_again(self):
        """After kill -9 at any moment no WAL is missing, and the slot is never ahead of the disk."""
        self.kill_clients(os.environ)

    def test_power_cut_again_and_again(self):
        """The same, and everything that was not flushed is lost, too."""
        module = ROOT / "build" / "tests" / "integration" / "power_cut.so"
        self.assertTrue(module.exists())
        self.kill_clients({**os.environ, "LD_PRELOAD": str(module)})

    def kill_clients(self, environment):
        cluster, directory = self.cluster(), self.directory()
        cluster.pgbench("-i", "-q")
        cluster.psql("SELECT pg_create_physical_replication_slot('s', true)")
        reserved = self.slot_flushed(cluster)
        with load(cluster):
            for i in range(KILLS):
                receiver = self.receive(
                    cluster,
                    directory,
                    "--slot",
                    "s",
                    *(["--synchronous"] * (i % 2)),
                    env=environment,
                )
                time.sleep(0.05 + (i * 37 % 100) / 250)
                receiver.kill()
                flushed = self.slot_flushed(cluster)
                if flushed > reserved:
                    self.assert_same_wal(directory, cluster.wal, flushed, only_last=i % 20 != 0)
            receiver = self.receive(cluster, directory, "--slot", "s")
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assert_same_wal(directory, cluster.wal, end)

    def test_walsender_killed_again_and_again(self):
        """SIGTERM ends only the walsender; SIGKILL restarts the whole server."""
        cluster, directory = self.cluster(restart_after_crash="on"), self.directory()
        cluster.pgbench("-i", "-q")
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")

        def walsender():
            query = "SELECT pid FROM pg_stat_replication WHERE state <> 'startup'"
            result = cluster.psql(query, check=False)
            return result.stdout.strip() if result.returncode == 0 else ""

        with load(cluster):
            for i in range(KILLS):
                wait_for("a walsender", walsender)
                time.sleep((i * 37 % 100) / 500)
                pid = walsender()
                if not pid:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL if i % 2 else signal.SIGTERM)
            wait_for("a walsender", walsender)
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assertIn("streaming again from", receiver.log())
        self.assert_same_wal(directory, cluster.wal, end)

    def test_slot_moves_on_an_idle_stream(self):
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100)")
        self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)

    def test_synchronous_standby(self):
        """Commits wait for the flush here, and do not wait long."""
        cluster, directory = self.cluster(synchronous_standby_names="neon_redo"), self.directory()
        receiver = self.receive(
            cluster, directory, "--slot", "s", "--create-slot", "--synchronous"
        )
        query = "SELECT sync_state FROM pg_stat_replication"
        wait_for("the synchronous standby", lambda: cluster.psql(query) == "sync")
        cluster.psql("CREATE TABLE t (a int); SET statement_timeout = '20s'; INSERT INTO t VALUES (1)")
        end = lsn(cluster.psql("SELECT flush_lsn FROM pg_stat_replication"))
        receiver.kill()
        self.assert_same_wal(directory, cluster.wal, end)

    def test_server_shuts_down_and_comes_back(self):
        """A fast shutdown waits until its last WAL is on disk here; streaming resumes by itself."""
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        wait_for_stream(cluster)
        cluster.restart()
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100)")
        end = self.catch_up(cluster, receiver)
        self.assertIn("the server has shut down", receiver.log())
        self.assertEqual(receiver.stop(), 0)
        self.assert_same_wal(directory, cluster.wal, end)

    def test_until(self):
        cluster, directory = self.cluster(), self.directory()
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000)")
        end = cluster.psql("SELECT pg_current_wal_flush_lsn()")
        receiver = self.receive(cluster, directory, "--until", end)
        self.assertEqual(receiver.process.wait(WAIT), 0, receiver.log())
        self.assert_same_wal(directory, cluster.wal, lsn(end))

    def test_compressed_segments(self):
        for method, suffix, program in (("lz4", ".lz4", "lz4"), ("zstd", ".zst", "zstd")):
            with self.subTest(method):
                cluster, directory = self.cluster(), self.directory()
                arguments = ["--slot", "s", "--create-slot", "--compress", method]
                receiver = self.receive(cluster, directory, *arguments)
                cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 50000)")
                self.catch_up(cluster, receiver)
                receiver.kill()
                receiver = self.receive(cluster, directory, *arguments)
                cluster.psql("INSERT INTO t SELECT generate_series(1, 50000)")
                end = self.catch_up(cluster, receiver)
                self.assertEqual(receiver.stop(), 0)
                names = os.listdir(directory)
                self.assertGreater(sum(n.endswith(suffix) for n in names), 4, names)
                self.assertFalse([n for n in names if not n.endswith((suffix, ".partial"))])
                for name in names:
                    if name.endswith(suffix):
                        path = os.path.join(directory, name)
                        run([program, "-d", "-q", path, "-o", path[: -len(suffix)]]
                            if program == "zstd" else [program, "-d", "-q", path, path[: -len(suffix)]])
                self.assert_same_wal(directory, cluster.wal, end)

    def test_standby_from_received_directory(self):
        """A restore with restore_command from the directory has the same content."""
        cluster, directory = self.cluster(), self.directory()
        cluster.pgbench("-i", "-q")
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        wait_for("streaming", lambda: self.slot_flushed(cluster))
        backup = cluster.basebackup("backup", "--wal-method=none")
        with load(cluster):
            time.sleep(2)
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        run(["chmod", "-R", "a+rX", directory])
        tables = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")
        checksum = ";".join(
            f"SELECT '{t}', count(*), md5(string_agg(x, '|' ORDER BY x)) FROM (SELECT t::text x FROM {t} t) q"
            for t in tables
        )
        expected = cluster.psql(checksum)
        cluster.run_as_server(["touch", os.path.join(backup, "standby.signal")])
        restore = f"cp {directory}/%f %p || cp {directory}/%f.partial %p"
        settings = {"restore_command": restore, "hot_standby": "on"}
        with Cluster("restored", settings=settings, from_backup=backup) as standby:
            wait_for("replay", lambda: lsn(standby.psql("SELECT pg_last_wal_replay_lsn()")) >= end)
            standby.promote()
            self.assertEqual(standby.psql(checksum), expected)
            standby.psql("CREATE EXTENSION amcheck")
            standby.psql(
                "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam"
                " WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'"
            )

    def test_promoted_server_is_followed(self):
        """The switch to timeline 2 while streaming from a standby, and a restart after it."""
        primary, directory = self.cluster(), self.directory()
        primary.pgbench("-i", "-q")
        standby = Cluster("standby", standby_of=primary, settings={"wal_keep_size": "4GB"})
        self.enterContext(standby)
        standby.psql("SELECT pg_create_physical_replication_slot('s', true)")
        receiver = self.receive(standby, directory, "--slot", "s")
        with load(primary):
            time.sleep(1)
        # A stopped server writes no more WAL; what it has is what the standby was sent.
        primary.stop()
        standby.promote()
        standby.psql("CREATE TABLE t AS SELECT generate_series(1, 100000)")
        end = self.catch_up(standby, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assertIn("going on with timeline 2", receiver.log())
        history = pathlib.Path(directory, "00000002.history")
        self.assertEqual(
            history.read_bytes(), pathlib.Path(standby.wal, "00000002.history").read_bytes()
        )
        switch_point = lsn(history.read_text("ascii").split("\t")[1])
        self.assert_same_wal(directory, primary.wal, min(switch_point, end) // SEGMENT * SEGMENT)
        self.assert_same_wal(directory, standby.wal, end, timeline=2)
        receiver = self.receive(standby, directory, "--slot", "s")
        standby.psql("INSERT INTO t SELECT generate_series(1, 100000)")
        end = self.catch_up(standby, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assert_same_wal(directory, standby.wal, end, timeline=2)

    def test_two_switches_while_away(self):
        """From timeline 1 through 2 to 3 after a pause."""
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100)")
        self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        for _ in range(2):
            cluster.psql("INSERT INTO t SELECT generate_series(1, 30000)")
            cluster.stop()
            cluster.run_as_server(["touch", os.path.join(cluster.data, "standby.signal")])
            cluster.start()
            cluster.promote()
        cluster.psql("INSERT INTO t SELECT generate_series(1, 30000)")
        receiver = self.receive(cluster, directory, "--slot", "s")
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        for timeline in (2, 3):
            self.assertIn(f"going on with timeline {timeline}", receiver.log())
            name = f"{timeline:08X}.history"
            original = pathlib.Path(cluster.wal, name).read_bytes()
            self.assertEqual(pathlib.Path(directory, name).read_bytes(), original)
            switch = lsn(original.decode("ascii").strip().splitlines()[-1].split("\t")[1])
            self.assert_same_wal(directory, cluster.wal, switch, timeline=timeline - 1)
        self.assert_same_wal(directory, cluster.wal, end, timeline=3)

    def test_after_a_failover_that_lost_wal(self):
        """The standby that is promoted never got the end of timeline 1, which is in the directory."""
        primary, directory = self.cluster(), self.directory()
        standby = Cluster("standby", standby_of=primary, settings={"wal_keep_size": "4GB"})
        self.enterContext(standby)
        primary.psql("CREATE TABLE t AS SELECT 1 AS a")
        end = lsn(primary.psql("SELECT pg_current_wal_flush_lsn()"))
        replayed = lambda: lsn(standby.psql("SELECT pg_last_wal_replay_lsn()"))
        wait_for("the standby", lambda: replayed() >= end)
        standby.stop()
        receiver = self.receive(primary, directory, "--slot", "s", "--create-slot")
        primary.psql("INSERT INTO t SELECT generate_series(1, 100000); SELECT pg_switch_wal()")
        self.catch_up(primary, receiver)
        self.assertEqual(receiver.stop(), 0)
        lost = sorted(os.listdir(directory))
        primary.stop()
        standby.start()
        standby.promote()
        standby.psql("SELECT pg_create_physical_replication_slot('s', true)")
        standby.psql("CREATE TABLE u AS SELECT generate_series(1, 100000); SELECT pg_switch_wal()")
        receiver = self.receive(standby, directory, "--slot", "s")
        end = self.catch_up(standby, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assertIn("timeline 2 left timeline 1 at", receiver.log())
        self.assertLessEqual(set(lost), set(os.listdir(directory)))
        self.assert_same_wal(directory, standby.wal, end, timeline=2)
        # The old primary comes back: it is not the server that the directory follows.
        primary.start()
        self.assertIn("is an older copy", self.refused(primary, directory, "--slot", "s"))

    def test_segments_that_another_program_compressed(self):
        for method in ("gzip", "lz4"):
            with self.subTest(method):
                cluster, directory = self.cluster(), self.directory()
                cluster.psql("SELECT pg_create_physical_replication_slot('s', true)")
                cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 50000)")
                end = cluster.psql("SELECT pg_current_wal_flush_lsn()")
                connection = ["-h", cluster.directory, "-p", str(cluster.port), "-U", "postgres"]
                options = ["-D", directory, "-E", end, f"--compress={method}", "-S", "s", "--no-loop"]
                run([cluster.program("pg_receivewal"), *connection, *options])
                suffix = {"gzip": ".gz", "lz4": ".lz4"}[method]
                last = max(n for n in os.listdir(directory) if n.endswith(suffix))
                cluster.psql("INSERT INTO t SELECT generate_series(1, 50000)")
                receiver = self.receive(cluster, directory, "--slot", "s")
                self.catch_up(cluster, receiver)
                self.assertEqual(receiver.stop(), 0)
                segments = {n[:24] for n in os.listdir(directory) if re.match("[0-9A-F]{24}", n)}
                numbers = sorted(int(n[8:16], 16) * 4096 + int(n[16:], 16) for n in segments)
                self.assertEqual(numbers, list(range(numbers[0], numbers[-1] + 1)))
                self.assertNotIn(last[:24], os.listdir(directory))
                # The last one is cut short: it is received again.
                for name in os.listdir(directory):
                    if name[:24] > last[:24]:
                        os.unlink(os.path.join(directory, name))
                os.truncate(os.path.join(directory, last), 3000)
                cluster.psql("SELECT pg_drop_replication_slot('s')")
                receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
                self.catch_up(cluster, receiver)
                self.assertEqual(receiver.stop(), 0)
                self.assertIn(f'{last}" is cut short or damaged', receiver.log())
                self.assertIn(last[:24], os.listdir(directory))
                # By a method that is not known.
                newer = max(n[:24] for n in os.listdir(directory) if re.match("[0-9A-F]{24}$", n))
                os.rename(os.path.join(directory, newer), os.path.join(directory, newer + ".lzo"))
                self.assertIn("in a form that cannot be read", self.refused(cluster, directory))

    # What cannot go on ends with the server's own words and status 2.

    def test_removed_wal(self):
        cluster, directory = self.cluster(wal_keep_size="0", min_wal_size="2MB", max_wal_size="2MB"), self.directory()
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100)")
        receiver = self.receive(cluster, directory, "--until", cluster.wal_lsn())
        receiver.process.wait(WAIT)
        for _ in range(12):
            cluster.psql("INSERT INTO t VALUES (1); SELECT pg_switch_wal(); CHECKPOINT")
        message = self.refused(cluster, directory)
        self.assertRegex(message, "requested WAL segment [0-9A-F]{24} has already been removed")
        self.assertIn("58P01", message)

    def test_wrong_system(self):
        one, other, directory = self.cluster(), self.cluster(), self.directory()
        one.psql("CREATE TABLE t AS SELECT generate_series(1, 100)")
        receiver = self.receive(one, directory, "--until", one.wal_lsn())
        self.assertEqual(receiver.process.wait(WAIT), 0, receiver.log())
        before = {n: pathlib.Path(directory, n).read_bytes() for n in os.listdir(directory)}
        self.assertIn("holds WAL of another system", self.refused(other, directory))
        after = {n: pathlib.Path(directory, n).read_bytes() for n in os.listdir(directory)}
        self.assertEqual(before, after)

    def test_another_system_takes_its_place(self):
        """After the connection is lost, the host's name leads to another cluster."""
        one, other, directory = self.cluster(), self.cluster(), self.directory()
        link = os.path.join(self.directory(), "db")
        os.symlink(one.directory, link)
        receiver = self.receive(one, directory, dbname=f"host={link} user=postgres")
        wait_for_stream(one)
        os.symlink(other.directory, link + ".new")
        os.rename(link + ".new", link)
        one.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        self.assertEqual(receiver.process.wait(WAIT), 2, receiver.log())
        self.assertIn("the server is another one: its system identifier is", receiver.log())

    def test_missing_and_dropped_slot(self):
        cluster, directory = self.cluster(), self.directory()
        self.assertIn('replication slot "s" does not exist', self.refused(cluster, directory, "--slot", "s"))
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        wait_for_stream(cluster)
        # The receiver comes back at once: try until the slot is dropped before it does.
        drop = (
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_replication;"
            "SELECT pg_drop_replication_slot('s')"
        )
        wait_for("dropping the slot", lambda: cluster.psql(drop, check=False).returncode == 0)
        self.assertEqual(receiver.process.wait(WAIT), 2, receiver.log())
        self.assertRegex(receiver.log(), 'replication slot "s" does not exist .*42704')

    def test_no_permission(self):
        cluster, directory = self.cluster(), self.directory()
        cluster.psql("CREATE ROLE plain LOGIN")
        message = self.refused(
            cluster, directory, dbname=f"host={cluster.directory} port={cluster.port} user=plain"
        )
        self.assertRegex(message, "(must be superuser or replication role|permission denied to start WAL sender).*(42501|28000)")

    def test_full_disk(self):
        """A 4 MB file system fills up; once it has space again, the archive continues without a gap."""
        cluster, directory = self.cluster(), self.directory()
        cluster.psql("CREATE TABLE t (a int)")
        limit = None
        if server_user():
            run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", directory])
            self.addCleanup(run, ["umount", directory])
        else:
            # Without the right to mount: a file cannot grow beyond half a segment.
            def limit():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT // 2, SEGMENT // 2))

        cluster.psql("SELECT pg_create_physical_replication_slot('s', true)")
        cluster.psql("INSERT INTO t SELECT generate_series(1, 100000)")
        message = self.refused(cluster, directory, "--slot", "s", preexec_fn=limit)
        self.assertRegex(message, "No space left on device|File too large")
        self.assertIn(".partial", message)
        flushed = self.slot_flushed(cluster)
        if limit is None:
            self.assert_same_wal(directory, cluster.wal, min(flushed, self.end_of(directory)))
            run(["mount", "-o", "remount,size=64m", directory])
        receiver = self.receive(cluster, directory, "--slot", "s")
        end = self.catch_up(cluster, receiver)
        self.assertEqual(receiver.stop(), 0)
        self.assert_same_wal(directory, cluster.wal, end)

    def end_of(self, directory):
        names = [n for n in os.listdir(directory) if re.fullmatch("[0-9A-F]{24}", n)]
        return max(int(n[8:16], 16) * (1 << 32) + (int(n[16:24], 16) + 1) * SEGMENT for n in names)

    def test_unusable_directories(self):
        cluster, directory = self.cluster(), self.directory()
        self.assertIn("No such file or directory", self.refused(cluster, directory + "/none"))
        os.unlink(directory + "/none.log")
        if server_user():
            run(["mount", "-t", "tmpfs", "-o", "ro", "none", directory])
            self.addCleanup(run, ["umount", directory])
        else:
            os.chmod(directory, 0o500)
        self.assertRegex(self.refused(cluster, directory), "Read-only file system|Permission denied")

    def test_metrics(self):
        """The metrics agree with the server and with the files."""
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(
            cluster, directory, "--slot", "s", "--create-slot", "--metrics", "127.0.0.1:0"
        )
        wait_for("the port", lambda: "metrics on port" in receiver.log())
        port = int(re.search(r"metrics on port (\d+)", receiver.log())[1])

        def value(name):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT) as answer:
                text = answer.read().decode()
            found = re.search(rf'^neon_redo_receive_{name}{{slot="s"}} (\S+)$', text, re.MULTILINE)
            return float(found[1]) if found else None

        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 50000)")
        end = self.catch_up(cluster, receiver)
        wait_for("the flushed position", lambda: value("flushed_lsn_bytes") >= end)
        self.assertGreaterEqual(value("written_lsn_bytes"), end)
        self.assertGreaterEqual(value("server_lsn_bytes"), end)
        self.assertEqual((value("connected"), value("timeline")), (1, 1))
        complete = sum(bool(re.fullmatch("[0-9A-F]{24}", n)) for n in os.listdir(directory))
        self.assertEqual(value("segments_total"), complete)
        self.assertGreaterEqual(value("flushes_total"), complete)
        self.assertGreater(value("flush_seconds_total"), 0)
        self.assertGreater(value("received_bytes_total"), (complete - 1) * SEGMENT)
        self.assertGreater(value("status_messages_total"), 0)
        self.assertLess(abs(value("last_message_timestamp_seconds") - time.time()), WAIT)
        cluster.restart()
        wait_for("the reconnection", lambda: value("reconnects_total") == 1)
        wait_for("no lag", lambda: value("flush_lag_bytes") == 0)
        taken = self.refused(cluster, self.directory(), "--metrics", str(port))
        self.assertIn("could not serve metrics on 127.0.0.1:%d: Address already in use" % port, taken)
        self.assertIn("neither PORT nor", self.refused(cluster, self.directory(), "--metrics", "db:1"))
        self.assertEqual(receiver.stop(), 0)

    def test_two_receivers_into_one_directory(self):
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(cluster, directory)
        wait_for_stream(cluster)
        self.assertIn("in use by another receiver", self.refused(cluster, directory))
        self.assertEqual(receiver.stop(), 0)

    def test_no_server(self):
        cluster, directory = self.cluster(), self.directory()
        message = self.refused(cluster, directory, dbname=f"host={directory}")
        self.assertIn("could not connect", message)

    def test_a_stop_reports_what_is_on_disk(self):
        cluster = self.cluster()
        directory = self.directory()
        arguments = ["--slot", "s", "--create-slot", "--status-interval", "1000"]
        receiver = self.receive(cluster, directory, *arguments)
        wait_for("the slot", lambda: self.slot_flushed(cluster))
        cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000)")
        end = lsn(cluster.psql("SELECT pg_current_wal_flush_lsn()"))
        wait_for("the WAL in the directory", lambda: self.has_wal(directory, cluster.wal, end))
        self.assertLess(self.slot_flushed(cluster), end)
        self.assertEqual(receiver.stop(), 0)
        # The server takes in the last report after the command has ended.
        wait_for("the slot's position", lambda: self.slot_flushed(cluster) >= end)

    @staticmethod
    def has_wal(directory, wal, end):
        """The directory's last bytes before `end` are the server's."""
        number = (end - 1) // SEGMENT
        name = f"00000001{number >> 12:08X}{number & 0xFFF:08X}"
        files = [pathlib.Path(directory, name + suffix) for suffix in ("", ".partial")]
        length = end - number * SEGMENT
        original = pathlib.Path(wal, name).read_bytes()[:length]
        return any(file.exists() and file.read_bytes()[:length] == original for file in files)

    def test_stop_is_quick(self):
        """SIGINT ends the command at once, whether it streams or waits for a server."""
        cluster, directory = self.cluster(), self.directory()
        receiver = self.receive(cluster, directory, "--slot", "s", "--create-slot")
        self.catch_up(cluster, receiver)
        cluster.stop()
        wait_for("the loss to be seen", lambda: "next attempt" in receiver.log())
        time.sleep(1)
        self.assertEqual(receiver.stop(), 0)


if __name__ == "__main__":
    unittest.main()
