"""neon-redo ingest on the WAL of a mixed workload: no record is unknown, every kind of change occurs, and
the counters are those that the stopped cluster's recovery ended with.
"""

import json
import re
import unittest

import workload
from cluster import Cluster, major, run, run_neon_redo, server_program

ROWS = 400

# What the workload cannot but make, and what it makes too seldom to ask for (tests/unit/ingest_test.cpp).
EXPECTED = (
    "record image clear_visibility truncate_visibility clog_committed clog_aborted multixact_offset"
    " multixact_members commit_ts zero_slru_page create_fork truncate_fork drop_relation create_database"
    " copy_database drop_database relation_map create_tablespace drop_tablespace prepare finish_prepared"
    " checkpoint timeline next_oid parameters full_page_writes segment_switch backup_end restore_point"
).split()
CHANGE_NOTHING = ["LogicalMessage", "ReplicationOrigin", "Standby"]


class IngestWorkload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(settings=workload.SETTINGS)
        cls.enterClassContext(cls.cluster)
        workload.prepare(cls.cluster, ROWS)
        workload.basebackup(cls.cluster)
        workload.run(cls.cluster, ROWS, rounds=workload.ROUNDS[1:3])
        # A change of parameters is told at the next start, a timeline at promotion.
        cls.cluster.restart()
        cls.cluster.psql("ALTER SYSTEM SET max_connections = 60")
        cls.cluster.restart()
        cls.cluster.psql("CREATE TABLE after_restart AS SELECT 1")
        cls.cluster.stop()
        text = run_neon_redo("ingest", "--wal", cls.cluster.wal, "--format", "json").stdout
        cls.result = json.loads(text)

    def test_every_kind_of_change_occurs(self):
        missing = [kind for kind in EXPECTED if kind not in self.result["changes"]]
        # Newer minor releases of 17 and 18 name the map's page instead of leaving its bits to the reader.
        left_out = {"clear_visibility"} if major() >= 17 else set()
        # Promotion is another test's business (IngestTimelines).
        self.assertEqual(set(missing) - left_out, {"timeline"})

    def test_nothing_is_unknown(self):
        self.assertEqual(self.result["unknown"], [])
        for rmgr in CHANGE_NOTHING:
            self.assertGreater(self.result["without_change"].get(rmgr, 0), 0, rmgr)

    def test_counters_are_those_of_the_control_file(self):
        text = run([server_program("pg_controldata"), self.cluster.data], env={"LC_ALL": "C"}).stdout
        control = dict(re.findall(r"^(.*?):\s+(.*)$", text, re.MULTILINE))
        state = self.result["state"]
        latest = "Latest checkpoint's "
        epoch, xid = control[latest + "NextXID"].split(":")
        self.assertEqual(state["next_xid"], int(epoch) << 32 | int(xid))
        self.assertEqual(state["next_oid"], int(control[latest + "NextOID"]))
        self.assertEqual(state["next_multixact"], int(control[latest + "NextMultiXactId"]))
        self.assertEqual(state["next_multixact_offset"], int(control[latest + "NextMultiOffset"]))
        self.assertEqual(state["oldest_xid"], int(control[latest + "oldestXID"]))
        self.assertEqual(state["oldest_multixact"], int(control[latest + "oldestMultiXid"]))
        self.assertEqual(state["timeline"], int(control[latest + "TimeLineID"]))
        self.assertEqual(state["checkpoint_redo"], control[latest + "REDO location"])
        self.assertTrue(state["track_commit_timestamp"])

    def test_list_has_as_many_lines_as_changes(self):
        lines = run_neon_redo(
            "ingest", "--wal", self.cluster.wal, "--list", "--format", "json"
        ).stdout.splitlines()
        self.assertEqual(len(lines), sum(self.result["changes"].values()))
        kinds = {}
        for line in map(json.loads, lines):
            kinds[line["kind"]] = kinds.get(line["kind"], 0) + 1
        self.assertEqual(kinds, self.result["changes"])

    def test_limits(self):
        whole = self.result["records"]
        middle = json.loads(
            run_neon_redo(
                "waldump", "--wal", self.cluster.wal, "--rmgr", "Database", "--format", "json"
            ).stdout.splitlines()[0]
        )["lsn"]
        parts = [
            json.loads(
                run_neon_redo(
                    "ingest", "--wal", self.cluster.wal, option, middle, "--format", "json"
                ).stdout
            )["records"]
            for option in ("--from", "--to")
        ]
        self.assertEqual(sum(parts), whole)

    def test_bad_usage(self):
        for arguments in (["--from", "x"], ["--to", "FF/FFFFFFFF"], ["--timeline", "9"]):
            result = run_neon_redo("ingest", "--wal", self.cluster.wal, *arguments, check=False)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)


class IngestTimelines(unittest.TestCase):
    def test_promotion_begins_a_timeline(self):
        with Cluster(settings={"wal_keep_size": "1GB"}) as primary:
            with Cluster("standby", standby_of=primary, settings=dict(primary.settings)) as standby:
                standby.psql("SELECT pg_promote()")
                standby.psql("CREATE TABLE t AS SELECT 1")
                standby.stop()
                lines = run_neon_redo("ingest", "--wal", standby.wal, "--list").stdout
                self.assertIn(" timeline 2 after 1\n", lines)
                result = json.loads(
                    run_neon_redo("ingest", "--wal", standby.wal, "--format", "json").stdout
                )
                self.assertEqual(result["state"]["timeline"], 2)
                self.assertEqual(result["unknown"], [])


if __name__ == "__main__":
    unittest.main()
