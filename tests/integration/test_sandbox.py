"""A real worker in its sandbox, inspected from outside, and the whole workload under its policy."""

import contextlib
import ctypes
import json
import os
import pty
import shutil
import struct
import subprocess
import time
import unittest

from cluster import ROOT, Cluster, as_server_user, copy_module, make_directory, run, run_neon_redo
from test_worker import PAGE, Wal, apply, begin, get

LIVE_WORKER = ROOT / "build" / "tests" / "hostile" / "live_worker"


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def with_crc(record):
    """The record with a correct CRC over the data and then the header up to the CRC
    (XLogRecord in access/xlogrecord.h)."""
    return record[:20] + struct.pack("<I", crc32c(record[24:] + record[:20])) + record[24:]


def fields(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.module = copy_module(cls.directory)

    @contextlib.contextmanager
    def live_worker(self, *arguments):
        """Runs a program with a worker on its own terminal; returns what it reports about the worker."""
        parent, child = pty.openpty()
        with subprocess.Popen(
            ["setsid", "--ctty", LIVE_WORKER, self.module, *arguments],
            stdin=child,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(child)
            try:
                line = process.stdout.readline()
                if not line:
                    self.fail(process.stderr.read())
                yield process, json.loads(line)
            finally:
                process.kill()
                os.close(parent)

    def terminal(self, pid):
        """The controlling terminal's number: field 7 of /proc/PID/stat, after the name."""
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return int(file.read().rpartition(")")[2].split()[4])

    def test_process(self):
        for layers in ([], ["namespaces"], ["no-landlock"]):
            with self.subTest(layers), self.live_worker(*layers) as (host, known):
                pid = known["pid"]
                status = fields(pid)
                self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
                for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    self.assertEqual(int(status[name], 16), 0, name)
                self.assertEqual(status["Threads"], "1")
                self.assertNotEqual(self.terminal(host.pid), 0)
                self.assertEqual(self.terminal(pid), 0)
                self.assertTrue(known["filter"])
                self.assertEqual(known["namespaces"], layers == ["namespaces"])
                if layers == ["no-landlock"]:
                    self.assertFalse(known["landlock"])
                if os.geteuid() == 0:
                    self.look_as_root(pid, known)
                self.look_as_same_user(pid)

    def test_managers_status_says_what_confines_a_worker(self):
        landlock = self.landlock_of_the_kernel()
        for layers, expected in (
            ([], (True, landlock, False)),
            (["namespaces"], (True, landlock, True)),
            (["no-landlock"], (True, False, False)),
            (["no-sandbox"], (False, False, False)),
        ):
            with self.subTest(layers), self.live_worker("manager", *layers) as (host, known):
                said = (known["filter"], known["landlock"], known["namespaces"])
                self.assertEqual(said, expected)
                self.assertEqual(fields(known["pid"])["Seccomp"], "2" if known["filter"] else "0")
                self.assertEqual(fields(known["pid"])["PPid"], str(host.pid))

    def landlock_of_the_kernel(self):
        """landlock(7): landlock_create_ruleset with LANDLOCK_CREATE_RULESET_VERSION."""
        return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0

    def look_as_root(self, pid, known):
        self.assertEqual(sorted(os.listdir(f"/proc/{pid}/fd")), ["0", "1", "2"])
        with open(f"/proc/{pid}/environ", "rb") as file:
            self.assertEqual(file.read().strip(b"\0"), b"")
        for kind in ("net", "ipc", "uts", "user"):
            same = os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")
            self.assertEqual(same, not known["namespaces"], kind)

    def look_as_same_user(self, pid):
        """Another process of the same user cannot read a worker's memory."""
        for what in ("mem", "maps", "environ", "fd/0"):
            result = run(as_server_user(["head", "-c1", f"/proc/{pid}/{what}"]), check=False)
            self.assertIn("Permission denied", result.stderr, what)

    def test_dies_with_its_parent(self):
        for layers in ([], ["namespaces"]):
            with self.live_worker(*layers) as (host, known):
                pid = known["pid"]
                self.assertTrue(os.path.exists(f"/proc/{pid}"))
                host.kill()
                host.wait()
                deadline = time.monotonic() + 20
                while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
                    time.sleep(0.01)
                self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_doctor(self):
        result = run_neon_redo("doctor", "--module", self.module, "--format", "json")
        report = json.loads(result.stdout)
        layers = {layer["name"]: layer for layer in report["layers"]}
        self.assertTrue(layers["filter"]["on"] and layers["filter"]["supported"])
        self.assertEqual(layers["landlock"]["on"], layers["landlock"]["supported"])
        self.assertFalse(layers["namespaces"]["on"])
        self.assertEqual(report["worker_process"]["Seccomp"], "2")
        text = run_neon_redo("doctor", "--module", self.module).stdout
        self.assertRegex(text, r"(?m)^filter +yes +yes ")
        self.assertNotIn("\x1b", text)
        missing = run_neon_redo("doctor", "--module", "/nonexistent/neon.so", check=False)
        self.assertEqual(missing.returncode, 2)
        self.assertIn('No worker starts: there is no module "/nonexistent/neon.so"', missing.stdout)
        no_module = os.path.join(os.path.dirname(self.module), "broken.so")
        with open(no_module, "w", encoding="utf-8"):
            pass
        broken = run_neon_redo("doctor", "--module", no_module, check=False)
        self.assertEqual(broken.returncode, 2)
        self.assertIn("No worker starts:", broken.stdout)
        # No layer is the reason.
        self.assertRegex(broken.stdout, r"(?m)^filter +no +unknown ")
        self.assertEqual(broken.stdout.count("could not start a redo worker"), 1)
        # The module is found where it was installed or built.
        found = json.loads(run_neon_redo("doctor", "--format", "json").stdout)
        self.assertTrue(found["module"].endswith("/neon.so"))
        self.assertTrue(found["worker_starts"])

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount")
    def test_a_full_directory_of_homes(self):
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3", "none", directory])
        self.addCleanup(run, ["umount", directory])
        os.chmod(directory, 0o777)
        environment = {**os.environ, "TMPDIR": directory}
        result = run_neon_redo("doctor", "--module", self.module, check=False, env=environment)
        self.assertEqual(result.returncode, 2)
        self.assertIn("of the worker's home: No space left on device", result.stdout)
        self.assertEqual(
            result.stderr,
            f'neon-redo: hint: Directory "{directory}" is full. Set TMPDIR to use another one.\n',
        )

    def test_panic_says_its_message(self):
        """A valid record for which PostgreSQL's redo raises a PANIC."""
        with Cluster(settings={"autovacuum": "off"}) as cluster:
            cluster.psql("CREATE TABLE t (i int); CHECKPOINT; INSERT INTO t SELECT generate_series(1, 9)")
            cluster.stop()
            wal = Wal(cluster.wal)
            block, records = wal.history(
                lambda r, b: r["resource_manager"] == "Heap" and b["fork"] == "main" and b["relation"] >= 16384, 9
            )
            first, second = records[0], wal.bytes(records[1])
            # The main data, at the end, is xl_heap_insert: offnum, flags.
            bad = with_crc(second[:-3] + struct.pack("<HB", 0x700, 0))
            self.assertEqual(with_crc(second), second)
            good = begin(block) + apply(first["end"], wal.bytes(first)) + get(block)
            frames = good + good[: -len(get(block))] + apply(records[1]["end"], bad) + get(block)
            command = [ROOT / "build" / "neon-redo", "worker", "--module", self.module]
            result = subprocess.run(command, input=frames, capture_output=True, check=False)
            self.assertIn(b"PANIC:  invalid max offset number", result.stderr)
            self.assertNotIn(b"killed by the sandbox", result.stderr)
            self.assertEqual(result.returncode, -6)
            self.assertIn(len(result.stdout), (0, PAGE))


if __name__ == "__main__":
    unittest.main()
