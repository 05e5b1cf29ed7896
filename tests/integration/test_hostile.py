"""Sends hostile records to real workers, and compares the policy with redo's real system calls.

NEON_REDO_LONG=1 (make test-hostile) runs the long forms.
"""

import json
import os
import re
import unittest

import workload
from cluster import ROOT, Cluster, copy_module, neon_redo_program, run, run_neon_redo

LONG = bool(os.environ.get("NEON_REDO_LONG"))
ROWS = workload.ORACLE_ROWS if LONG else 40
PROGRAMS = ROOT / "build" / "tests" / "hostile"


def policy_names():
    """The calls of tests/hostile/policy.expected."""
    text = (ROOT / "tests" / "hostile" / "policy.expected").read_text("utf-8")
    return set(re.findall(r"^\d+ (\w+):", text, re.MULTILINE))


def traced_calls(lines):
    """The names of the calls in strace's lines before and after each worker loads its filter."""
    before, after, loaded = set(), set(), False
    for line in lines:
        name = re.match(r"(\w+)\(", line)
        if line.startswith("execve("):
            loaded = False
        if name:
            (after if loaded else before).add(name[1])
        if "SECCOMP_SET_MODE_FILTER" in line and "= 0" in line and "NULL" not in line:
            loaded = True
    return before, after


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {**workload.SETTINGS, "wal_consistency_checking": "all"}
        cls.cluster = Cluster(settings=settings)
        cls.enterClassContext(cls.cluster)
        workload.prepare(cls.cluster, ROWS)
        workload.run(cls.cluster, ROWS, workload.ROUNDS if LONG else workload.ROUNDS[:1])
        cls.cluster.stop()
        cls.module = copy_module(cls.cluster.directory)

    def test_mutated_records(self):
        """Whatever a record does to its worker, no request waits past its deadline, no page is
        another request's, and the next request works."""
        count = 1_000_000 if LONG else 1500
        result = run([PROGRAMS / "mutate", self.cluster.wal, self.module, count], check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr[-3000:])
        report = json.loads(result.stdout)
        print(f"\n{report}")
        self.assertEqual(report["requests"], count)
        # The damage gets past the checks: some is redone, some kills.
        self.assertGreater(report["answered"], count // 20)
        self.assertGreater(report["ends"]["SIGABRT"], count // 100)
        self.assertNotIn("SIGSYS", report["ends"])

    def test_tenants_see_nothing_of_each_other(self):
        batches = 5000 if LONG else 60
        result = run([PROGRAMS / "tenants", self.cluster.wal, self.module, batches], check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        report = json.loads(result.stdout)
        print(f"\n{report}")
        self.assertGreater(report["answered"], batches * 4)
        self.assertGreater(report["hostile_refused"], batches // 10)
        self.assertGreater(report["hostile_answered"], batches // 10)
        if os.geteuid() == 0:
            # The look sees something where there is something.
            self.assertGreater(report["own_seen"], 0)

    def test_policy_lacks_no_call(self):
        """Runs the workload under the logging policy: no call may be made that the list lacks. A new C
        library fails here first."""
        trace = os.path.join(self.cluster.directory, "trace")
        command = f"exec strace -A -o {trace} -e signal=none {neon_redo_program()} worker"
        command += f" --module {self.module} --sandbox-log"
        arguments = ["verify", "--images", "--wal", self.cluster.wal, "--jobs", "1"]
        result = run_neon_redo(*arguments, "--format", "json", "--worker-command", command)
        self.assertEqual(json.loads(result.stdout)["mismatches"], [])
        with open(trace, encoding="utf-8", errors="replace") as lines:
            before, after = traced_calls(lines)
        self.assertIn("openat", before)
        self.assertLessEqual({"read", "write", "exit_group"}, after)
        self.assertEqual(sorted(after - policy_names()), [])


if __name__ == "__main__":
    unittest.main()
