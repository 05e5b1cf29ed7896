"""What the scripts around the tests do when something is missing or in the way. apt-get is a stand-in."""

import importlib.util
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from unittest import mock

from cluster import ROOT

SPEC = importlib.util.spec_from_file_location("regression_run", ROOT / "tests/regression/run.py")
SUITE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SUITE)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="neon_redo."))
        self.addCleanup(shutil.rmtree, self.directory)

    def test_fetch_server_keeps_the_files_of_others(self):
        kept = self.directory / "mine" / "file"
        kept.parent.mkdir()
        kept.touch()
        for options in ([], ["--update"], ["--source"]):
            command = [ROOT / "scripts/fetch_server.sh", *options, "17", kept.parent]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("is not empty, and no server was fetched to it", result.stderr)
            self.assertTrue(kept.exists())

    def test_deps_names_the_server_of_the_system(self):
        """Nothing is installed here, for a user who may install nothing."""
        programs = self.directory / "bin"
        programs.mkdir()
        for name, script in {"dpkg-query": "exit 1", "id": "echo 1000", "sudo": "exit 1"}.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
            (programs / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        result = subprocess.run(
            [ROOT / "scripts/deps.sh", "more"], env=environment, capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 1)
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
        major = {"bookworm": 15, "trixie": 17, "forky": 18, "sid": 18}[codename]
        self.assertIn(f" postgresql-{major} postgresql-server-dev-{major} ", result.stderr)
        self.assertTrue(result.stderr.endswith(" more\n"), result.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "the script needs root")
    def test_debian13_leaves_nothing_when_it_is_ended(self):
        """unshare and debootstrap are stand-ins; the system is an empty one that was made before."""
        programs = self.directory / "bin"
        programs.mkdir()
        for name, script in {
            "unshare": f"touch {self.directory}/began; sleep 600",
            "debootstrap": "exit 1",
            "pivot_root": "exit 1",
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
            (programs / name).chmod(0o755)
        system = self.directory / "cache" / "debian13" / "system"
        for name in ("etc/apt/apt.conf.d", "srv"):
            (system / name).mkdir(parents=True)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "NEON_REDO_CACHE": str(self.directory / "cache"),
        }
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                began = self.directory / "began"
                began.unlink(missing_ok=True)
                # A group of its own: SIGINT to the script alone must do, too.
                process = subprocess.Popen(
                    [ROOT / "scripts/test_debian13.sh"],
                    env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                deadline = time.monotonic() + 60
                while not began.exists():
                    self.assertIsNone(process.poll())
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.05)
                process.send_signal(number)
                self.assertEqual(process.wait(60), 128 + number)
                self.assertEqual(list(system.parent.glob("run.*")), [])
                self.assertTrue(system.exists())
                with self.assertRaises(ProcessLookupError):
                    os.killpg(process.pid, 0)  # nothing of it is left

    def fetch_source(self, major, script):
        """The suite's source, by an apt-get that is this shell script."""
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        program = directory / "bin" / "apt-get"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        program.chmod(0o755)
        environment = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
        with mock.patch.dict(os.environ, environment), mock.patch.object(SUITE, "major", lambda: major):
            return SUITE.fetch_source(str(directory))

    def test_the_workload_stands_in_only_where_there_is_no_source(self):
        update_fails = 'case "$*" in *update) echo "E: no mirror" >&2; exit 100 ;; esac'
        missing = 'case "$*" in *source*postgresql-*) echo "E: 404  Not Found" >&2; exit 100 ;; esac'
        other = 'case "$*" in *source*postgresql-*) echo "E: disk is full" >&2; exit 100 ;; esac'
        self.assertIsNone(self.fetch_source(17, missing))
        for major, script in ((15, missing), (18, missing), (17, other), (17, update_fails), (15, update_fails)):
            with self.subTest(major=major, script=script), self.assertRaises(SUITE.SourceFailed):
                self.fetch_source(major, script)
        source = self.fetch_source(15, 'case "$*" in *source*postgresql-15) mkdir postgresql-15-15.1 ;; esac')
        self.assertEqual(source.name, "postgresql-15-15.1")


if __name__ == "__main__":
    unittest.main()
