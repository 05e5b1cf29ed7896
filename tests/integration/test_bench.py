"""The output of neon-redo bench; its figures are not judged."""

import json
import os
import shutil
import unittest

from cluster import (
    ROOT,
    CommandFailed,
    copy_module,
    make_directory,
    run,
    run_neon_redo,
)


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.module = copy_module(cls.directory)
        cls.wal = os.path.join(cls.directory, "wal")
        run([ROOT / "tests" / "bench" / "make_wal.py", cls.wal])

    def bench(self, *arguments):
        common = ["--wal", self.wal, "--module", self.module, "--runs", "2", "--seconds", "0.01"]
        return run_neon_redo("bench", *common, *arguments)

    def test_json(self):
        report = json.loads(self.bench("--format", "json").stdout)
        cells = [(cell["request"], cell["in_flight"]) for cell in report["throughput"]]
        self.assertEqual(
            cells, [(name, depth) for name in ("ping", "short", "medium") for depth in (1, 8, 32)]
        )
        for cell in report["throughput"]:
            for figure in ("worker_us", "bare_us", "ratio"):
                self.assertGreater(cell[figure]["low"], 0)
                self.assertLessEqual(cell[figure]["low"], cell[figure]["median"])
                self.assertLessEqual(cell[figure]["median"], cell[figure]["high"])
        short, medium = report["requests"]["short"], report["requests"]["medium"]
        self.assertEqual((short["records"], short["different"]), (2, 64))
        self.assertTrue(900 <= short["wal_bytes"] <= 1300, short)
        self.assertTrue(200 <= medium["records"] <= 230, medium)
        self.assertGreater(report["launch"]["ratio"]["median"], 0)
        self.assertGreater(report["growth"]["requests"], 2000)
        self.assertEqual([cell["request"] for cell in report["native"]], ["short", "medium"])
        for cell in report["native"]:
            self.assertGreater(cell["native_us"]["low"], 0)
            self.assertEqual([ratio["in_flight"] for ratio in cell["to_worker"]], [32, 1])
            for ratio in cell["to_worker"]:
                self.assertGreater(ratio["ratio"]["median"], 0)
                self.assertGreater(ratio["ratio_with_crc"]["median"], 0)
        if os.geteuid() == 0:
            self.assertGreater(report["idle_memory"]["private_kib"], 0)
            self.assertLess(report["growth"]["private_kib"], 1024)

    def test_text(self):
        text = self.bench().stdout
        for word in ("ping", "short", "medium", "launch to first answer", "idle memory", "with CRC"):
            self.assertIn(word, text)

    def test_one_engine(self):
        alone = self.bench("--engine", "native", "--bindir", "/nonexistent", "--format", "json")
        native = json.loads(alone.stdout)
        self.assertNotIn("throughput", native)
        self.assertEqual([cell["to_worker"] for cell in native["native"]], [[], []])
        worker = json.loads(self.bench("--engine", "worker", "--format", "json").stdout)
        self.assertNotIn("native", worker)

    def test_any_worker_of_the_protocol(self):
        command = f"exec {ROOT}/build/neon-redo worker --module {self.module} --wal-redo"
        report = self.bench("--worker-command", command, "--pin", "none", "--format", "json").stdout
        self.assertIsNone(json.loads(report)["processor"])

    def test_one_clear_line_for_what_cannot_be(self):
        os.mkdir(empty := os.path.join(self.directory, "empty"))
        for arguments, message in (
            (["--wal", empty], empty),
            (["--wal", self.wal, "--pin", "100000"], "processor 100000"),
            (["--wal", self.wal, "--worker-command", "exit 3"], "exit status 3"),
        ):
            with self.assertRaises(CommandFailed) as caught:
                run_neon_redo("bench", *arguments)
            self.assertEqual(caught.exception.returncode, 2)
            self.assertIn(message, caught.exception.stderr)
            self.assertEqual(caught.exception.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
