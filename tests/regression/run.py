#!/usr/bin/env python3
"""Judges redo by PostgreSQL's own regression suite: run.py [--source DIR] [--workload] [--index] [--keep DIR].

A throw-away server with wal_consistency_checking = 'all' runs the suite of PostgreSQL's source
(parallel_schedule), contrib/bloom's, and pg_dump of the regression database into a second one. What
the SQL answers is not judged; that the server lives is. Then, over all the WAL:

  ingest                          every record is known
  verify --images                 every image is rebuilt by each engine, 90 % of the changes natively
  verify --base-backup --against  every page of the stopped cluster is rebuilt

With --index only this is looked at, without wal_consistency_checking: 100,000 random pages at random LSNs are the
same by an index of the WAL and by all of it (tests/integration/index_oracle).

The server is that of PG_CONFIG, and then each of PG_CONFIGS. The source comes from --source DIR (a
PostgreSQL source tree, for one server), or by apt-get source into a temporary directory, with a
temporary list of sources. Where the archive has none (MAY_LACK_SOURCE), and with --workload, the mixed
workload of the tests (tests/integration/workload) runs instead, ten times as long as in the tests.
--keep moves cluster and backup to DIR for a closer look.
The last line is "regression: N passed, N failed".
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import (  # noqa: E402  (needs the path above)
    VERIFY_SKIPS,
    Cluster,
    CommandFailed,
    as_server_user,
    copy_module,
    exit_on_signals,
    major,
    pg_config,
    run,
    run_neon_redo,
    server_user,
    servers,
)

import workload  # noqa: E402

SETTINGS = {
    "wal_consistency_checking": "all",
    "wal_level": "logical",
    "wal_keep_size": "1TB",
    "max_wal_size": "4GB",
    "max_prepared_transactions": 10,
    "autovacuum_naptime": "3s",
    "wal_compression": "lz4",
}
NATIVE_SHARE = 0.90
INDEXED_PAGES = 100_000
ORACLE = pathlib.Path(__file__).resolve().parents[2] / "build" / "tests" / "integration" / "index_oracle"
WORKLOAD_TIMES = 10
MIRROR = os.environ.get("NEON_REDO_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SUITES = {15: "bookworm", 17: "trixie", 18: "sid"}  # of Debian, that have the source
MAY_LACK_SOURCE = {17}  # the list of its suite names a source that mirrors do not have


class SourceFailed(Exception):
    """The source should be there, and could not be had."""


def say(text):
    print(text, flush=True)


def fetch_source(directory):
    """apt-get source, with lists and caches of its own: the system's are only read. None if the
    archive does not have it, which is only taken of a version in MAY_LACK_SOURCE. SourceFailed: any
    other failure."""
    sources = pathlib.Path(directory, "sources.list")
    # Without the security updates: which minor release's suite it is does not matter.
    sources.write_text(f"deb-src {MIRROR} {SUITES[major()]} main\n", "utf-8")
    os.makedirs(f"{directory}/lists/partial")
    os.makedirs(f"{directory}/cache/archives/partial")
    options = ["-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
               "-o", f"Dir::State::lists={directory}/lists", "-o", f"Dir::Cache={directory}/cache",
               "-o", "APT::Sandbox::User="]
    package = f"postgresql-{major()}"
    try:
        # Without this option a mirror that cannot be read is a warning.
        run(["apt-get", *options, "-q", "--error-on=any", "update"])
    except CommandFailed as error:
        raise SourceFailed(f"the list of sources cannot be had: {error}") from error
    try:
        run(["apt-get", *options, "-q", "source", package], cwd=directory)
    except CommandFailed as error:
        missing = re.search(r"404 +Not Found|Unable to find a source package", error.stderr)
        if major() not in MAY_LACK_SOURCE or not missing:
            raise SourceFailed(f"the source of {package} cannot be had: {error}") from error
        say(f"the source of {package} cannot be had: {error.stderr.strip()}")
        return None
    return next(path for path in pathlib.Path(directory).iterdir()
                if path.is_dir() and path.name.startswith(f"{package}-"))


def prepare(source, directory):
    """The suite, and the libraries it loads, where the server's user can write; returns pg_regress."""
    for name in ("src/test/regress", "contrib/bloom"):
        shutil.copytree(pathlib.Path(source, name), pathlib.Path(directory, name))
    suite = pathlib.Path(directory, "src/test/regress")
    run(["cc", "-O2", "-fPIC", "-shared", f"-I{pg_config('includedir-server')}", "-o",
         suite / "regress.so", suite / "regress.c"])
    for name in ("autoinc.so", "refint.so"):
        shutil.copy(pathlib.Path(pg_config("pkglibdir"), name), suite)
    if user := server_user():
        run(["chown", "-R", user, directory])
    return pathlib.Path(pg_config("pgxs")).parents[1] / "test/regress/pg_regress"


def regress(cluster, program, suite, *arguments):
    """Runs pg_regress. Different SQL output is only reported, since redo is what is checked here."""
    command = [program, f"--inputdir={suite}", f"--outputdir={suite}",
               f"--bindir={pg_config('bindir')}", f"--dlpath={suite}", *arguments]
    command = as_server_user(command)
    result = run(command, check=False, cwd=suite, env=cluster.environment())
    # "test NAME ... ok", and since 16 "ok 1 - NAME", with a plus sign if it ran beside others.
    verdicts = re.findall(r"\.\.\. (?:ok|FAILED|failed)|^(?:not )?ok \d", result.stdout, re.MULTILINE)
    if not verdicts:
        raise RuntimeError(result.stdout + result.stderr)
    different = re.findall(r"(\S+) +\.\.\. (?:FAILED|failed)", result.stdout)
    different += re.findall(r"^not ok \d+ +[-+] (\S+)", result.stdout, re.MULTILINE)
    say(f"  {len(verdicts)} scripts; other answers than expected: {' '.join(different) or 'none'}")


def run_suite(cluster, source):
    """Runs the suite and more whose WAL is checked. Returns the backup from before."""
    program = prepare(source, cluster.directory)
    backup = cluster.basebackup()
    directory = f"{cluster.directory}/src/test/regress"
    say("the regression suite")
    regress(cluster, program, directory, "--max-concurrent-tests=20", "--dbname=regression",
            f"--schedule={directory}/parallel_schedule")
    say("contrib/bloom")
    regress(cluster, program, f"{cluster.directory}/contrib/bloom", "--dbname=contrib_regression",
            "bloom")
    say("pg_dump | psql")
    cluster.psql("CREATE DATABASE restored")
    dump = f"{cluster.directory}/dump.sql"
    cluster.run_as_server([cluster.program("pg_dump"), "-f", dump, "regression"])
    cluster.run_as_server([cluster.program("psql"), "-X", "-q", "-d", "restored", "-f", dump])
    cluster.psql("VACUUM (FREEZE, ANALYZE)", dbname="restored")
    return backup


def run_workload(cluster):
    """Runs the mixed workload. Returns the backup from before."""
    say(f"the mixed workload, {WORKLOAD_TIMES} times")
    workload.prepare(cluster, workload.ORACLE_ROWS)
    backup = workload.basebackup(cluster)
    rounds = [dict(settings) for settings in workload.ROUNDS * WORKLOAD_TIMES]
    workload.run(cluster, workload.ORACLE_ROWS, rounds)
    return backup


class Judge:
    """Runs the checks over a stopped cluster and counts them."""

    def __init__(self, cluster, backup):
        self.cluster, self.backup = cluster, backup
        self.module = copy_module(cluster.directory)
        self.passed = self.failed = 0

    def check(self, what, holds, told):
        say(f"{'ok' if holds else 'FAILED'}: {what}: {told}")
        self.passed += bool(holds)
        self.failed += not holds

    def all(self):
        self.known_records()
        for engine in ("native", "auto", "worker"):
            self.images(engine)
        self.cluster_pages()

    def pages_by_index(self):
        result = run([
            ORACLE, "--wal", self.cluster.wal, "--index", f"{self.cluster.directory}/index",
            "--base-backup", self.backup, "--pages", str(INDEXED_PAGES), "--module", self.module,
            "--bindir", self.cluster.bindir, "--group", "64", "--fan-out", "4",
        ], check=False)  # fmt: skip
        report = json.loads(result.stdout or "{}")
        self.check("pages by the index", report.get("different") == 0 and report["pages"] > INDEXED_PAGES // 8,
                   result.stdout.strip() + result.stderr[-2000:])

    def known_records(self):
        result = run_neon_redo("ingest", "--wal", self.cluster.wal, "--format", "json")
        report = json.loads(result.stdout)
        self.check("records known", not report["unknown"],
                   f"{report['records']} records; unknown: {report['unknown'] or 'none'}")

    def verify(self, *arguments):
        command = ["verify", "--module", self.module, "--format", "json", "--wal", self.cluster.wal]
        result = run_neon_redo(*command, *arguments, check=False)
        if not result.stdout:
            raise RuntimeError(result.stderr)
        report = json.loads(result.stdout)
        for mismatch in report["mismatches"][:20]:
            say(f"  {mismatch}")
        return report

    def images(self, engine):
        report = self.verify("--images", "--engine", engine)
        share = report["native_share"]
        self.check(f"images, --engine {engine}",
                   not report["mismatches"] and report["images_compared"] > 0,
                   f"{report['images_compared']} compared, {len(report['mismatches'])} different, "
                   f"{share:.1%} of the changes native; skipped: {report['skipped']}")
        if engine == "auto":
            self.check("native share", share >= NATIVE_SHARE, f"{share:.1%}")

    def cluster_pages(self):
        report = self.verify("--base-backup", self.backup, "--against", self.cluster.data)
        unexpected = set(report["skipped"]) - VERIFY_SKIPS
        self.check("pages of the stopped cluster", not report["mismatches"] and not unexpected,
                   f"{report['pages_compared']} compared, {len(report['mismatches'])} different, "
                   f"{report['native_share']:.1%} native; skipped: {report['skipped']}")


def judge(source, keep, only_index=False):
    """Runs everything on the server of PG_CONFIG. Returns how many checks passed and failed."""
    settings = {**workload.SETTINGS, **SETTINGS} if source is None else SETTINGS
    if only_index:
        settings = {**settings, "wal_consistency_checking": ""}
    with Cluster(settings=settings) as cluster:
        backup = run_workload(cluster) if source is None else run_suite(cluster, source)
        if "terminated by signal" in cluster.log():
            raise RuntimeError("a process of the server crashed: " + cluster.log()[-3000:])
        cluster.stop()
        checks = Judge(cluster, backup)
        try:
            if only_index:
                checks.pages_by_index()
            else:
                checks.all()
        finally:
            if keep:
                os.makedirs(keep)
                shutil.move(cluster.data, keep)
                shutil.move(backup, keep)
    return checks.passed, checks.failed


def run_others(arguments):
    """Runs this program for each server of PG_CONFIGS. Returns how many checks passed and failed."""
    passed = failed = 0
    for version, program in servers().items():
        if version == major():
            continue
        environment = {**os.environ, "PG_CONFIG": program, "PG_CONFIGS": ""}
        command = [sys.executable, __file__, "--one", *arguments]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            last = ""
            for last in child.stdout:
                print(last, end="", flush=True)
        counts = re.fullmatch(r"regression: (\d+) passed, (\d+) failed\n", last)
        passed += int(counts[1]) if counts else 0
        failed += int(counts[2]) if counts else 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", maxsplit=1)[0])
    parser.add_argument("--source", metavar="DIR", help="PostgreSQL's source tree")
    parser.add_argument("--workload", action="store_true", help="the mixed workload instead of the suite")
    parser.add_argument("--index", action="store_true", help="only that pages by an index are right")
    parser.add_argument("--one", action="store_true", help="only the server of PG_CONFIG")
    parser.add_argument("--keep", metavar="DIR", help="move the cluster and its backup there")
    options = parser.parse_args()
    exit_on_signals()
    say(f"== PostgreSQL {major()}")
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as temporary:
        try:
            source = None if options.workload else options.source or fetch_source(temporary)
        except SourceFailed as error:
            say(f"FAILED: {error}")
            passed, failed = 0, 1
        else:
            passed, failed = judge(source, options.keep, options.index)
    if not (options.one or options.source or options.keep):
        flags = {"--workload": options.workload, "--index": options.index}
        others = run_others([flag for flag, is_given in flags.items() if is_given])
        passed, failed = passed + others[0], failed + others[1]
    print(f"regression: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
