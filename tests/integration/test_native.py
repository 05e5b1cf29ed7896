"""Compares the native engine on real WAL with the images in the records and with the sandboxed worker,
unchanged and with flipped bytes under a correct CRC. See native_oracle.cpp.
"""

import json
import unittest

import schemas
import workload
from cluster import ROOT, Cluster, copy_module, run

ROWS = 500
ORACLE = ROOT / "build" / "tests" / "integration" / "native_oracle"


class Native(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {**workload.SETTINGS, "wal_consistency_checking": "all"}
        cls.cluster = Cluster(settings=settings)
        cls.enterClassContext(cls.cluster)
        workload.prepare(cls.cluster, ROWS)
        workload.run(cls.cluster, ROWS)
        cls.cluster.stop()
        cls.module = copy_module(cls.cluster.directory)

    def judge(self, *arguments):
        command = [ORACLE, "--wal", self.cluster.wal, "--module", self.module, *arguments]
        return json.loads(run(command).stdout)

    def test_equals_images_and_worker(self):
        result = self.judge()
        self.assertEqual(result["failures"], 0)
        self.assertEqual(result["malformed"], 0)
        self.assertGreater(result["judged_by_worker"], 50_000)
        self.assertGreater(result["chains"], 1000)
        self.assertGreater(result["applied"], 0.99 * result["requests"])

    def test_never_applies_what_the_worker_refuses(self):
        result = self.judge("--worker-every", "1000000", "--mutate", "5")
        self.assertEqual(result["failures"], 0)
        self.assertGreater(result["mutated_applied"], 10_000)


class RandomSchema(unittest.TestCase):
    def test_equals_images_and_worker(self):
        report, complaints = schemas.play_round(seed=5, tables=4, changes=25, mutate=20)
        self.assertEqual(report["failures"] + report["malformed"], 0, complaints)
        self.assertGreater(report["judged_by_worker"], 10_000)
        self.assertGreater(report["applied"], 0.9 * report["requests"])


if __name__ == "__main__":
    unittest.main()
