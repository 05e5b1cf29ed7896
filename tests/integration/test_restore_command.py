"""WAL that a command fetches, as PostgreSQL's restore_command does: --restore-command."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import copy_module, neon_redo_program, run_neon_redo
from test_verify import verify
from test_wal_set import SEGMENT, segments, set_up_archive

SPOOL = "neon_redo_restore."


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("a wait took too long")
        time.sleep(0.02)


class RestoreCommand(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        set_up_archive(cls, "restore", inserts=8)
        cls.names = segments(cls.archive)
        label = pathlib.Path(cls.backup, "backup_label").read_text("utf-8")
        cls.start = label.split("START WAL LOCATION: ")[1].split(" ")[0]
        cls.first = label.split("(file ")[1].split(")")[0]

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="neon_redo_test.")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.log = os.path.join(self.directory, "log")
        self.environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
        self.environment["TMPDIR"] = self.directory
        self.copy = f"echo %f >>{self.log}; cp {self.archive}/%f %p 2>/dev/null"

    def tearDown(self):
        # The shell that cleans up may outlive a program that was killed.
        wait_until(lambda: not self.spools())

    def spools(self):
        return list(pathlib.Path(self.directory).glob(SPOOL + "*"))

    def fetched(self):
        return pathlib.Path(self.log).read_text("utf-8").split()

    def run_redo(self, *arguments, status=0, command=None):
        result = subprocess.run(
            [neon_redo_program(), *arguments, f"--restore-command={command or self.copy}"],
            capture_output=True, text=True, check=False, timeout=300, env=self.environment,
        )
        self.assertEqual(result.returncode, status, result.stdout[-2000:] + result.stderr)
        return result

    def verify(self, *arguments, status=0, command=None):
        result = verify(
            self.cluster, "--base-backup", self.backup, "--format=json", *arguments,
            f"--restore-command={command or self.copy}",
        )
        self.assertEqual(result.returncode, status, result.stdout[-3000:] + result.stderr)
        return json.loads(result.stdout) if status != 2 else result.stderr

    def test_every_command(self):
        """Each command prints the same as over the directory."""
        module = copy_module(os.path.join(self.directory, "module"))
        for command in (
            ["waldump", f"--start={self.start}"],
            ["ingest", f"--from={self.start}", "--list"],
            ["page", "--lsn=end", f"--base-backup={self.backup}", f"--module={module}", f"{self.table}/0"],
            ["verify", f"--explain={self.table}/0", f"--base-backup={self.backup}"],
        ):
            with self.subTest(command[0]):
                fetched = self.run_redo(*command).stdout
                read = run_neon_redo(*command, f"--wal={self.archive}").stdout
                self.assertEqual(fetched, read)
                self.assertGreater(len(fetched), 20)

    def test_verify_needs_no_directory(self):
        report = self.verify()
        plain = verify(
            self.cluster, "--base-backup", self.backup, "--format=json", "--wal", self.archive
        )
        expected = json.loads(plain.stdout)
        for key in ("records", "wal_bytes", "end_lsn", "pages_replayed", "timeline"):
            if key in expected:
                self.assertEqual(report[key], expected[key], key)
        self.assertEqual(report["records"], expected["records"])
        self.assertEqual(report["wal_directories"], [])
        self.assertIn("cp ", report["restore_command"])
        # Each segment is fetched once or, where reading begins and ends, a few times.
        fetched = self.fetched()
        # By 16 MB first, since no header has told the size.
        self.assertEqual(fetched[:2], ["00000002.history", "000000010000000000000000"])
        self.assertEqual(fetched[2], self.first)
        self.assertEqual({*fetched[2:]} - {*self.names}, {*fetched[-3:]} - {*self.names})
        for name in self.names[self.names.index(self.first) + 2 : -2]:
            self.assertEqual(fetched.count(name), 1, name)

    def test_a_directory_is_asked_first(self):
        report = self.verify("--against", self.cluster.data)
        self.assertEqual(report["wal_directories"], [self.cluster.wal])
        some = os.path.join(self.directory, "some")
        os.mkdir(some)
        begin = self.names.index(self.first)
        half = [n for i, n in enumerate(self.names[begin:]) if i % 2 == 0]
        for name in half:
            shutil.copy(os.path.join(self.archive, name), some)
        report = self.verify("--wal", some)
        expected = self.verify()
        self.assertEqual(report["records"], expected["records"])

    def test_no_more_than_a_few_files_are_kept(self):
        script = f"{self.copy}; status=$?; ls $(dirname %p) | wc -l >>{self.directory}/counts; exit $status"
        self.run_redo("waldump", f"--start={self.start}", "--quiet", command=script)
        counts = [int(n) for n in pathlib.Path(self.directory, "counts").read_text("utf-8").split()]
        self.assertGreater(len(counts), 8)
        self.assertLessEqual(max(counts), 9)

    def test_placeholders(self):
        script = f"echo '%%|%r' >>{self.directory}/words; {self.copy}"
        self.run_redo("waldump", f"--start={self.start}", "--limit=1", command=script)
        words = pathlib.Path(self.directory, "words").read_text("utf-8").splitlines()
        self.assertEqual(set(words), {"%|" + "0" * 24})
        for command, message in (("cp %x %p", "the placeholder %x"), ("cp %f %", "ends with a single %")):
            error = self.run_redo("waldump", f"--start={self.start}", command=command, status=2).stderr
            self.assertIn(message, error)

    def test_what_is_missing_ends_the_wal(self):
        end = self.names[-3]
        script = f"case %f in *.history) exit 1;; esac; [ %f \\< {end} ] || exit 125; {self.copy}"
        result = self.run_redo("waldump", f"--start={self.start}", "--stats", command=script)
        self.assertIn("XLOG", result.stdout)
        # But a gap is damage, as in a directory.
        gap = f"[ %f = {self.names[-3]} ] && exit 1; {self.copy}"
        error = self.run_redo("waldump", f"--start={self.start}", "-q", command=gap, status=2).stderr
        self.assertIn(f'WAL segment "{self.names[-3]}"', error)
        self.assertIn("is missing, but later segments are there", error)
        nothing = self.run_redo("waldump", f"--start={self.start}", command="exit 1", status=2).stderr
        self.assertIn("has no segment with LSN", nothing)

    def test_failures_end_it(self):
        """Above 125 and signals are no answer to whether the file is there."""
        victim = self.names[-3]
        for failure, message in (
            ("exit 126", "ended with status 126"),
            ("kill -KILL $$", "was terminated by signal 9"),
            ("exit 0", "did not make the file"),
        ):
            with self.subTest(failure):
                script = f"[ %f = {victim} ] && {failure}; [ %f = {victim} ] && exit 0; {self.copy}"
                error = self.run_redo("waldump", f"--start={self.start}", "-q", command=script, status=2).stderr
                self.assertIn(message, error)
                self.assertIn(victim, error)

    def test_a_file_of_wrong_size_is_refused(self):
        for place in (0, 2):
            victim = self.names[self.names.index(self.first) + place]
            script = f"if [ %f = {victim} ]; then head -c 100000 {self.archive}/%f >%p; else {self.copy}; fi"
            error = self.run_redo("waldump", f"--start={self.start}", "-q", command=script, status=2).stderr
            self.assertIn(f"has wrong size: 100000 instead of {SEGMENT}", error)
        script = f"case %f in *.history) exit 1;; esac; gzip <{self.archive}/%f >%p"
        error = self.run_redo("waldump", f"--start={self.start}", "-q", command=script, status=2).stderr
        self.assertIn("the command must decompress it", error)

    def test_a_hanging_command_is_stopped_by_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number):
                pid_file = pathlib.Path(self.directory, f"pid{int(number)}")
                script = f"case %f in *.history) exit 1;; esac; echo $$ >{pid_file}; sleep 600; exit 1"
                program = subprocess.Popen(
                    [neon_redo_program(), "waldump", f"--start={self.start}", f"--restore-command={script}"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self.environment,
                )
                try:
                    wait_until(lambda: pid_file.exists() and pid_file.read_text("utf-8").strip())
                    self.assertEqual(len(self.spools()), 1)
                    self.assertEqual(self.spools()[0].stat().st_mode & 0o777, 0o700)
                finally:
                    program.send_signal(number)
                    # Nobody else has the pipe once the program has ended, or has a word to say.
                    _, errors = program.communicate(timeout=20)
                self.assertEqual(program.returncode, -number)
                self.assertEqual(errors, "")
                wait_until(lambda: not self.spools())
                pid = int(pid_file.read_text("utf-8"))
                wait_until(lambda: not os.path.exists(f"/proc/{pid}"))

    def test_misuse(self):
        for arguments, message in (
            (["waldump", "--follow", f"--start={self.start}"], "exclude each other"),
            (["waldump", self.names[0]], "give --start instead of STARTSEG"),
            (["ingest"], "where WAL begins must be known"),
            (["page", "--lsn=end", "base/5/1/0"], "where WAL begins must be known"),
        ):
            self.assertIn(message, self.run_redo(*arguments, status=2).stderr)
        quoted = os.path.join(self.directory, "a b")
        os.mkdir(quoted)
        self.environment["TMPDIR"] = quoted
        error = self.run_redo("waldump", f"--start={self.start}", status=2).stderr
        self.assertIn("would have to be quoted", error)


if __name__ == "__main__":
    unittest.main()
