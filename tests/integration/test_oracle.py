"""The strictest test of redo. With wal_consistency_checking = 'all' each record carries its pages as they
must be afterwards. Every kind of record of a large mixed workload is replayed, by the native engine
with a sandboxed worker for the rest and by the worker alone, and each page is compared. Of a version that
is not released (make test-experimental) the worker alone replays.
"""

import json
import os
import re
import unittest

import workload
from cluster import MAJORS, Cluster, copy_module, major, run_neon_redo, server_program

BLOCK_IMAGES = 500_000

# Every operation that changes a block, by its name in pg_waldump (rmgrdesc/*.c); of 15.
# Left out: Gist/ASSIGN_LSN (needs wal_level = minimal) and Heap/HOT_UPDATE+INIT (cannot occur: the
# old version is on the page). "+INIT" counts for its operation.
OPERATIONS = {
    "XLOG": "FPI FPI_FOR_HINT",
    "Heap2": "PRUNE VACUUM FREEZE_PAGE VISIBLE MULTI_INSERT MULTI_INSERT+INIT LOCK_UPDATED",
    "Heap": "INSERT INSERT+INIT DELETE UPDATE UPDATE+INIT HOT_UPDATE HEAP_CONFIRM LOCK INPLACE",
    "Btree": "INSERT_LEAF INSERT_UPPER INSERT_META SPLIT_L SPLIT_R INSERT_POST DEDUP DELETE VACUUM"
    " MARK_PAGE_HALFDEAD UNLINK_PAGE UNLINK_PAGE_META NEWROOT REUSE_PAGE META_CLEANUP",
    "Hash": "INIT_META_PAGE INIT_BITMAP_PAGE INSERT ADD_OVFL_PAGE SPLIT_ALLOCATE_PAGE SPLIT_PAGE"
    " SPLIT_COMPLETE MOVE_PAGE_CONTENTS SQUEEZE_PAGE DELETE SPLIT_CLEANUP UPDATE_META_PAGE"
    " VACUUM_ONE_PAGE",
    "Gin": "CREATE_PTREE INSERT SPLIT VACUUM_PAGE VACUUM_DATA_LEAF_PAGE DELETE_PAGE"
    " UPDATE_META_PAGE INSERT_LISTPAGE DELETE_LISTPAGE",
    "Gist": "PAGE_UPDATE DELETE PAGE_REUSE PAGE_SPLIT PAGE_DELETE",
    "Sequence": "LOG",
    "SPGist": "ADD_LEAF MOVE_LEAFS ADD_NODE SPLIT_TUPLE PICKSPLIT VACUUM_LEAF VACUUM_ROOT"
    " VACUUM_REDIRECT",
    "BRIN": "CREATE_INDEX INSERT UPDATE SAMEPAGE_UPDATE REVMAP_EXTEND DESUMMARIZE",
    "Generic": "Generic",
}
if major() >= 17:
    OPERATIONS["Heap2"] = (
        "PRUNE_ON_ACCESS PRUNE_VACUUM_SCAN PRUNE_VACUUM_CLEANUP VISIBLE MULTI_INSERT MULTI_INSERT+INIT"
        " LOCK_UPDATED"
    )


IS_EXPERIMENTAL = major() not in MAJORS
if IS_EXPERIMENTAL:  # 19: records of heap pages set the bits of the visibility map
    OPERATIONS["Heap2"] = OPERATIONS["Heap2"].replace(" VISIBLE", "")


class Oracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {**workload.SETTINGS, "wal_consistency_checking": "all"}
        cls.cluster = Cluster(settings=settings)
        cls.enterClassContext(cls.cluster)
        workload.prepare(cls.cluster, workload.ORACLE_ROWS)
        workload.run(cls.cluster, workload.ORACLE_ROWS)
        cls.cluster.stop()
        cls.module = copy_module(cls.cluster.directory)

    def test_workload_makes_every_operation(self):
        segments = sorted(name for name in os.listdir(self.cluster.wal) if len(name) == 24)
        command = [server_program("pg_waldump"), "--stats=record", "-p", self.cluster.wal]
        # Its status is 1: the WAL ends where it ends.
        result = self.cluster.run_as_server([*command, segments[0], segments[-1]], check=False)
        counts = dict(re.findall(r"^([\w]+/[\w+]+) +(\d+) ", result.stdout, re.MULTILINE))
        wanted = [f"{rmgr}/{name}" for rmgr, names in OPERATIONS.items() for name in names.split()]
        self.assertEqual([name for name in wanted if int(counts.get(name, 0)) == 0], [])

    def report(self, *arguments):
        arguments = ["--images", "--wal", self.cluster.wal, "--module", self.module, *arguments]
        arguments += ["--untested-version"] if IS_EXPERIMENTAL else []
        result = run_neon_redo("verify", *arguments, "--format", "json", check=False)
        self.assertEqual(result.returncode, 0, result.stdout[-5000:] + result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["mismatches"], [])
        self.assertGreaterEqual(report["images_compared"], BLOCK_IMAGES)
        compared = {name for name, counts in report["resource_managers"].items() if counts["equal"]}
        self.assertEqual(set(OPERATIONS) - compared, set())
        if IS_EXPERIMENTAL:
            print(f"PostgreSQL {major()}: {report['images_compared']} images, no difference")
        return report

    if not IS_EXPERIMENTAL:  # the native engine does not know the records

        def test_every_image_is_rebuilt_natively_or_by_the_worker(self):
            report = self.report()
            self.assertGreater(report["native_share"], 0.95)
            self.assertEqual(report["changes"]["malformed"], 0)

    def test_every_image_is_rebuilt_by_the_worker(self):
        report = self.report("--engine", "worker")
        self.assertEqual(report["changes"]["chosen"], report["requests"])


if __name__ == "__main__":
    unittest.main()
