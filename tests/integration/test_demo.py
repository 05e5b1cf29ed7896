"""The program of make demo: its verdict, and that it cleans up however it ends."""

import glob
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

from cluster import ROOT, make_directory

DEMO = ROOT / "tests" / "demo" / "demo.py"


def ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)


class Demo(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, rows=300):
        """Starts the demo in its own session, as a terminal does."""
        process = subprocess.Popen(
            [sys.executable, str(DEMO), f"--rows={rows}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": self.directory},
            start_new_session=True,
        )
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        return process

    def read_until(self, process, text):
        for line in process.stdout:
            if text in line:
                return
        self.fail(f"the demo never said {text!r}")

    def shared_memory(self):
        """Identifiers of the running server's System V segments (utils/pidfile.h, line 7)."""
        files = glob.glob(f"{self.directory}/*/data/postmaster.pid")
        return [pathlib.Path(file).read_text("utf-8").splitlines()[6].split()[1] for file in files]

    def assert_nothing_left(self, segments):
        deadline = time.monotonic() + 10  # redo workers notice the end of their pipe
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(left, [])
        self.assertEqual(os.listdir(self.directory), [])
        table = pathlib.Path("/proc/sysvipc/shm").read_text("ascii").splitlines()[1:]
        self.assertEqual([s for s in segments if s in {row.split()[1] for row in table}], [])

    def processes(self):
        """Processes whose command line or working directory is in the demo's directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = pathlib.Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace")
                where = os.readlink(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if self.directory in line or self.directory in where:
                found.append((pid, line, where))
        return found

    def test_verdict(self):
        process = self.start()
        output = process.stdout.read()
        self.assertEqual(process.wait(), 0, output)
        self.assertRegex(output, r"\nAll [0-9,]+ pages are equal\.\n")
        self.assert_nothing_left([])

    def interrupt(self, moment, send, rows=300, worker=False):
        """Sends a signal after the line with `moment`; with worker, once a redo worker runs."""
        process = self.start(rows)
        self.read_until(process, moment)
        while worker and not any("neon.wal_redo=on" in line for _, line, _ in self.processes()):
            self.assertIsNone(process.poll(), "the demo ended before a worker was seen")
        segments = self.shared_memory()
        send(process)
        process.stdout.read()
        self.assertNotEqual(process.wait(), 0)
        self.assert_nothing_left(segments)

    def test_ctrl_c_during_the_workload(self):
        self.interrupt("round 2", ctrl_c)

    def test_ctrl_c_during_verify(self):
        self.interrupt("neon-redo verify", ctrl_c, rows=1500, worker=True)

    def test_sigterm_during_the_workload(self):
        self.interrupt("round 1", subprocess.Popen.terminate)

    def test_sigterm_during_the_base_backup(self):
        self.interrupt("pg_basebackup", subprocess.Popen.terminate)


if __name__ == "__main__":
    unittest.main()
