"""Servers of several major versions beside each other: each WAL gets the worker that it needs, and what
does not fit is refused in one line before anything is started.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import (
    MAJORS,
    ROOT,
    Cluster,
    copy_module,
    make_directory,
    pg_config,
    run,
    run_neon_redo,
    server_program,
    servers,
)

MIXED_HOUSE = ROOT / "build" / "tests" / "integration" / "mixed_house"
SETTINGS = {
    "wal_consistency_checking": "all",
    "autovacuum": "off",
    "full_page_writes": "off",
    "wal_keep_size": "1GB",
}
# Inserts until pages are full, updates, pruning, a vacuum that sets the visibility map, and changes that
# clear it; a hash index, which splits buckets: a worker's business. Updates that fill a fresh page.
WORKLOAD = """
CREATE TABLE t (i int PRIMARY KEY, filler text) WITH (fillfactor = 60);
CREATE INDEX ON t USING hash (i);
INSERT INTO t SELECT g, repeat('x', 40) FROM generate_series(1, 20000) g;
VACUUM (FREEZE) t;
UPDATE t SET filler = 'changed' WHERE i % 3 = 0;
DELETE FROM t WHERE i % 5 = 0;
SELECT count(*) FROM (SELECT FROM t WHERE i % 7 = 0 FOR UPDATE) locked;
VACUUM t;
INSERT INTO t SELECT g, repeat('y', 400) FROM generate_series(20001, 24000) g;
ANALYZE t;
CREATE TABLE wide (i int, filler text);
ALTER TABLE wide ALTER filler SET STORAGE PLAIN;
INSERT INTO wide SELECT g, repeat('a', 7000) FROM generate_series(1, 3) g;
UPDATE wide SET filler = repeat('b', 7000);
"""


class Servers(unittest.TestCase):
    """One cluster of each version, stopped, and a module for each."""

    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.clusters, cls.backups, cls.modules = {}, {}, {}
        for version in servers():
            cluster = cls.enterClassContext(Cluster(settings=SETTINGS, version=version))
            cls.backups[version] = cluster.basebackup()
            cluster.psql(WORKLOAD)
            cluster.stop()
            cls.clusters[version] = cluster
            cls.modules[version] = copy_module(os.path.join(cls.directory, str(version)), version)
        os.chmod(cls.directory, 0o755)

    def given_modules(self, *versions):
        return [f"--module={self.modules[version]}" for version in versions or self.modules]

    def verify(self, version, *arguments, check=True):
        wal = self.clusters[version].wal
        return run_neon_redo("verify", "--wal", wal, "--format", "json", *arguments, check=check)

    def refused(self, message, result):
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn(message, result.stdout + result.stderr)

    def test_each_wal_gets_its_worker(self):
        for version in self.clusters:
            for engine in ("worker", "auto"):
                with self.subTest(version=version, engine=engine):
                    result = self.verify(version, "--images", "--engine", engine, *self.given_modules())
                    report = json.loads(result.stdout)
                    self.assertEqual(report["mismatches"], [])
                    self.assertGreater(report["images_compared"], 20_000)

    def test_each_cluster_equals_what_wal_makes_of_its_backup(self):
        for version, cluster in self.clusters.items():
            with self.subTest(version=version):
                backup = ["--base-backup", self.backups[version], "--against", cluster.data]
                report = json.loads(self.verify(version, *backup, "--engine", "worker", *self.given_modules()).stdout)
                self.assertEqual(report["mismatches"], [])
                self.assertGreater(report["pages_compared"], 500)

    def relabelled(self, source, name, text, other):
        """A copy of a program or module that says that it is of another version. So no server of
        another version is needed."""
        directory = os.path.join(self.directory, f"says_{other}")
        os.makedirs(directory, exist_ok=True)
        content = pathlib.Path(source).read_bytes()
        content, count = re.subn(re.escape(text).encode() + rb"\d\d", f"{text}{other}".encode(), content)
        self.assertGreater(count, 0)
        target = pathlib.Path(directory, name)
        target.write_bytes(content)
        target.chmod(0o755)
        return target

    def test_what_does_not_fit_is_refused(self):
        versions = list(self.clusters)
        for version in versions:
            other = next(one for one in MAJORS if one != version)
            with self.subTest(version=version, other=other):
                is_other = f"is of PostgreSQL {other}, and a "
                own_bindir = f"--bindir={pg_config('bindir', version)}"
                text = "neon_redo module for PostgreSQL "
                module = self.relabelled(self.modules[version], "neon.so", text, other)
                result = self.verify(version, "--images", f"--module={module}", own_bindir, check=False)
                self.refused(f"{is_other}neon.so for PostgreSQL {version} is needed", result)
                text = "postgres (PostgreSQL) "
                server = self.relabelled(server_program("postgres", version), "postgres", text, other)
                bindir = f"--bindir={server.parent}"
                result = self.verify(version, "--images", *self.given_modules(), bindir, check=False)
                self.refused(f"{is_other}server of PostgreSQL {version} is needed", result)
                # The native engine asks for neither.
                self.verify(version, "--images", "--engine=native", bindir, check=False)
        missing = os.path.join(self.directory, "none.so")
        result = self.verify(versions[0], "--images", f"--module={missing}", check=False)
        self.refused(f'there is no module \\"{missing}\\"', result)
        both = ":".join([self.modules[versions[0]], missing])
        result = self.verify(versions[0], "--images", f"--module={both}", check=False)
        self.refused("must not contain", result)
        twice = self.verify(
            versions[0], "--images", *self.given_modules(versions[0], versions[0]), check=False
        )
        self.refused(f"--module names two for PostgreSQL {versions[0]}", twice)

    def test_a_worker_is_of_the_version_of_its_module(self):
        for version, module in self.modules.items():
            with self.subTest(version=version):
                command = [ROOT / "build" / "neon-redo", "worker", f"--module={module}"]
                result = subprocess.run(command, input=b"H\0\0\0\4", capture_output=True, check=False, timeout=60)
                self.assertEqual((result.returncode, result.stdout), (0, bytes(8192)), result.stderr)

    def test_tenants_of_each_version_in_one_process(self):
        arguments = []
        for version, module in self.modules.items():
            wal = os.path.join(self.directory, f"bench_wal_{version}")
            environment = {**os.environ, "PG_CONFIG": servers()[version]}
            run([ROOT / "tests" / "bench" / "make_wal.py", wal], env=environment)
            arguments += [wal, module]
        tenants = json.loads(run([MIXED_HOUSE, 20, *arguments]).stdout)
        self.assertEqual([tenant["major"] for tenant in tenants], list(self.modules))
        for tenant in tenants:
            with self.subTest(version=tenant["major"]):
                self.assertEqual((tenant["right"], tenant["wrong"], tenant["failed"]), (20 * 128, 0, 0), tenant)

    def test_doctor_lists_the_versions(self):
        report = json.loads(run_neon_redo("doctor", "--format=json", *self.given_modules()).stdout)
        listed = {server["major"]: server for server in report["servers"]}
        self.assertEqual(set(listed), set(MAJORS))
        for version, server in listed.items():
            self.assertEqual(server["worker_starts"], version in self.modules, server)
            if version in self.modules:
                self.assertEqual(server["module"], self.modules[version])
                self.assertEqual(server["bindir"], pg_config("bindir", version))
            else:
                self.assertIn("reason", server)
        one = next(iter(self.modules))
        of_16 = self.relabelled(self.modules[one], "neon.so", "neon_redo module for PostgreSQL ", 16)
        for command in ("doctor", "worker"):
            with self.subTest(command):
                result = run_neon_redo(command, f"--module={of_16}", check=False, input="")
                self.refused("is of PostgreSQL 16, which this program was not tested with", result)
                # Then a server is the next thing that is missing.
                result = run_neon_redo(
                    command, f"--module={of_16}", "--untested-version", check=False, input=""
                )
                self.refused("there is no PostgreSQL 16 server", result)
        of_14 = self.relabelled(self.modules[one], "neon.so", "neon_redo module for PostgreSQL ", 14)
        self.refused("is of PostgreSQL 14, which this program does not serve (it serves 15, 17, 18)",
                     run_neon_redo("doctor", f"--module={of_14}", check=False))  # fmt: skip
        text = run_neon_redo("doctor", *self.given_modules(one)).stdout
        self.assertRegex(text, rf"(?m)^{one} +yes +/")
        self.assertIn(f"A worker of PostgreSQL {one}:", text)


if __name__ == "__main__":
    unittest.main()
