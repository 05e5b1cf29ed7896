"""neon-redo serve-wal: TLS and passwords, many clients, stalled clients, and the status."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import unittest
import urllib.request

from cluster import Cluster, as_server_user, make_directory, run, run_neon_redo, server_program
from test_receive import lsn, wait_for
from test_serve_wal import SETTINGS, RawClient, ServeWalCase, segments
from wal_server import WAIT, before, chown

# Connections, half of them stalled; NEON_REDO_LONG=1 asks for the number of the acceptance run.
CONNECTIONS = 1000 if os.environ.get("NEON_REDO_LONG") else 200


class ClientsCase(ServeWalCase):
    """An archive, a base backup to go with it, and servers with TCP."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.primary = cls.stack.enter_context(Cluster(settings=SETTINGS, wal_segment_mb=1))
        cls.primary.psql("CREATE EXTENSION amcheck")
        cls.backup = cls.primary.basebackup("backup")
        cls.primary.pgbench("-i", "-q", "-s", "3")
        cls.primary.pgbench("-n", "-N", "-t", "200")
        cls.verifier = cls.primary.psql(
            "CREATE ROLE \"na:me\" PASSWORD 'geheim'; SELECT rolname || ':' || rolpassword"
            " FROM pg_authid WHERE rolname = 'na:me'"
        )
        cls.primary.stop()
        cls.wal = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.wal)
        shutil.copytree(cls.primary.wal, cls.wal, dirs_exist_ok=True)
        chown(cls.wal)
        cls.first = os.path.join(cls.wal, segments(cls.wal)[0])

    def end(self, server):
        return server.query("IDENTIFY_SYSTEM").split("|")[2]

    def tls_server(self, *arguments):
        """Starts a server with TCP; returns the server, its port and its certificate."""
        directory = self.directory()
        key, certificate, users = (os.path.join(directory, n) for n in ("key", "cert", "users"))
        pathlib.Path(users).write_text(self.verifier + "\n", "utf-8")
        os.chmod(users, 0o600)
        make_certificate(directory)
        files = ["--users", users, "--tls-cert", certificate, "--tls-key", key]
        server = self.server(self.wal, "--listen", "127.0.0.1:0", *files, *arguments)
        port = re.search(r"TLS on .*, port (\d+)", server.log())[1]
        return server, port, certificate


class Clients(ClientsCase):
    def test_tls_and_passwords(self):
        server, port, certificate = self.tls_server()
        base = f"host=localhost hostaddr=127.0.0.1 port={port} replication=true"
        good = f"{base} user=na:me password=geheim sslrootcert={certificate}"
        self.assertEqual(
            server.query("SHOW wal_segment_size", conninfo=good + " sslmode=verify-full"), "1MB"
        )
        for settings in ("ssl_max_protocol_version=TLSv1.2", "ssl_min_protocol_version=TLSv1.3"):
            conninfo = f"{good} sslmode=require {settings}"
            self.assertEqual(server.query("SHOW wal_segment_size", conninfo=conninfo), "1MB")
            conninfo += " channel_binding=require"
            self.assertEqual(server.query("SHOW wal_segment_size", conninfo=conninfo), "1MB")
        # All files, through TLS.
        copy = self.directory()
        end = self.end(server)
        shutil.copy(self.first, copy)
        chown(copy)
        server.run(
            [server_program("pg_receivewal"), "--no-loop", "-D", copy, "--endpos", before(end),
             "-d", good.replace("replication=true", "sslmode=verify-full")]
        )  # fmt: skip
        self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)
        wrong = 'FATAL:  28P01: password authentication failed for user "{}"'
        for what, conninfo, message in (
            ("password", f"{base} user=na:me password=x sslmode=require", wrong.format("na:me")),
            ("user", f"{base} user=nobody password=x sslmode=require", wrong.format("nobody")),
            ("plain", f"{base} user=na:me password=geheim sslmode=disable",
             'FATAL:  no pg_hba.conf entry for replication connection from host "127.0.0.1",'
             ' user "na:me", no encryption'),
        ):  # fmt: skip
            with self.subTest(what):
                refused = server.query("IDENTIFY_SYSTEM", check=False, conninfo=conninfo)
                self.assertIn(message.replace("28P01: ", ""), refused)
        old = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", "postgres",
             "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            capture_output=True, text=True, input="", check=False, timeout=WAIT,
        )  # fmt: skip
        self.assertIn("Cipher is (NONE)", old.stdout)

    def test_files_are_read_again_on_sighup(self):
        server, port, certificate = self.tls_server()
        base = f"host=localhost hostaddr=127.0.0.1 port={port} replication=true password=geheim"
        base += f" sslmode=verify-full channel_binding=require sslrootcert={certificate} user="
        users = pathlib.Path(certificate).with_name("users")
        show = "SHOW wal_segment_size"
        self.assertEqual(server.query(show, conninfo=base + "na:me"), "1MB")

        def reload(line, expected):
            users.write_text(line + "\n", "utf-8")
            server.process.send_signal(signal.SIGHUP)
            wait_for(expected, lambda: expected in server.log())

        make_certificate(users.parent)  # the client trusts the new one only
        reload(self.verifier.replace("na:me", "new"), "reading users file")
        self.assertEqual(server.query(show, conninfo=base + "new"), "1MB")
        refused = server.query(show, check=False, conninfo=base + "na:me")
        self.assertIn("password authentication failed", refused)
        # What cannot be used leaves all as it was.
        reload("nonsense", "the users stay as they were")
        self.assertEqual(server.query(show, conninfo=base + "new"), "1MB")

    def test_secrets_that_others_may_read_are_refused(self):
        directory = self.directory()
        users = os.path.join(directory, "users")
        pathlib.Path(users).write_text(self.verifier + "\n", "utf-8")
        os.chmod(users, 0o644)
        result = run_neon_redo(
            "serve-wal", "--wal", self.wal, "--socket", directory, "--listen", "127.0.0.1:0",
            "--users", users, "--tls-cert", users, "--tls-key", users, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, 2)
        self.assertIn("has group or world access", result.stderr)

    def test_eight_clients_at_once(self):
        """Four pg_receivewal, three neon-redo receive, a standby that is promoted in the end."""
        server = self.server(self.wal)
        end = self.end(server)
        standby = self.standby(self.backup, server.conninfo("standby"), start=False)
        copies = [self.directory() for _ in range(7)]
        clients = []
        for i, copy in enumerate(copies):
            make = server.pg_receivewal if i % 2 == 0 else server.receive
            command = as_server_user(make(copy, end, start=self.first))
            clients.append(
                subprocess.Popen(command, stderr=subprocess.PIPE, cwd=server.directory)
            )
        standby.start()
        for client in clients:
            _, errors = client.communicate(timeout=WAIT)
            self.assertEqual(client.returncode, 0, errors)
        for copy in copies:
            self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
        wait_for("the standby at the end", lambda: standby.psql(reached) == "t")
        standby.promote()
        bad = "SELECT count(*) FROM pg_class c CROSS JOIN LATERAL verify_heapam(c.oid) WHERE c.relkind = 'r'"
        self.assertEqual(standby.psql(bad), "0")
        standby.psql(
            "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON c.relam = a.oid"
            " WHERE a.amname = 'btree' AND c.relkind = 'i'"
        )
        self.assertEqual(standby.psql("SELECT count(*) FROM pgbench_history"), "200")

    def test_stalled_clients_do_no_harm(self):
        """Half of the connections ask for all WAL and read none of it; the others get theirs."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        server = self.server(self.wal, "--max-connections", str(CONNECTIONS + 10))
        status = pathlib.Path(f"/proc/{server.process.pid}/status")
        end = self.end(server)
        start = f"{lsn(end) // (1 << 20) - 20:X}00000"
        idle = rss(status)
        with contextlib.ExitStack() as stack:
            for i in range(CONNECTIONS):
                client = stack.enter_context(RawClient(server))
                if i % 2 == 0:
                    client.start(f"0/{start}")
            copy = self.directory()
            server.run(server.pg_receivewal(copy, end, start=self.first))
            self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)
            self.assertEqual(server.query("SHOW wal_segment_size"), "1MB")
            self.assertLess((rss(status) - idle) / CONNECTIONS, 64 << 10)
        self.assertIsNone(server.process.poll())

    def test_limits(self):
        server = self.server(
            self.wal, "--max-connections", "3", "--max-connections-per-role", "2"
        )
        with RawClient(server), RawClient(server):
            refused = server.query("IDENTIFY_SYSTEM", False, server.conninfo() + " replication=true user=raw")
            self.assertIn('FATAL:  too many connections for role "raw"', refused)
            with RawClient(server, user="third"):
                refused = server.query("IDENTIFY_SYSTEM", False)
                self.assertIn("FATAL:  sorry, too many clients already", refused)
            # One that has not logged in takes nobody's place.
            with RawClient(server, log_in=False):
                wait_for(
                    "a free place", lambda: "FATAL" not in server.query("IDENTIFY_SYSTEM", False)
                )
        wait_for("a free place", lambda: "FATAL" not in server.query("IDENTIFY_SYSTEM", False))

    def test_status_and_metrics(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = self.server(self.wal, "--metrics", str(port))
        end = self.end(server)
        copy = self.directory()
        server.query("CREATE_REPLICATION_SLOT watched PHYSICAL")
        self.addCleanup(os.unlink, os.path.join(self.wal, "serve-wal.slots"))
        command = server.pg_receivewal(copy, None, "--slot=watched", "--synchronous", start=self.first)
        with subprocess.Popen(as_server_user(command), stderr=subprocess.DEVNULL, cwd=server.directory) as client:
            show = [server.program, "serve-wal", "--status", "--socket", server.directory]

            def row():
                status = json.loads(server.run([*show, "--json"]).stdout)
                rows = [r for r in status["wal_senders"] if r["application_name"] == "pg_receivewal"]
                return rows[0] if rows else {}

            wait_for("the end", lambda: row().get("flush_lsn") == end)
            seen = row()
            self.assertEqual(
                [seen[n] for n in ("state", "sent_lsn", "slot_name", "caught_up", "flush_lag")],
                ["streaming", end, "watched", True, None],
            )
            self.assertEqual((seen["sent_bytes_behind"], seen["flush_bytes_behind"]), (0, 0))
            # The columns of the view, by its SQL.
            sql = pathlib.Path(__file__).parents[2] / "sql" / "neon_redo--1.0--1.1.sql"
            view = sql.read_text("utf-8").split("neon_stat_wal_senders(")[1].split(")\nRETURNS")[0]
            self.assertLessEqual(set(re.findall(r"OUT (\w+)", view)), set(seen))
            table = server.run(show).stdout
            self.assertRegex(table, rf"pg_receivewal +streaming +{end}")

            def metrics():
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    return answer.read().decode()

            wait_for("metrics", lambda: "neon_redo_wal_sender_streaming{" in metrics())
            self.assertRegex(
                metrics(),
                r'neon_redo_wal_sender_sent_lsn\{application_name="pg_receivewal",pid="\d+",usename="postgres"\}',
            )
            client.terminate()
        wait_for("no client", lambda: "neon_redo_wal_sender_sent_lsn{" not in metrics())


def make_certificate(directory):
    key, certificate = (os.path.join(directory, n) for n in ("key", "cert"))
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", certificate])  # fmt: skip
    os.chmod(key, 0o600)
    chown(directory)


def rss(status):
    return int(re.search(r"VmRSS:\s+(\d+) kB", status.read_text("ascii"))[1]) << 10


if __name__ == "__main__":
    unittest.main()
