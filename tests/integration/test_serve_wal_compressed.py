"""neon-redo serve-wal from archives of compressed segments: equality of bytes, growth, damage, room, time."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import unittest
import unittest.mock

from cluster import Cluster, as_server_user, make_directory, run, server_program
from test_archives import PACKERS, pack
from test_receive import load, lsn, wait_for
from test_serve_wal import SEGMENT, SETTINGS, RawClient, ServeWalCase, segments
from wal_server import WAIT, chown

# The time for a status is asked for on a quiet machine only.
WORST = 0.25 if os.environ.get("NEON_REDO_LONG") else WAIT


def pack_in_place(directory, name, suffix):
    """As a cron job does it: NAME is there until NAME.gz is."""
    path = os.path.join(directory, name)
    pack(suffix, path, path + ".new")
    chown(path + ".new")
    os.rename(path + ".new", path + suffix)
    os.unlink(path)


@contextlib.contextmanager
def compressing(directory):
    """Compresses whole segments in a directory as they come, every other one."""
    ended = threading.Event()
    done = []

    def work():
        seen = set()
        while not ended.wait(0.05):
            for name in segments(directory)[:-1]:
                if name in seen:
                    continue
                seen.add(name)
                if len(seen) % 2:
                    suffix = list(PACKERS)[len(done) % len(PACKERS)]
                    pack_in_place(directory, name, suffix)
                    done.append(name)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join(WAIT)


class Compressed(ServeWalCase):
    """One archive of a stopped server, packed in different ways."""

    @classmethod
    def setUpClass(cls):
        with Cluster(settings=SETTINGS, wal_segment_mb=1) as cluster:
            cls.backup = make_directory()
            cls.addClassCleanup(shutil.rmtree, cls.backup)
            shutil.copytree(cluster.basebackup("backup"), cls.backup, dirs_exist_ok=True)
            cluster.pgbench("-i", "-q", "-s", "2")
            cluster.psql("SELECT pg_switch_wal()")  # a segment whose end is zeroes
            cluster.pgbench("-n", "-N", "-t", "200")
            cls.rows = cluster.psql("SELECT count(*), sum(abalance) FROM pgbench_accounts")
            cluster.stop()
            cls.wal = make_directory()
            shutil.copytree(cluster.wal, cls.wal, dirs_exist_ok=True)
            chown(cls.wal)
        cls.addClassCleanup(shutil.rmtree, cls.wal)
        cls.first = os.path.join(cls.wal, segments(cls.wal)[0])

    def packed(self, suffixes):
        """The archive, whose segments have these suffixes in turns; "" is none."""
        directory = self.directory()
        for i, name in enumerate(segments(self.wal)):
            suffix = suffixes[i % len(suffixes)]
            source, target = os.path.join(self.wal, name), os.path.join(directory, name + suffix)
            if suffix:
                pack(suffix, source, target)
            else:
                shutil.copy(source, target)
        chown(directory)
        return directory

    def end(self, server):
        return server.query("IDENTIFY_SYSTEM").split("|")[2]

    def test_receivers_get_every_byte(self):
        plain_end = self.end(self.server(self.wal))
        for ways in (*([suffix] for suffix in PACKERS), ["", *PACKERS]):
            server = self.server(self.packed(ways))
            end = self.end(server)
            self.assertEqual(end, plain_end)
            for name in ("pg_receivewal", "receive"):
                with self.subTest(name, ways=ways):
                    copy = self.directory()
                    server.run(getattr(server, name)(copy, end, start=self.first))
                    self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)

    def test_barmans_files(self):
        """Without a suffix, in directories of sixteen digits."""
        directory = self.directory()
        for name in segments(self.wal):
            part = os.path.join(directory, "wals", name[:16])
            os.makedirs(part, exist_ok=True)
            pack(".gz", os.path.join(self.wal, name), os.path.join(part, name))
        chown(directory)
        server = self.server(directory)
        end = self.end(server)
        copy = self.directory()
        server.run(server.pg_receivewal(copy, end, start=self.first))
        self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)

    def test_a_standby(self):
        server = self.server(self.packed(["", *PACKERS]))
        end = self.end(server)
        copy = os.path.join(self.directory(), "backup")
        shutil.copytree(self.backup, copy)
        chown(os.path.dirname(copy))
        standby = self.standby(copy, server.conninfo("standby"))
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
        wait_for("the standby at the end", lambda: standby.psql(reached) == "t")
        self.assertEqual(standby.psql("SELECT count(*), sum(abalance) FROM pgbench_accounts"), self.rows)
        self.assertNotIn("ERROR", server.log())

    def test_segments_are_compressed_while_they_are_served(self):
        directory = self.packed([""])
        server = self.server(directory)
        end = self.end(server)
        copies = [self.directory() for _ in range(3)]
        with contextlib.ExitStack() as stack:
            clients = []
            for copy in copies:
                command = as_server_user(server.pg_receivewal(copy, end, start=self.first))
                clients.append(
                    stack.enter_context(
                        subprocess.Popen(
                            command, stderr=subprocess.PIPE, env=server.environment(), cwd=server.directory
                        )
                    )
                )
            for i, name in enumerate(segments(directory)):
                pack_in_place(directory, name, list(PACKERS)[i % len(PACKERS)])
            for client in clients:
                errors = client.communicate(timeout=WAIT)[1]
                self.assertEqual(client.returncode, 0, errors)
        for copy in copies:
            self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)

    def test_damage_ends_the_stream(self):
        for what, damage in (
            ("cut", lambda data: data[: len(data) // 2]),
            ("flipped", lambda data: data[:5000] + bytes(64) + data[5064:]),
        ):
            for suffix in PACKERS:
                with self.subTest(what, suffix=suffix):
                    directory = self.packed([suffix])
                    names = segments(self.wal)
                    server = self.server(directory)
                    victim = pathlib.Path(directory, names[5] + suffix)
                    victim.write_bytes(damage(victim.read_bytes()))
                    copy = self.directory()
                    result = server.run(server.pg_receivewal(copy, start=self.first), check=False)
                    self.assertRegex(result.stderr, f'could not send WAL from LSN .*: file ".*{victim.name}"')
                    self.assertEqual(segments(copy), names[:5])
                    for name in names[1:5]:
                        self.assertEqual(
                            pathlib.Path(copy, name).read_bytes(), pathlib.Path(self.wal, name).read_bytes()
                        )

    def test_a_bomb_takes_the_room_of_a_segment(self):
        directory = self.packed([".gz"])
        names = segments(self.wal)
        server = self.server(directory)
        bomb = os.path.join(self.directory(), "bomb")
        shutil.copy(os.path.join(self.wal, names[5]), bomb)
        os.truncate(bomb, 4 << 30)
        pack(".zst", bomb, os.path.join(directory, names[5] + ".gz"))
        os.unlink(bomb)
        result = server.run(server.pg_receivewal(self.directory(), start=self.first), check=False)
        self.assertIn("it has more than 1048576 bytes", result.stderr)
        self.assertIsNone(server.process.poll())

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
    def test_no_room(self):
        """It is an error of that client, and what to do is in it; a plain segment is sent all the same."""
        directory = self.packed(["", "", "", ".gz"])
        room = self.directory()
        run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=1777", "none", room])
        self.addCleanup(run, ["umount", "-l", room])
        with unittest.mock.patch.dict(os.environ, TMPDIR=room):
            server = self.server(directory)
        copy = self.directory()
        result = server.run(server.pg_receivewal(copy, start=self.first), check=False)
        self.assertIn(f'could not take 1048576 bytes in directory "{room}"', result.stderr)
        self.assertIn("No space left on device; make room there, or name another directory in TMPDIR", result.stderr)
        self.assertEqual(segments(copy), segments(self.wal)[:3])
        run(["mount", "-o", "remount,size=64m", room])
        end = self.end(server)
        server.run(server.pg_receivewal(copy, end))
        self.assertGreater(self.assertSameWal(copy, self.wal, end), 20 << 20)

    def test_files_have_no_names(self):
        temporary = self.directory()
        chown(temporary)
        directory = self.packed([".zst"])
        with unittest.mock.patch.dict(os.environ, TMPDIR=temporary):
            server = self.server(directory)
        end = self.end(server)
        server.run(server.pg_receivewal(self.directory(), end, start=self.first))
        descriptors = f"/proc/{server.process.pid}/fd"
        links = [os.readlink(os.path.join(descriptors, name)) for name in os.listdir(descriptors)]
        unnamed = [link for link in links if link.startswith(temporary)]
        self.assertGreater(len(unnamed), 0)
        self.assertLessEqual(len(unnamed), 16)
        self.assertEqual(os.listdir(temporary), [])


class SlowSegments(ServeWalCase):
    def test_statuses_are_answered_meanwhile(self):
        """A segment of 64 MB by xz takes longer than a status may."""
        with Cluster(settings={**SETTINGS, "max_wal_size": "1GB"}, wal_segment_mb=64) as cluster:
            cluster.psql("CREATE TABLE t AS SELECT md5(i::text) FROM generate_series(1, 1500000) i")
            cluster.psql("SELECT pg_switch_wal()")
            cluster.stop()
            wal = self.archive(cluster)
        names = segments(wal)
        for name in names[:-1]:
            pack_in_place(wal, name, ".xz")
        server = self.server(wal)
        number = int(names[0][16:], 16)
        with RawClient(server) as client, RawClient(server) as other:
            began = time.monotonic()
            client.start(f"0/{number * (64 << 20):X}")
            client.socket.setblocking(False)
            asked, worst = 0, 0
            while True:
                with contextlib.suppress(BlockingIOError):
                    if client.socket.recv(1):
                        break
                before = time.monotonic()
                other.send(b"Q", b"SHOW neon_redo.status\0")
                other.read_until(b"Z")
                worst = max(worst, time.monotonic() - before)
                asked += 1
                self.assertLess(time.monotonic() - began, WAIT)
            took = time.monotonic() - began
        print(f"xz of 64 MB: {took:.2f} s, {asked} statuses meanwhile, worst {worst:.3f} s")
        self.assertGreater(asked, 10)
        self.assertLess(worst, WORST)


class Following(ServeWalCase):
    def test_an_archive_that_compresses(self):
        """primary -> archive_command with gzip -> serve-wal --follow -> standby and receivers."""
        archive = self.directory()
        chown(archive)
        command = f"gzip -1 < %p > {archive}/%f.tmp && mv {archive}/%f.tmp {archive}/%f.gz"
        settings = {**SETTINGS, "archive_mode": "on", "archive_command": command}
        primary = self.cluster(settings=settings)
        primary.pgbench("-i", "-q", "-s", "2")
        backup = primary.basebackup("backup")
        primary.psql("SELECT pg_switch_wal()")
        wait_for("the archive", lambda: any(n.endswith(".gz") and len(n) == 27 for n in os.listdir(archive)))
        server = self.server(archive, "--follow")
        standby = self.standby(backup, server.conninfo("standby"))
        with load(primary):
            time.sleep(3)
        primary.psql("CREATE TABLE last_one ()")
        primary.psql("SELECT pg_switch_wal()")
        count = "SELECT count(*), sum(delta) FROM pgbench_history"
        found = "SELECT count(*) FROM pg_class WHERE relname = 'last_one'"
        wait_for("the standby at the end", lambda: standby.psql(found) == "1")
        self.assertEqual(standby.psql(count), primary.psql(count))
        self.assertNotIn("ERROR", server.log())
        self.assertNotIn("could not follow", server.log())

    def test_pg_receivewals_own_compressed_files(self):
        """A receiver that compresses, with a segment in progress: .gz.partial."""
        primary = self.cluster()
        archive = self.directory()
        chown(archive)
        connection = f"host={primary.directory} port={primary.port} user=postgres"
        compress = "--compress=1"
        receiver = subprocess.Popen(
            as_server_user(
                [primary.program("pg_receivewal"), "-D", archive, "-d", connection, compress, "--synchronous"],
                die_with_parent=True,
            ),
            stderr=subprocess.DEVNULL,
            cwd=primary.directory,
        )
        self.addCleanup(receiver.wait)
        self.addCleanup(receiver.kill)
        wait_for("the archive", lambda: any(os.listdir(archive)))
        primary.pgbench("-i", "-q", "-s", "2")
        wait_for("segments", lambda: sum(n.endswith(".gz") for n in os.listdir(archive)) > 3)
        server = self.server(archive, "--follow")
        first = sorted(os.listdir(archive))[0][:24]
        copy = self.directory()
        with subprocess.Popen(
            as_server_user(server.pg_receivewal(copy, start=os.path.join(primary.wal, first)), die_with_parent=True),
            stderr=subprocess.DEVNULL,
            cwd=server.directory,
        ) as client:
            primary.pgbench("-n", "-N", "-t", "500")
            end = primary.psql("SELECT pg_current_wal_flush_lsn()")
            reached = f"SELECT '{{}}'::pg_lsn >= '{end}'"
            wait_for(
                "the end of WAL",
                lambda: primary.psql(reached.format(server.query("IDENTIFY_SYSTEM").split("|")[2])) == "t",
            )
            wait_for("the copy", lambda: self.has(copy, primary.wal, end))
            client.send_signal(signal.SIGINT)
            client.wait(WAIT)
        self.assertIn("gz", "".join(os.listdir(archive)))

    def has(self, copy, original, end):
        """The copy is that of a running server up to an LSN."""
        reached = False
        for name in os.listdir(copy):
            number = int(name[8:16], 16) * 4096 + int(name[16:24], 16)
            part = max(0, min(SEGMENT, lsn(end) - number * SEGMENT))
            want = pathlib.Path(original, name[:24]).read_bytes()[:part]
            same = pathlib.Path(copy, name).read_bytes()[:part] == want
            # The last one may still have to come; the others are whole.
            self.assertTrue(same or name.endswith(".partial"), name)
            reached = reached or (same and part > 0 and (number + 1) * SEGMENT >= lsn(end))
        return reached


if __name__ == "__main__":
    unittest.main()
