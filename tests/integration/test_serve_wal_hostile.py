"""neon-redo serve-wal among hostile clients: nobody is kept waiting, nobody is locked out."""

import contextlib
import fcntl
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest
import urllib.request

from cluster import (
    ROOT,
    as_server_user,
    neon_redo_program,
    run,
    run_neon_redo,
    server_program,
    server_user,
)
from test_receive import load, lsn, wait_for
from test_serve_wal import RawClient, archiver, segments
from test_serve_wal_clients import ClientsCase, make_certificate, rss
from test_serve_wal_compressed import compressing
from wal_server import WAIT, chown

HERE = pathlib.Path(__file__).resolve().parent
LONG = bool(os.environ.get("NEON_REDO_LONG"))
SECONDS = 600 if LONG else 15  # of the chaos
# Seconds for a status, from connecting to the answer's end, and for the reaction to SIGTERM. The long
# form runs on a quiet machine. The short one may share it, and asks for progress: a client that holds
# the server does so for as long as it likes.
WORST = 0.25 if LONG else WAIT
WORST_STOP = 1 if LONG else WAIT
# Statuses in the short form's seconds: one every 20 ms on a quiet machine.
PROGRESS = 3
TLS_KINDS = ("key-updates", "renegotiate", "records", "half")
KINDS = (
    "silent", "trickle", "handshakes", "passwords", "garbage", "syncs", "statuses", "queries",
    "slots", "drop_wait", "hoarders", "segment_ends", "metrics",
)  # fmt: skip
# The password of the role "hostile" of hostile_clients.py.
PASSWORD = "geheim"
SECRET = "serve-wal.secret"  # beside the slots


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unread(client):
    """Bytes that the other end of a Unix socket has not read."""
    return struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))[0]


def processor_time(process):
    """Seconds of the processor that a process has had."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class HostileCase(ClientsCase):
    def tls_server(self, *arguments, wal=None, slots=""):
        """A server with TCP and metrics, whose users file knows the role "hostile" too."""
        directory = self.directory()
        key, certificate, users = (os.path.join(directory, n) for n in ("key", "cert", "users"))
        verifier = self.verifier.split(":SCRAM")[1]
        lines = [self.verifier, f"hostile:SCRAM{verifier}{slots}", f"friend:SCRAM{verifier}"]
        pathlib.Path(users).write_text("\n".join(lines) + "\n", "utf-8")
        os.chmod(users, 0o600)
        self.users = users
        self.slots_file = os.path.join(server_directory(directory), "slots")
        make_certificate(directory)
        self.metrics_port = free_port()
        server = self.server(
            wal or self.wal, "--listen", "127.0.0.1:0", "--users", users, "--tls-cert", certificate,
            "--tls-key", key, "--metrics", str(self.metrics_port),
            "--slots", self.slots_file, *arguments,
        )  # fmt: skip
        self.port = re.search(r"TLS on .*, port (\d+)", server.log())[1]
        for name in ("hostile_clients.py", "hostile_tls"):
            source = HERE / name if name.endswith(".py") else ROOT / "build/tests/integration" / name
            shutil.copy(source, server.directory)
            os.chmod(os.path.join(server.directory, name), 0o755)
        return server

    def conninfo(self, user="friend"):
        """No file of root's home is used (sslcert): a standby has its environment from root."""
        base = f"host=localhost hostaddr=127.0.0.1 port={self.port} user={user}"
        return base + f" password={PASSWORD} sslmode=require sslcert=none"

    def hostile(self, server, kind, seconds):
        """A process that does harm of that kind, for that time from when it came to it."""
        if kind in TLS_KINDS:
            command = [os.path.join(server.directory, "hostile_tls"), self.port, str(seconds), kind]
        else:
            script = os.path.join(server.directory, "hostile_clients.py")
            command = ["python3", script, kind, str(seconds), server.directory, self.port]
            command.append(str(self.metrics_port))
        process = subprocess.Popen(
            as_server_user(command, die_with_parent=True),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=server.directory,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def until_begun(self, clients):
        """Waits until each has done its harm for the first time."""
        for client in clients:
            self.assertEqual(client.stdout.readline(), "begun\n", client.args)

    def reached(self, client):
        """Waits for its end; how often it did its harm, and the other counts that it prints."""
        words = client.stdout.read().split()
        self.assertEqual(client.wait(WAIT), 0, client.stderr.read())
        counts = dict(zip(words[::2], map(int, words[1::2])))
        self.assertGreater(counts["reached"], 0, client.args)
        return counts

    def probe(self, server, seconds):
        """What a status took while it lasted."""
        out, errors = self.hostile(server, "probe", seconds).communicate(timeout=seconds + WAIT)
        self.assertTrue(out, errors)
        return json.loads(out)


def server_directory(directory):
    """One below it for files that the server writes."""
    path = os.path.join(directory, "state")
    os.makedirs(path, exist_ok=True)
    chown(path)
    return path


class Hostile(HostileCase):
    def test_no_kind_keeps_others_waiting(self):
        """Three clients of each kind at a time; a local client and one by TCP are served."""
        server = self.tls_server("--timeout", "5")
        for kind in (*TLS_KINDS, *KINDS):
            with self.subTest(kind):
                clients = [self.hostile(server, kind, 3) for _ in range(3)]
                self.until_begun(clients)
                seen = self.probe(server, 2.5)
                self.assertGreater(seen["asked"], PROGRESS)
                self.assertLess(seen["worst"], WORST)
                self.assertEqual(
                    server.query("SHOW wal_segment_size", conninfo=self.conninfo() + " replication=true"),
                    "1MB",
                )
                for client in clients:
                    reached = self.reached(client)
                    if kind in ("key-updates", "renegotiate"):
                        self.assertGreater(reached["ended"], 0)

    def test_silent_connections_take_nobodys_place(self):
        server = self.tls_server("--max-connections", "20")
        with contextlib.ExitStack() as stack:
            held = []
            for _ in range(200):
                held.append(
                    stack.enter_context(socket.create_connection(("127.0.0.1", int(self.port))))
                )
            self.assertEqual(server.query("SHOW wal_segment_size"), "1MB")
            conninfo = self.conninfo() + " replication=true"
            self.assertEqual(server.query("SHOW wal_segment_size", conninfo=conninfo), "1MB")
            # The oldest was given up.
            held[0].settimeout(WAIT)
            self.assertEqual(held[0].recv(1), b"")
            # The last ones have a place: the server answers them.
            last = []
            for _ in range(3):
                address = ("127.0.0.1", int(self.port))
                last.append(stack.enter_context(socket.create_connection(address, WAIT)))
            for client in last:
                client.sendall(struct.pack("!ii", 8, 80877103))
                self.assertEqual(client.recv(1), b"S")
            # Nobody keeps one without logging in; SilentClientsAreGivenUp has the time.
            for client in last:
                self.assertEqual(client.recv(1), b"")
            timeout = "could not log the client in: timeout"
            wait_for("its line in the log", lambda: timeout in server.log())

    def test_a_flood_of_connections_uses_up_no_descriptors(self):
        """However many come at once: those that are given up are closed before others are taken in."""
        server = self.tls_server()
        address = ("127.0.0.1", int(self.port))
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        limit = f"--nofile={used + 48}:"  # an address has 32 places
        run(as_server_user(["prlimit", limit, "--pid", str(server.process.pid)]))
        with contextlib.ExitStack() as stack:
            server.process.send_signal(signal.SIGSTOP)
            held = [stack.enter_context(socket.create_connection(address)) for _ in range(300)]
            server.process.send_signal(signal.SIGCONT)
            held[-1].settimeout(WAIT)
            held[-1].sendall(struct.pack("!ii", 8, 80877103))
            self.assertEqual(held[-1].recv(1), b"S")
        self.assertIn("given up before login", server.log())
        self.assertEqual(server.log().count("could not accept a connection"), 0)

    def test_clients_by_tcp_leave_places_for_the_socket(self):
        server = self.tls_server("--max-connections", "2")
        for i in range(2):
            copy = self.directory()
            chown(copy)
            command = [server_program("pg_receivewal"), "--no-loop", "-D", copy, "-d", self.conninfo()]
            client = subprocess.Popen(
                as_server_user(command, die_with_parent=True),
                stderr=subprocess.DEVNULL,
                env=server.environment(),
                cwd=server.directory,
            )
            self.addCleanup(client.wait)
            self.addCleanup(client.kill)
            wait_for("a client", lambda n=i: self.senders(server) == n + 1)
        refused = server.query("IDENTIFY_SYSTEM", False, self.conninfo() + " replication=true")
        self.assertIn("sorry, too many clients already", refused)
        self.assertEqual(server.query("SHOW wal_segment_size"), "1MB")

    def senders(self, server):
        rows = json.loads(server.query("SHOW neon_redo.status"))["wal_senders"]
        return sum(row["state"] != "startup" for row in rows)

    def test_a_dead_client_that_waits_for_a_slot_costs_nothing(self):
        server = self.tls_server()
        with RawClient(server) as holder:
            holder.send(b"Q", b"CREATE_REPLICATION_SLOT s PHYSICAL\0")
            holder.read_until(b"Z")
            position = server.query("IDENTIFY_SYSTEM").split("|")[2]
            holder.send(b"Q", f"START_REPLICATION SLOT s PHYSICAL {position}\0".encode())
            holder.read_until(b"W")
            with RawClient(server) as waiter:
                waiter.send(b"Q", b"DROP_REPLICATION_SLOT s WAIT\0")
                wait_for("the command to be read", lambda: unread(waiter.socket) == 0)
            wait_for("its end", lambda: self.connections(server) == 2)
            before = processor_time(server.process)
            time.sleep(1)
            self.assertLess(processor_time(server.process) - before, 0.3)

    def connections(self, server):
        """Clients that have logged in, with the one that asks."""
        return len(json.loads(server.query("SHOW neon_redo.status"))["wal_senders"])

    def test_descriptors_used_up(self):
        """No place for another descriptor: the server waits, and serves once there is one."""
        server = self.tls_server()

        def limit(files):
            """As the server's user: root in a container may not."""
            run(as_server_user(["prlimit", f"--nofile={files}:", "--pid", str(server.process.pid)]))

        limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text("ascii")
        before = re.search(r"Max open files +(\d+)", limits)[1]
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(RawClient(server))
            limit(used)
            waiting = stack.enter_context(socket.socket())
            waiting.connect(("127.0.0.1", int(self.port)))
            refused = "could not accept a connection: Too many open files"
            wait_for("the failure", lambda: refused in server.log())
            spent = processor_time(server.process)
            time.sleep(1)
            self.assertLess(processor_time(server.process) - spent, 0.3)
            limit(before)
            self.assertEqual(server.query("SHOW wal_segment_size"), "1MB")

    def test_silent_clients_that_logged_in(self):
        server = self.tls_server("--timeout", "1")
        with RawClient(server) as client:
            self.assertIn(b"idle-session timeout", client.read_until(b"E"))
            self.assertEqual(client.read_rest(), b"")

    def test_slow_readers_of_metrics(self):
        server = self.tls_server()
        with contextlib.ExitStack() as stack:
            for i in range(50):
                reader = stack.enter_context(socket.socket())
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                reader.connect(("127.0.0.1", self.metrics_port))
                reader.sendall(b"GET /metrics HTTP/1.1\r\n" + b"\r\n" * (i % 2))
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=WAIT
            ) as answer:
                self.assertIn(b"neon_redo_wal_senders", answer.read())
        self.assertIsNone(server.process.poll())

    def test_roles_and_their_slots(self):
        server = self.tls_server(slots=" slots=hostile_*,shared")
        conninfo = self.conninfo("hostile") + " replication=true"
        server.query("CREATE_REPLICATION_SLOT hostile_1 PHYSICAL", conninfo=conninfo)
        for command in (
            "CREATE_REPLICATION_SLOT other PHYSICAL",
            "DROP_REPLICATION_SLOT other",
            "READ_REPLICATION_SLOT other",
            "START_REPLICATION SLOT other 0/0",
        ):
            refused = server.query(command, False, conninfo)
            self.assertIn('ERROR:  42501: permission denied for replication slot "other"', refused)
        server.query("DROP_REPLICATION_SLOT hostile_1", conninfo=conninfo)
        server.query("CREATE_REPLICATION_SLOT other PHYSICAL")

    def test_salts_of_unknown_roles_outlive_the_server(self):
        server = self.tls_server()

        def salt():
            """The server's first message of SCRAM to a role that it does not know."""
            script = os.path.join(server.directory, "hostile_clients.py")
            return server.run(["python3", script, "salt", "1", server.directory, self.port, "0"]).stdout

        first = salt()
        self.assertTrue(first)
        self.assertEqual(salt(), first)
        self.assertEqual(server.stop(), 0)
        self.assertTrue(os.path.isfile(os.path.join(os.path.dirname(self.slots_file), SECRET)))
        # Without a secret of its own the server would make another salt of these users.
        with open(self.users, "a", encoding="utf-8") as users:
            users.write(f"another:SCRAM{self.verifier.split(':SCRAM')[1]}\n")
        server.start()
        self.port = re.findall(r"TLS on .*, port (\d+)", server.log())[-1]
        self.assertEqual(salt(), first)


class FakeServer(threading.Thread):
    """Answers SHOW neon_redo.status by what it is told to."""

    def __init__(self, directory, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.heard = b""
        self.listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(directory, ".s.PGSQL.5432")
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen()
        self.start()

    @staticmethod
    def message(kind, body):
        return kind + struct.pack("!i", len(body) + 4) + body

    def run(self):
        ready = self.message(b"Z", b"I")
        with contextlib.suppress(OSError):
            while True:
                with self.listener.accept()[0] as client:
                    self.heard += client.recv(4096)
                    if not self.heard:
                        continue
                    client.sendall(self.message(b"R", struct.pack("!i", 0)) + ready)
                    client.recv(4096)
                    column = b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
                    client.sendall(
                        self.message(b"T", struct.pack("!h", 1) + column)
                        + self.message(b"D", struct.pack("!hi", 1, len(self.answer)) + self.answer)
                        + self.message(b"C", b"SHOW\0")
                        + ready
                    )
                    client.recv(4096)


class Status(HostileCase):
    @classmethod
    def setUpClass(cls):
        """No cluster is needed."""

    def status(self, answer, *arguments):
        directory = self.directory()
        server = FakeServer(directory, answer)
        result = run_neon_redo("serve-wal", "--status", "--socket", directory, *arguments, check=False)
        server.listener.close()
        return result

    def test_odd_answers(self):
        not_utf8 = b'{"end_lsn": "\xff\xfe", "wal_senders": "x"}'
        no_objects = (b"[]", b"1", b'"x"', b"nonsense", b"null", not_utf8)
        objects = (
            b"{}",
            b'{"wal_senders": 1}',
            b'{"wal_senders": [1, [], {"pid": {"a": [1]}, "state": "\\u001b[31m"}], "timeline": 7}',
            b'{"end_lsn": 1, "wal_senders": "x"}',
        )
        for answer in (*no_objects, *objects):
            for arguments in ((), ("--json",)):
                with self.subTest(answer=answer, arguments=arguments):
                    result = self.status(answer, *arguments)
                    self.assertNotIn("\x1b", result.stdout + result.stderr)
                    self.assertEqual(result.returncode, 2 if answer in no_objects else 0, result.stderr)
                    if answer in no_objects:
                        self.assertIn("not as expected", result.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs a second user")
    def test_a_socket_of_somebody_else(self):
        uid = pwd.getpwnam(server_user()).pw_uid
        directory = self.directory()
        os.chmod(directory, 0o755)
        os.chown(directory, uid, -1)
        os.seteuid(uid)
        try:
            server = FakeServer(directory, b"{}")
        finally:
            os.seteuid(0)
        # The kernel names the user who called listen.
        result = run_neon_redo("serve-wal", "--status", "--socket", directory, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("is neither this user's nor root's", result.stderr)
        self.assertEqual(server.heard, b"")
        server.listener.close()


class Links(HostileCase):
    """Somebody plants links where a program of another user writes."""

    def planted(self, directory, name):
        target = os.path.join(self.directory(), "precious")
        pathlib.Path(target).write_text("precious", "utf-8")
        os.chmod(os.path.dirname(target), 0o755)
        chown(os.path.dirname(target))
        os.symlink(target, os.path.join(directory, name))
        return pathlib.Path(target)

    def test_receive(self):
        server = self.server(self.wal)
        end = self.end(server)
        for suffix in (".partial.tmp", ".partial"):
            with self.subTest(suffix):
                copy = self.directory()
                target = self.planted(copy, segments(self.wal)[1] + suffix)
                result = server.run(
                    server.receive(copy, end, start=self.first), check=suffix != ".partial"
                )
                self.assertEqual(target.read_text("utf-8"), "precious")
                if suffix == ".partial":
                    self.assertIn("is not a regular file of its own", result.stderr)
                else:
                    self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)

    def test_slots(self):
        wal = self.directory()
        shutil.copytree(self.wal, wal, dirs_exist_ok=True)
        target = self.planted(wal, "serve-wal.slots.tmp")
        chown(wal)
        server = self.server(wal)
        server.query("CREATE_REPLICATION_SLOT s PHYSICAL")
        self.assertEqual(target.read_text("utf-8"), "precious")
        self.assertTrue(os.path.isfile(os.path.join(wal, "serve-wal.slots")))
        self.assertEqual(server.stop(), 0)
        os.unlink(os.path.join(wal, "serve-wal.slots"))
        target = self.planted(wal, "serve-wal.slots")
        result = run_neon_redo("serve-wal", "--wal", wal, "--socket", wal, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("is not a regular file of its own", result.stderr)

    def test_secret(self):
        server = self.tls_server()
        self.assertEqual(server.stop(), 0)
        secret = pathlib.Path(self.slots_file).with_name(SECRET)
        target = self.planted(secret.parent, "link")
        for content in ("precious", secret.read_text("ascii")):
            target.write_text(content, "ascii")
            os.chmod(target, 0o600)
            chown(target)
            secret.unlink()
            secret.symlink_to(target)
            with self.assertRaisesRegex(AssertionError, f"{SECRET}.* is not a regular file of its own"):
                server.start()
            self.assertEqual(target.read_text("ascii"), content)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_is_warned(self):
        wal = self.directory()
        shutil.copy(self.first, wal)
        chown(wal)
        command = [neon_redo_program(), "serve-wal", "--wal", wal, "--socket", self.directory()]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            lines = []
            for line in server.stderr:
                lines.append(line)
                if "listening" in line:
                    break
            server.terminate()
            server.stderr.read()
        self.assertIn(f'warning: running as root in directory "{wal}"', "".join(lines))


class Chaos(HostileCase):
    def test_receivers_among_hostile_clients(self):
        """primary -> receive -> serve-wal -> two receivers and a standby, with twenty hostile
        clients, while half of the archive is compressed: all WAL arrives, a status takes no time, SIGTERM is obeyed, memory does not grow."""
        primary = self.cluster()
        primary.pgbench("-i", "-q", "-s", "2")
        backup = primary.basebackup("backup")
        wal = self.directory()
        self.enterContext(archiver(primary, wal))
        wait_for("the archive", lambda: any(os.listdir(wal)))
        with load(primary):
            wait_for("a segment", lambda: len(segments(wal)) > 0)
            server = self.tls_server("--follow", "--timeout", "5", wal=wal)
            status = pathlib.Path(f"/proc/{server.process.pid}/status")
            standby = self.standby(backup, self.conninfo() + " application_name=standby")
            first = os.path.join(wal, segments(wal)[0])
            copies = [self.directory(), self.directory()]
            receivers = [self.receiver(server, copy, first, i) for i, copy in enumerate(copies)]
            hostile = [
                self.hostile(server, kind, SECONDS + 5)
                for kind in (*TLS_KINDS, *KINDS, "garbage", "syncs", "slots")
            ]
            self.assertEqual(len(hostile), 20)
            self.until_begun(hostile)
            with compressing(wal) as compressed:
                self.probe(server, SECONDS / 5)
                before = rss(status)
                seen = self.probe(server, SECONDS * 4 / 5)
                grown = rss(status) - before
        for client in hostile:
            self.reached(client)
        print(f"chaos: {seen['asked']} statuses, worst {seen['worst']:.3f} s, memory {grown >> 10:+} kB")
        # A running server writes WAL of its own at any time.
        primary.stop()
        end = self.last_end(server)
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
        wait_for("the standby at the end", lambda: standby.psql(reached) == "t")
        for name, copy in zip(("pg_receivewal", "receive"), copies):
            wait_for(name, lambda n=name: self.flushed(server, n) >= lsn(end))
            self.assertGreater(self.assertSameWal(copy, wal, end), 2 << 20)
        self.assertTrue(all(receiver.poll() is None for receiver in receivers))
        self.assertGreater(len(compressed), 2)
        self.assertGreater(seen["asked"], PROGRESS)
        self.assertLess(seen["worst"], WORST)
        self.assertLess(grown, 16 << 20)
        began = time.monotonic()
        server.process.terminate()
        path = os.path.join(server.directory, ".s.PGSQL.5432")
        wait_for("SIGTERM to be obeyed", lambda: not os.path.exists(path))
        self.assertLess(time.monotonic() - began, WORST_STOP)
        self.assertEqual(server.process.wait(WAIT), 0, server.log())

    def receiver(self, server, copy, first, which):
        shutil.copy(first, copy)
        chown(copy)
        if which == 0:
            command = [server_program("pg_receivewal"), "-D", copy, "--synchronous", "-d"]
            command.append(self.conninfo() + " application_name=pg_receivewal")
        else:
            command = [server.program, "receive", "--wal", copy, "--status-interval", "0.2"]
            command += ["--synchronous", "--dbname", self.conninfo() + " application_name=receive"]
        process = subprocess.Popen(
            as_server_user(command, die_with_parent=True),
            stderr=subprocess.DEVNULL,
            env=server.environment(),
            cwd=server.directory,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def last_end(self, server):
        """The end of WAL, once it stays."""
        ends = []

        def stays():
            ends.append(server.query("IDENTIFY_SYSTEM").split("|")[2])
            time.sleep(1)
            return ends[-3:] == 3 * ends[-1:]

        wait_for("an end of WAL", stays)
        return ends[-1]

    def flushed(self, server, name):
        rows = json.loads(server.query("SHOW neon_redo.status"))["wal_senders"]
        return max((lsn(r["flush_lsn"]) for r in rows if r["application_name"] == name and r["flush_lsn"]), default=0)


if __name__ == "__main__":
    unittest.main()
