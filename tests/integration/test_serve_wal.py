"""neon-redo serve-wal with PostgreSQL's clients: equality of bytes, the end of WAL, timelines, slots, stops."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from cluster import Cluster, as_server_user, make_directory, neon_redo_program, server_program
from test_receive import load, lsn, wait_for
from wal_server import WAIT, WalServer, chown

SEGMENT = 1 << 20
# The program that decompresses, by suffix.
UNPACKERS = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
SETTINGS = {
    "max_wal_size": "64MB",
    "wal_keep_size": "4GB",
    "autovacuum": "off",
    "wal_level": "replica",
}


def segments(directory):
    return sorted(name for name in os.listdir(directory) if len(name) == 24)


def content(directory, name):
    """That of a segment, which may be in progress or compressed."""
    for suffix, command in UNPACKERS.items():
        path = os.path.join(directory, name + suffix)
        if os.path.exists(path):
            return run_bytes([command, "-dc", path])
    path = pathlib.Path(directory, name)
    return (path if path.exists() else path.with_suffix(".partial")).read_bytes()


def run_bytes(command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=WAIT).stdout


class ServeWalCase(unittest.TestCase):
    def cluster(self, **options):
        options = {"settings": SETTINGS, "wal_segment_mb": 1, **options}
        return self.enterContext(Cluster(**options))

    def directory(self):
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.addCleanup(lambda: os.path.exists(directory + ".log") and os.unlink(directory + ".log"))
        return directory

    def server(self, wal, *arguments):
        return self.enterContext(WalServer(wal, *arguments))

    def standby(self, backup, conninfo, start=True):
        """A standby that is made of the base backup, and streams from there."""
        standby = Cluster(
            "standby", from_backup=backup, settings={**SETTINGS, "primary_conninfo": conninfo}, start=False
        )
        self.enterContext(standby)
        standby.run_as_server(["touch", os.path.join(standby.data, "standby.signal")])
        if start:
            standby.start()
        return standby

    def archive(self, cluster):
        """A copy of a cluster's WAL, which ends at the cluster's end of WAL."""
        directory = self.directory()
        shutil.copytree(cluster.wal, directory, dirs_exist_ok=True)
        chown(directory)
        return directory

    def assertSameWal(self, copy, original, end):
        """Every byte up to end is the same, and after it the copy has zeroes."""
        end = lsn(end)
        compared = 0
        for name in sorted(os.listdir(copy)):
            if len(name) != 24 and not name.endswith(".partial"):
                continue
            number = int(name[8:16], 16) * 4096 + int(name[16:24], 16)
            part = max(0, min(SEGMENT, end - number * SEGMENT))
            data = pathlib.Path(copy, name).read_bytes()
            self.assertEqual(data[:part], content(original, name[:24])[:part], name)
            self.assertEqual(data[part:], bytes(SEGMENT - part), f"{name} behind the end")
            compared += part
        return compared


class Archive(ServeWalCase):
    """One archive of a stopped server, for the tests that only read it."""

    @classmethod
    def setUpClass(cls):
        with Cluster(settings=SETTINGS, wal_segment_mb=1) as cluster:
            cluster.pgbench("-i", "-q", "-s", "2")
            cluster.psql("SELECT pg_switch_wal()")  # a segment whose end is zeroes
            cluster.pgbench("-n", "-N", "-t", "200")
            cluster.stop()
            cls.wal = make_directory()
            shutil.copytree(cluster.wal, cls.wal, dirs_exist_ok=True)
            chown(cls.wal)
        cls.addClassCleanup(shutil.rmtree, cls.wal)
        cls.first = os.path.join(cls.wal, segments(cls.wal)[0])

    def end(self, server):
        return server.query("IDENTIFY_SYSTEM").split("|")[2]

    def test_receivers_get_every_byte_and_none_past_the_end(self):
        server = self.server(self.wal)
        end = self.end(server)
        for name in ("pg_receivewal", "receive"):
            with self.subTest(name):
                copy = self.directory()
                make = getattr(server, name)
                server.run(make(copy, end, start=self.first))
                self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 * SEGMENT)

    def test_commands(self):
        server = self.server(self.wal)
        identity = server.query("IDENTIFY_SYSTEM").split("|")
        self.assertEqual(identity[1], "1")
        self.assertEqual(server.query("SHOW wal_segment_size"), "1MB")
        self.assertEqual(server.query("SHOW wal_sender_timeout;"), "1min")
        for command, sqlstate in (
            ("SHOW nonsense", "42704"),
            ("TIMELINE_HISTORY 7", "58P01"),
            ("TIMELINE_HISTORY 0", "42601"),
            ("START_REPLICATION 0/0 TIMELINE 5", "XX000"),
            ("START_REPLICATION SLOT nowhere 0/0", "42704"),
            ("START_REPLICATION SLOT s LOGICAL 0/0", "0A000"),
            ("CREATE_REPLICATION_SLOT s LOGICAL pgoutput", "0A000"),
            ('CREATE_REPLICATION_SLOT "Bad" PHYSICAL', "42602"),
            ("DROP_REPLICATION_SLOT nowhere", "42704"),
            ("BASE_BACKUP ( LABEL 'x' )", "0A000"),
            ("SELECT 1", "0A000"),
            ("START_REPLICATION", "42601"),
            ('READ_REPLICATION_SLOT "x', "42601"),
        ):
            with self.subTest(command):
                self.assertIn(f"ERROR:  {sqlstate}:", server.query(command, check=False))

    def test_a_start_behind_the_end(self):
        """Is refused after copying has begun, as by PostgreSQL; the connection remains usable."""
        server = self.server(self.wal)
        with RawClient(server) as client:
            client.start("FF/0")
            self.assertIn(b"ahead of the WAL flush position", client.read_until(b"E"))
            client.read_until(b"Z")
            client.start(self.end(server))

    def test_only_physical_replication_of_the_same_user(self):
        server = self.server(self.wal)
        refused = server.query("SELECT 1", check=False, conninfo=server.conninfo())
        self.assertIn("FATAL:  this server streams WAL and has no databases", refused)
        mode = os.stat(os.path.join(server.directory, ".s.PGSQL.5432")).st_mode
        self.assertEqual(mode & 0o777, 0o700)
        if os.geteuid() == 0:
            conninfo = server.conninfo() + " replication=true"
            result = subprocess.run(
                ["psql", "-X", "-d", conninfo, "-c", "IDENTIFY_SYSTEM"],
                capture_output=True, text=True, check=False, env=server.environment(),
            )  # fmt: skip
            self.assertIn('FATAL:  Peer authentication failed for user "postgres"', result.stderr)

    def test_a_base_backup_is_refused_clearly(self):
        server = self.server(self.wal)
        command = [server_program("pg_basebackup"), "-d", server.conninfo(), "-D", server.directory + "/backup"]
        with self.assertRaisesRegex(Exception, "this server has WAL only"):
            server.run(command)

    def test_a_removed_segment(self):
        wal = self.directory()
        shutil.copytree(self.wal, wal, dirs_exist_ok=True)
        names = segments(wal)
        os.unlink(os.path.join(wal, names[9]))
        chown(wal)
        server = self.server(wal)
        copy = self.directory()
        result = server.run(server.pg_receivewal(copy, start=self.first), check=False)
        self.assertIn(
            f"ERROR:  requested WAL segment {names[9]} has already been removed", result.stderr
        )
        self.assertEqual(segments(copy), names[:9])

    def test_damage_is_not_sent(self):
        """Before a hole or a foreign page everything arrives, and nothing of the page itself."""
        names = segments(self.wal)
        for what, page in (("hole", bytes(8192)), ("page", pathlib.Path(self.first).read_bytes()[8192:16384])):
            with self.subTest(what):
                wal = self.directory()
                shutil.copytree(self.wal, wal, dirs_exist_ok=True)
                with open(os.path.join(wal, names[5]), "r+b") as file:
                    file.seek(40 * 8192)
                    file.write(page)
                chown(wal)
                server = self.server(wal)
                copy = self.directory()
                result = server.run(server.pg_receivewal(copy, start=self.first), check=False)
                self.assertIn("is damaged: at offset 327680", result.stderr)
                self.assertEqual(segments(copy), names[:5])

    def test_slots_are_kept(self):
        wal = self.directory()
        shutil.copytree(self.wal, wal, dirs_exist_ok=True)
        chown(wal)
        server = self.server(wal)
        end = self.end(server)
        server.query("CREATE_REPLICATION_SLOT one PHYSICAL")
        server.query("CREATE_REPLICATION_SLOT two PHYSICAL RESERVE_WAL")
        server.query("CREATE_REPLICATION_SLOT three TEMPORARY PHYSICAL")
        self.assertIn("42710", server.query("CREATE_REPLICATION_SLOT one PHYSICAL", check=False))
        self.assertEqual(server.query("READ_REPLICATION_SLOT one"), "physical||")
        self.assertEqual(server.query("READ_REPLICATION_SLOT two"), f"physical|{end}|1")
        self.assertEqual(server.query("READ_REPLICATION_SLOT three"), "||")
        server.run(server.receive(self.directory(), end, "--slot=one", start=self.first))
        server.query("DROP_REPLICATION_SLOT two")
        self.assertEqual(server.stop(), 0, server.log())
        server.start()
        self.assertEqual(server.query("READ_REPLICATION_SLOT two"), "||")
        self.assertEqual(server.query("READ_REPLICATION_SLOT one"), f"physical|{end}|1")

    def test_stopping_sends_the_rest_first(self):
        server = self.server(self.wal)
        end = self.end(server)
        copy = self.directory()
        with subprocess.Popen(
            as_server_user(server.pg_receivewal(copy, start=self.first)),
            stderr=subprocess.PIPE,
            cwd=server.directory,
        ) as client:
            wait_for("a segment", lambda: len(os.listdir(copy)) > 1)
            self.assertEqual(server.stop(), 0, server.log())
            client.communicate(timeout=WAIT)
        self.assertIn("1 client to get the rest", server.log())
        # It keeps what it has of the last segment under its name in work.
        self.assertSameWal(copy, self.wal, end)
        size = sum(1 for name in os.listdir(copy) if name.endswith(".partial"))
        self.assertEqual(size, 1)

    def test_a_silent_client_is_asked_and_then_left(self):
        server = self.server(self.wal, "--timeout", "1")
        with RawClient(server) as client:
            client.start(self.end(server))
            began = time.monotonic()
            asked = client.read_until(b"d")  # a keepalive
            self.assertEqual((asked[0:1], asked[-1]), (b"k", 1))
            self.assertLess(0.3, time.monotonic() - began)
            self.assertEqual(client.read_rest(), b"")
        wait_for("the log", lambda: "replication timeout" in server.log())

    def test_cancel(self):
        server = self.server(self.wal)
        with RawClient(server) as client:
            client.start(self.end(server))
            client.cancel()
            self.assertIn(b"57014", client.read_until(b"E"))
            client.read_until(b"Z")


class RawClient:
    """A client without libpq, so that it can send what libpq would not."""

    def __init__(self, server, user="raw", log_in=True):
        self.user = user
        self.log_in = log_in
        self.path = os.path.join(server.directory, ".s.PGSQL.5432")
        self.uid = os.stat(server.directory).st_uid

    def connect(self):
        # The peer's user is looked at when it connects.
        own = os.geteuid()
        os.seteuid(self.uid)
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(WAIT)
            connection.connect(self.path)
        finally:
            os.seteuid(own)
        return connection

    def __enter__(self):
        self.socket = self.connect()
        if not self.log_in:
            return self
        for code in (80877103, 80877104):  # SSL, GSSAPI encryption
            self.socket.sendall(struct.pack("!ii", 8, code))
            assert self.socket.recv(1) == b"N"
        body = struct.pack("!i", 3 << 16) + f"user\0{self.user}\0replication\0true\0\0".encode()
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.id, self.key = struct.unpack("!II", self.read_until(b"K"))
        self.read_until(b"Z")
        return self

    def __exit__(self, *_exception):
        self.socket.close()

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError(data)
            data += part
        return data

    def read_message(self):
        kind = self.read(1)
        (length,) = struct.unpack("!i", self.read(4))
        return kind, self.read(length - 4)

    def read_until(self, wanted):
        while True:
            kind, body = self.read_message()
            if kind == wanted:
                return body

    def read_rest(self):
        data = b""
        while part := self.socket.recv(65536):
            data += part
        return data

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def start(self, position):
        self.send(b"Q", f"START_REPLICATION PHYSICAL {position} TIMELINE 1\0".encode())
        self.read_until(b"W")

    def cancel(self):
        with self.connect() as other:
            other.sendall(struct.pack("!iiII", 16, 80877102, self.id, self.key))
            assert other.recv(1) == b""


@contextlib.contextmanager
def archiver(cluster, directory):
    """neon-redo receive from a cluster, as the server's user."""
    program = os.path.join(cluster.directory, "neon-redo")
    shutil.copy(neon_redo_program(), program)
    os.chmod(program, 0o755)
    command = [program, "receive", "--wal", directory, "--slot=s", "--create-slot", "--dbname"]
    with subprocess.Popen(
        as_server_user([*command, f"host={cluster.directory} user=postgres"], die_with_parent=True),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Following(ServeWalCase):
    def test_a_standby_behind_an_archive_that_grows(self):
        """primary -> receive -> serve-wal --follow -> standby, under load; then it is promoted."""
        primary = self.cluster()
        primary.pgbench("-i", "-q", "-s", "2")
        primary.psql("CREATE EXTENSION amcheck")
        backup = primary.basebackup("backup")
        wal = self.directory()
        receiver = self.enterContext(archiver(primary, wal))
        wait_for("the archive", lambda: any(os.listdir(wal)))
        with load(primary):
            wait_for("a segment", lambda: len(segments(wal)) > 0)
            server = self.server(wal, "--follow")
            standby = self.standby(backup, server.conninfo("standby"))
            time.sleep(2)
        end = primary.psql("SELECT pg_current_wal_flush_lsn()")
        wait_for(
            "the standby at the primary's end",
            lambda: standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == "t",
        )
        count = "SELECT count(*), sum(delta) FROM pgbench_history"
        self.assertEqual(standby.psql(count), primary.psql(count))
        standby.promote()
        bad = "SELECT count(*) FROM pg_class c CROSS JOIN LATERAL verify_heapam(c.oid) WHERE c.relkind = 'r'"
        self.assertEqual(standby.psql(bad), "0")
        standby.psql(
            "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON c.relam = a.oid"
            " WHERE a.amname = 'btree' AND c.relkind = 'i'"
        )
        self.assertNotIn("ERROR", server.log())
        self.assertIsNone(receiver.poll())

    def test_timelines(self):
        """A client follows the switch; one that left the history is told where it forked."""
        primary = self.cluster()
        primary.psql("CREATE TABLE t AS SELECT generate_series(1, 20000) i")
        standby = self.enterContext(
            Cluster("standby", settings=SETTINGS, standby_of=primary)
        )
        primary.psql("INSERT INTO t SELECT generate_series(1, 20000)")
        end = primary.psql("SELECT pg_current_wal_flush_lsn()")
        wait_for(
            "replay", lambda: standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == "t"
        )
        archive = self.archive(standby)
        for name in os.listdir(primary.wal):
            if len(name) == 24 and not os.path.exists(os.path.join(archive, name)):
                shutil.copy(os.path.join(primary.wal, name), archive)
        chown(archive)
        server = self.server(archive, "--follow")
        first = os.path.join(archive, segments(archive)[0])
        copy = self.directory()
        self.assertEqual(server.query("IDENTIFY_SYSTEM").split("|")[1], "1")
        with subprocess.Popen(
            as_server_user(server.pg_receivewal(copy, start=first)),
            stderr=subprocess.DEVNULL,
            cwd=server.directory,
        ) as client:
            wait_for("WAL", lambda: len(os.listdir(copy)) > 1)
            standby.promote()
            standby.psql("INSERT INTO t SELECT generate_series(1, 20000)")
            end = standby.psql("SELECT pg_current_wal_flush_lsn()")
            # As an archiver would: the history first, whole files.
            for name in sorted(os.listdir(standby.wal)):
                if name.startswith("00000002"):
                    target = os.path.join(archive, name)
                    shutil.copy(os.path.join(standby.wal, name), target + ".tmp")
                    chown(target + ".tmp")
                    os.rename(target + ".tmp", target)
            expected = [name for name in segments(archive) if name.startswith("00000002")][:-1]
            wait_for(
                "the new timeline", lambda: set(expected[:1]) <= {n[:24] for n in os.listdir(copy)}
            )
            client.send_signal(signal.SIGINT)
            client.wait(WAIT)
        self.assertTrue(os.path.exists(os.path.join(copy, "00000002.history")))
        self.assertEqual(server.query("IDENTIFY_SYSTEM").split("|")[1], "2")
        history = pathlib.Path(archive, "00000002.history").read_text("utf-8")
        fork = history.split("\t")[1]
        again = self.directory()
        server.run(server.pg_receivewal(again, end, start=first))
        for name in segments(again):
            if name.startswith("00000002"):
                data = pathlib.Path(archive, name).read_bytes()
                self.assertEqual(pathlib.Path(again, name).read_bytes(), data, name)
        refused = server.query(
            f"START_REPLICATION {end} TIMELINE 1", check=False
        )
        self.assertIn(f"forked from timeline 1 at {fork}", refused)
        # At the fork itself there is nothing to copy, only what follows.
        self.assertEqual(server.query(f"START_REPLICATION {fork} TIMELINE 1"), f"2|{fork}")


if __name__ == "__main__":
    unittest.main()
