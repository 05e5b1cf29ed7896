"""WAL read where tools keep it: compressed segments, pgBackRest repositories, Barman's directories."""

import json
import os
import pathlib
import shutil
import unittest

from backup_tools import PgBackRest
from cluster import Cluster, run_neon_redo
from test_verify import verify
from test_wal_set import SEGMENT, fill, segments, set_up_archive
from wal_server import WalServer, chown

# Suffix, and the command that compresses its standard input.
PACKERS = {
    ".gz": "gzip -1",
    ".lz4": "lz4 -q",
    ".zst": "zstd -q",
    ".bz2": "bzip2 -1",
    ".xz": "xz -0",
}


def pack(suffix, source, target):
    """Compresses a file by the tool that users have."""
    status = os.system(f"{PACKERS[suffix]} < '{source}' > '{target}'")
    assert status == 0, (suffix, source)


class Compressed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        set_up_archive(cls, "compressed", inserts=8)
        cls.names = segments(cls.archive)

    def setUp(self):
        self.packed = os.path.join(self.cluster.directory, self.id())
        os.mkdir(self.packed)
        self.addCleanup(shutil.rmtree, self.packed)

    def path(self, name):
        return os.path.join(self.packed, name)

    def pack_all(self, suffix, as_suffix=None):
        for name in self.names:
            target = name + (suffix if as_suffix is None else as_suffix)
            pack(suffix, os.path.join(self.archive, name), self.path(target))

    def verify(self, status=0, *arguments):
        result = verify(
            self.cluster,
            *["--base-backup", self.backup, "--wal", self.packed, "--against", self.cluster.data],
            *["--format=json", *arguments],
        )
        self.assertEqual(result.returncode, status, result.stdout[-3000:] + result.stderr)
        return json.loads(result.stdout)

    def dump(self, *arguments, status=0):
        result = run_neon_redo("waldump", f"--wal={self.packed}", *arguments, check=False)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def test_each_format(self):
        plain = run_neon_redo("waldump", f"--wal={self.archive}").stdout
        for suffix in PACKERS:
            for as_suffix in (suffix, ""):
                with self.subTest(suffix=suffix, named=as_suffix):
                    self.pack_all(suffix, as_suffix)
                    self.assertEqual(self.dump().stdout, plain)
                    self.assertEqual(self.verify()["different"], 0)
                    for name in os.listdir(self.packed):
                        os.unlink(self.path(name))

    def test_each_command(self):
        self.pack_all(".zst")
        start = pathlib.Path(self.backup, "backup_label").read_text("utf-8").split(": ")[1].split()[0]
        for command in (
            ["ingest", "--list", f"--from={start}"],
            ["page", "base/1/1259/0", "--lsn=end", f"--base-backup={self.backup}", "--format=json"],
            ["waldump", "--stats", self.names[1], self.names[3]],
            ["verify", "--explain=base/1/1259/0", f"--base-backup={self.backup}"],
        ):
            got = run_neon_redo(*command, f"--wal={self.packed}").stdout
            self.assertEqual(got, run_neon_redo(*command, f"--wal={self.archive}").stdout, command)
        got = run_neon_redo("waldump", self.path(self.names[2] + ".zst")).stdout
        want = run_neon_redo("waldump", os.path.join(self.archive, self.names[2])).stdout
        self.assertEqual(got, want)

    def test_plain_and_compressed_in_one_directory(self):
        plain = run_neon_redo("waldump", f"--wal={self.archive}").stdout
        for i, name in enumerate(self.names):
            suffix = [None, *PACKERS][i % 6]
            source = os.path.join(self.archive, name)
            if suffix is None:
                shutil.copy(source, self.packed)
            else:
                pack(suffix, source, self.path(name + suffix))
        self.assertEqual(self.dump().stdout, plain)

    def test_damaged_files(self):
        for suffix in PACKERS:
            with self.subTest(suffix):
                self.pack_all(suffix)
                victim = pathlib.Path(self.path(self.names[3] + suffix))
                whole = victim.read_bytes()
                for damaged, words in (
                    (whole[: len(whole) // 2], "is cut short"),
                    (b"", "ends inside its page header"),
                    (whole[:100] + b"\xff" * 400 + whole[500:], victim.name),
                ):
                    victim.write_bytes(damaged)
                    error = self.dump(status=2).stderr
                    self.assertIn(victim.name, error)
                # The cluster's own copy is read instead, and the damage is told.
                victim.write_bytes(whole[: len(whole) // 2])
                notes = self.verify()["wal_notes"]
                self.assertEqual(len(notes), 1, notes)
                self.assertIn(victim.name, notes[0])
                for name in os.listdir(self.packed):
                    os.unlink(self.path(name))

    def test_a_file_that_grows_beyond_a_segment(self):
        self.pack_all(".zst")
        huge = os.path.join(self.packed, "huge")
        with open(huge, "wb") as file:
            file.write(pathlib.Path(self.archive, self.names[3]).read_bytes())
            file.truncate(2 << 30)
        for suffix in (".zst", ".gz"):
            os.unlink(self.path(self.names[3] + ".zst"))
            pack(suffix, huge, self.path(self.names[3] + suffix))
            error = self.dump(status=2).stderr
            self.assertIn(f"it has more than {SEGMENT} bytes", error)
            os.rename(self.path(self.names[3] + suffix), self.path(self.names[3] + ".zst"))
        os.unlink(huge)


class Tools(unittest.TestCase):
    """Repositories that the tools themselves have made."""

    def cluster(self, name, settings):
        cluster = Cluster(name, settings={"autovacuum": "off", **settings}, wal_segment_mb=1, start=False)
        cluster.__enter__()
        self.addCleanup(cluster.close)
        return cluster

    def work(self, cluster):
        cluster.psql("CREATE TABLE t (i int PRIMARY KEY, filler text)")
        backup = cluster.basebackup("backup", "--wal-method=none")
        for i in range(4):
            fill(cluster, i * 1000, i * 1000 + 999)
            cluster.psql("SELECT pg_switch_wal()")
        return backup

    def check(self, cluster, backup, *source):
        result = verify(
            cluster,
            *["--base-backup", backup, *source, "--against", cluster.data],
            "--format=json",
        )
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["wal_notes"], [])
        return report

    def check_command(self, cluster, backup, command):
        """The command that the tool has for restore_command, without a look at its files."""
        option = f"--restore-command={command}"
        report = self.check(cluster, backup, option)
        self.assertGreater(report["records"], 4000)
        missing = run_neon_redo("waldump", "--start=F/0", option, check=False)
        self.assertEqual(missing.returncode, 2)
        self.assertIn("has no segment with LSN F/0", missing.stderr)

    @unittest.skipUnless(shutil.which("pgbackrest"), "pgbackrest is not installed")
    def test_pgbackrest(self):
        for method in ("none", "gz", "zst"):
            with self.subTest(method):
                self.check_pgbackrest(method)

    def check_pgbackrest(self, method):
        cluster = self.cluster("pgbackrest", {"archive_mode": "on", "max_wal_senders": "5"})
        repository = os.path.join(cluster.directory, "repository")
        command = (
            f"pgbackrest --stanza=main --repo1-path={repository} --pg1-path={cluster.data}"
            f" --log-path={cluster.directory} --lock-path={cluster.directory} --log-level-file=off"
        )
        cluster.run_as_server(["mkdir", repository])
        cluster.configure({"archive_command": f"{command} --compress-type={method} archive-push %p"})
        cluster.start()
        server = [f"--pg1-socket-path={cluster.directory}", "--pg1-user=postgres"]
        cluster.run_as_server([*command.split(), *server, "stanza-create"])
        backup = self.work(cluster)
        cluster.stop()
        stanza = os.path.join(repository, "archive", "main")
        inner = next(pathlib.Path(stanza).glob("*-1"))
        names = sorted(path.name for path in inner.glob("*/*-*"))
        self.assertGreater(len(names), 4)
        suffix = "" if method == "none" else "." + method
        self.assertTrue(all(name.endswith(suffix) for name in names), names)
        for directory in (repository, stanza, str(inner)):
            self.check(cluster, backup, "--wal", directory)
        self.check_command(cluster, backup, f"{command} archive-get %f %p")
        # Another segment's file by the name of this one has another checksum.
        victim = next(inner.glob(f"*/{names[-2]}"))
        other = next(inner.glob(f"*/{names[-3]}"))
        victim.write_bytes(other.read_bytes())
        result = run_neon_redo("waldump", f"--wal={inner}", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(victim.name, result.stderr)

    @unittest.skipUnless(shutil.which("pgbackrest"), "pgbackrest is not installed")
    def test_encrypted_pgbackrest(self):
        for method in ("none", "gz", "zst"):
            with self.subTest(method):
                self.check_encrypted_pgbackrest(method)

    def check_encrypted_pgbackrest(self, method):
        """--wal is a repository: every command reads in it what archive-get restores from it."""
        cluster = self.cluster("pgbackrest", {"archive_mode": "on", "max_wal_senders": "5"})
        cluster.start()
        passphrase = "correct horse battery staple"
        tool = PgBackRest(
            cluster, compress_type=method, repo1_cipher_type="aes-256-cbc", repo1_cipher_pass=passphrase
        )
        self.addCleanup(shutil.rmtree, tool.directory)
        backup = self.work(cluster)
        history = os.path.join(cluster.wal, "00000002.history")
        pathlib.Path(history).write_text("1\tF/0\tno recovery target specified\n", "utf-8")
        chown(history)
        tool.run("archive-push", history)
        cluster.stop()
        secret = pathlib.Path(cluster.directory, "passphrase")
        secret.touch(mode=0o600)  # for nobody else
        secret.write_text(passphrase + "\n")
        option = f"--repo-cipher-pass-file={secret}"
        archives = os.path.join(tool.repository, "archive")
        stanza = os.path.join(archives, "main")
        inner = next(pathlib.Path(stanza).glob("*-1"))
        files = sorted(inner.glob("*/*-*"))
        self.assertGreater(len(files), 4)
        files_and_history = [*files, inner / "00000002.history"]
        self.assertTrue(all(path.read_bytes()[:8] == b"Salted__" for path in files_and_history))
        plain = os.path.join(cluster.directory, "plain")
        cluster.run_as_server(["mkdir", plain])
        for path in files:
            tool.run("archive-get", path.name[:24], os.path.join(plain, path.name[:24]))
        for directory in (tool.repository, archives, stanza, str(inner)):
            self.check(cluster, backup, "--wal", directory, option)
        start = pathlib.Path(backup, "backup_label").read_text("utf-8").split(": ")[1].split()[0]
        for command in (
            ["waldump"],
            ["waldump", "--stats", files[1].name[:24], files[3].name[:24]],
            ["ingest", "--list", f"--from={start}"],
            ["page", "base/1/1259/0", "--lsn=end", f"--base-backup={backup}", "--format=json"],
            ["verify", "--explain=base/1/1259/0", f"--base-backup={backup}"],
        ):
            got = run_neon_redo(*command, f"--wal={tool.repository}", option).stdout
            self.assertEqual(got, run_neon_redo(*command, f"--wal={plain}").stdout, command)
        refused = run_neon_redo("waldump", f"--wal={tool.repository}", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("it is encrypted: name the file with the repository's passphrase", refused.stderr)
        secret.write_text("another\n")
        refused = run_neon_redo("waldump", f"--wal={tool.repository}", option, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("archive.info", refused.stderr)
        secret.write_text(passphrase + "\n")
        self.check_serving(cluster, plain, tool.repository, secret)
        # As if there were another stanza.
        shutil.copytree(stanza, os.path.join(archives, "other"))
        refused = run_neon_redo("waldump", f"--wal={tool.repository}", option, check=False)
        self.assertIn("has several stanzas; name one of them: main, other", refused.stderr)
        self.check(cluster, backup, "--wal", tool.repository, option, "--stanza=main")

    def check_serving(self, cluster, plain, repository, secret):
        """serve-wal over the repository, to pg_receivewal."""
        own = os.path.join(cluster.directory, "servers_passphrase")
        shutil.copy(secret, own)
        os.chmod(own, 0o600)
        chown(own)
        names = segments(plain)
        slots = os.path.join(cluster.directory, "slots")
        with WalServer(repository, f"--repo-cipher-pass-file={own}", f"--slots={slots}") as server:
            end = server.query("IDENTIFY_SYSTEM").split("|")[2]
            self.assertIn("no recovery target", server.query("TIMELINE_HISTORY 2"))
            copy = os.path.join(cluster.directory, "copy")
            server.run(server.pg_receivewal(copy, end, start=os.path.join(plain, names[0])))
            self.assertEqual(segments(copy), names)
            for name in names:
                want = pathlib.Path(plain, name).read_bytes()
                self.assertTrue(pathlib.Path(copy, name).read_bytes() == want, name)

    @unittest.skipUnless(shutil.which("barman"), "barman is not installed")
    def test_barman(self):
        for method in ("gzip", "none"):
            with self.subTest(method):
                self.check_barman(method)

    def check_barman(self, method):
        cluster = self.cluster("barman", {"archive_mode": "on"})
        home = os.path.join(cluster.directory, "barman")
        configuration = os.path.join(cluster.directory, "barman.conf")
        compression = "" if method == "none" else f"compression = {method}\n"
        connection = f"host={cluster.directory} port={cluster.port} user=postgres dbname=postgres"
        text = (
            f"[barman]\nbarman_home = {home}\nbarman_user = postgres\nlog_file = {home}.log\n"
            f"[main]\ndescription = main\nconninfo = {connection}\narchiver = on\n"
            f"backup_method = postgres\nstreaming_conninfo = {connection}\n{compression}"
        )
        pathlib.Path(configuration).write_text(text, "utf-8")
        os.chmod(configuration, 0o644)
        incoming = os.path.join(home, "main", "incoming")
        cluster.run_as_server(["mkdir", "-p", incoming])
        cluster.configure({"archive_command": f"cp %p {incoming}/%f"})
        cluster.start()
        backup = self.work(cluster)
        barman = ["barman", "-c", configuration]
        cluster.run_as_server([*barman, "archive-wal", "main"])
        for _ in range(20):
            cluster.run_as_server([*barman, "archive-wal", "main"])
            if not [name for name in os.listdir(incoming) if len(name) == 24]:
                break
        wals = pathlib.Path(home, "main", "wals")
        names = [path for path in wals.glob("*/*") if len(path.name) == 24]
        self.assertGreater(len(names), 4)
        magic = {"gzip": b"\x1f\x8b", "bzip2": b"BZ", "none": names[0].read_bytes()[:2]}[method]
        self.assertTrue(all(path.read_bytes()[:2] == magic for path in names))
        cluster.stop()
        for directory in (wals, wals.parent):
            self.check(cluster, backup, "--wal", str(directory))
        get_wal = f"barman -c {configuration} get-wal main %f >%p"
        self.check_command(cluster, backup, f"runuser -u postgres -- {get_wal}")


if __name__ == "__main__":
    unittest.main()
