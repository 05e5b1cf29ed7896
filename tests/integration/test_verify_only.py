"""neon-redo verify --only: the answer about some pages, by an index of the WAL, is that of a verification of all; and
verify --explain prints the same records by an index as by reading all WAL.
"""

import json
import os
import pathlib
import random
import re
import shutil
import unittest

import workload
from cluster import Cluster, cases_of_each_server, copy_module, run_neon_redo

BLOCK = 8192
ROWS = 100
PAGES = 250 if os.environ.get("NEON_REDO_LONG") else 60
EXPLAINED = 8
# By these a page is different, and not its file.
OF_PAGE = {"zeroed", "torn", "checksum", "stale", "future", "content", "header", "unreadable"}


def file_of(page):
    """The path of the relation's file, as the page's name has it."""
    return page.rsplit("/", 1)[0]


class Only(unittest.TestCase):
    version, checksums = None, True

    @classmethod
    def setUpClass(cls):
        if not cls.version:
            raise unittest.SkipTest("a base of others")
        cls.cluster = cls.enterClassContext(
            Cluster(settings=workload.SETTINGS, version=cls.version, checksums=cls.checksums, wal_segment_mb=1)
        )
        cluster = cls.cluster
        workload.prepare(cluster, ROWS)
        cls.backup = workload.basebackup(cluster)
        workload.run(cluster, ROWS, rounds=workload.ROUNDS[:1])
        cluster.psql("CREATE TABLE made AS SELECT generate_series(1, 5000) a; CREATE UNLOGGED TABLE fleeting (a int)")
        cluster.stop()
        cls.module = copy_module(cluster.directory, cls.version)
        cls.index = os.path.join(cluster.directory, "index")
        cls.chance = random.Random(cls.version)
        cls.data = pathlib.Path(cluster.data)

    def run_verify(self, *arguments, statuses):
        result = run_neon_redo(
            "verify", "--base-backup", self.backup, "--wal", self.cluster.wal, "--against", self.cluster.data,
            "--module", self.module, "--bindir", self.cluster.bindir, *arguments, check=False,
        )  # fmt: skip
        self.assertIn(result.returncode, statuses, result.stdout[-2000:] + result.stderr)
        return result

    def report(self, *only, statuses=(0, 1)):
        arguments = [f"--only={name}" for name in only] + ([f"--index={self.index}"] if only else [])
        return json.loads(self.run_verify("--format=json", *arguments, statuses=statuses).stdout)

    def forks(self):
        """Paths of main forks and visibility maps, with their numbers of blocks, but for empty ones."""
        paths = [p for p in self.data.glob("base/*/*") if re.fullmatch(r"\d+(_vm)?", p.name)]
        sizes = {str(p.relative_to(self.data)): p.stat().st_size // BLOCK for p in paths}
        return {name: blocks for name, blocks in sorted(sizes.items()) if blocks}

    def pages(self, count):
        """Of changed relations more than of others."""
        forks = self.forks()
        changed = [n for n in forks if self.differs(n)]
        names = [self.chance.choice(changed if self.chance.random() < 0.8 else list(forks)) for _ in range(count)]
        chosen = {(name, self.chance.randrange(forks[name])) for name in names}
        # Neither backup nor WAL need have those of zeroes: without its file no page is there.
        return sorted(f"{name}/{block}" for name, block in chosen if any(self.content(name, block)))

    def content(self, name, block):
        with open(self.data / name, "rb") as file:
            file.seek(block * BLOCK)
            return file.read(BLOCK)

    def differs(self, name):
        before = pathlib.Path(self.backup, name)
        return not before.exists() or before.read_bytes() != (self.data / name).read_bytes()

    def found(self, report, page):
        """What a report says of a page: kinds of damage, and all of those of the page alone."""
        file, block = page.rsplit("/", 1)
        kinds, whole = set(), []
        for m in report["mismatches"]:
            if m["file"] != file:
                continue
            if m["block"] is None or (m["damage"] in ("short file", "long file") and m["block"] <= int(block)):
                kinds.add(m["damage"])
            elif m["block"] <= int(block) < m["block"] + m["blocks"]:
                kinds.add(m["damage"])
                if m["damage"] in OF_PAGE and m["blocks"] == 1:
                    whole.append(m)
        return kinds, whole

    def test_pages_that_are_whole(self):
        self.assertEqual(self.report(statuses=(0,))["different"], 0)
        pages = self.pages(PAGES)
        report = self.report(*pages, statuses=(0,))
        done = report["pages_compared"] + report["backup"]["unchanged_compared"] + sum(report["skipped"].values())
        self.assertEqual(report["mismatches"], [])
        self.assertEqual(done, len(pages))
        self.assertGreater(report["pages_compared"], len(pages) // 4)
        self.assertEqual(report["coverage"]["only"], pages)
        # One page needs little WAL, and the last line says that nothing else was looked at.
        text = self.run_verify(f"--only={pages[0]}", f"--index={self.index}", statuses=(0,)).stdout
        one = self.report(pages[0], statuses=(0,))
        self.assertLess(one["wal_bytes"], report["wal_bytes"])
        self.assertIn(f"--only: {one['wal_bytes']:,} bytes of WAL were read for them", text.splitlines()[-1])

    def damage(self, page):
        """Puts something else in the page's place, as disks do."""
        file, block = page.rsplit("/", 1)
        path, at = self.data / file, int(block) * BLOCK
        kind = self.chance.choice(("bytes", "zeroes", "stale", "short", "gone"))
        before = pathlib.Path(self.backup, file)
        content = bytearray(path.read_bytes())
        if kind == "gone":
            return path.unlink()
        if kind == "zeroes":
            content[at : at + BLOCK] = bytes(BLOCK)
        elif kind == "short":
            del content[at:]
        elif kind == "stale" and before.exists() and before.stat().st_size >= at + BLOCK:
            content[at : at + BLOCK] = before.read_bytes()[at : at + BLOCK]
        else:
            where = at + self.chance.randrange(24, BLOCK - 8)
            content[where : where + 4] = bytes(255 - byte for byte in content[where : where + 4])
        return path.write_bytes(content)

    def test_damaged_pages(self):
        pages = self.pages(PAGES)
        # System catalogs that are gone would leave the full report without names.
        hurt = [p for p in pages if int(file_of(p).rsplit("/", 1)[1].removesuffix("_vm")) >= 16384]
        hurt = self.chance.sample(hurt, len(hurt) // 2)
        kept = os.path.join(self.cluster.directory, "kept")
        shutil.copytree(self.data, kept, symlinks=True)
        try:
            for page in hurt:
                if (self.data / file_of(page)).exists():
                    self.damage(page)
            relations = {file_of(page) for page in hurt if "_vm" not in page}
            relation = min(relations)
            everything = self.report()
            some = self.report(*pages)
            single = {page: self.report(page) for page in hurt[:3]}
            of_relation = self.report(relation)
        finally:
            for path in pathlib.Path(kept, "base").glob("*/*"):
                if path.is_file():
                    shutil.copy2(path, self.data / path.relative_to(kept))
            shutil.rmtree(kept)
        self.assertGreater(everything["different"], len(hurt) // 4)
        different = 0
        for page in pages:
            with self.subTest(page):
                expected, alone = self.found(everything, page)
                got, alone_got = self.found(some, page)
                if got in ({"missing file"}, {"short file"}) and not expected:
                    # Of such a file a full report names the blocks that WAL changes.
                    of_file = {m["damage"] for m in everything["mismatches"] if m["file"] == file_of(page)}
                    expected = of_file & got
                self.assertEqual(got, expected)
                self.assertEqual(alone_got, alone)
                different += bool(got)
                if page in single:
                    self.assertEqual(self.found(single[page], page)[0], got)
        self.assertGreater(different, 3)
        key = lambda m: (m["file"], m["block"] or 0, m["damage"])
        of_it = lambda report: sorted(
            (m for m in report["mismatches"] if m["file"] in (relation, relation + "_vm")), key=key
        )
        self.assertEqual(of_it(of_relation), of_it(everything))
        self.assertEqual({m["file"] for m in of_relation["mismatches"]} - {relation, relation + "_vm"}, set())

    def test_damaged_backup(self):
        """It is not the cluster's page that is called damaged."""
        name = next(n for n in self.forks() if not self.differs(n) and "_vm" not in n)
        path = pathlib.Path(self.backup, name)
        content = path.read_bytes()
        path.write_bytes(content[:8180] + bytes(255 - byte for byte in content[8180:8184]) + content[8184:])
        try:
            report = self.report(f"{name}/0", statuses=(1,))
        finally:
            path.write_bytes(content)
        # Without checksums of pages nothing tells which of two different pages is damaged.
        damage = ("checksum", True) if self.checksums else ("content", False)
        self.assertEqual(
            [(m["file"], m["block"], m["damage"], m["in_backup"]) for m in report["mismatches"]], [(name, 0, *damage)]
        )

    def test_refusals(self):
        for name, words in (
            ("base/5/1_fsm/0", "WAL has no free space map"),
            ("pg_xact/0000/0", "an SLRU is looked at as a whole"),
            ("nonsense", "neither a page"),
            ("base/5/4000000000/0", "there is no block 0 of"),
            ("base/5/4000000000", "there is no file"),
            ("base/5/1259/4000000", "there is no block 4000000 of"),
        ):
            result = self.run_verify(f"--only={name}", f"--index={self.index}", statuses=(2,))
            self.assertIn(words, result.stderr)
        # The files of a relation of 32 GB, and a block.
        large = [self.data / f"base/5/4000000001{number}" for number in ("", *(f".{n}" for n in range(1, 33)))]
        try:
            for path in large:
                path.touch()
                os.truncate(path, BLOCK if path == large[-1] else 1 << 30)
            result = self.run_verify("--only=base/5/4000000001", f"--index={self.index}", statuses=(2,))
        finally:
            for path in large:
                path.unlink(missing_ok=True)
        self.assertIn("verify without --only", result.stderr)
        result = self.run_verify("--only=base/5/1259", "--quick", statuses=(2,))
        self.assertIn("leave out", result.stderr)

    def test_explain(self):
        """By the index, and by a restore command, whose WAL is read as a whole."""
        copy = f"cp {self.cluster.wal}/%f %p"
        pages = [*self.pages(EXPLAINED), "pg_xact/0000/0", "pg_multixact/offsets/0000/0"]
        for page in pages:
            with self.subTest(page):
                arguments = ["verify", f"--explain={page}", "--base-backup", self.backup]
                by_index = run_neon_redo(*arguments, "--wal", self.cluster.wal, "--index", self.index)
                whole = run_neon_redo(*arguments, "--restore-command", copy)
                self.assertEqual(by_index.stdout, whole.stdout)


class LaterBackup(unittest.TestCase):
    """What is compared is a backup, and WAL has more: full-page images and longer files, from after its end."""

    version, checksums = None, True

    @classmethod
    def setUpClass(cls):
        if not cls.version:
            raise unittest.SkipTest("a base of others")
        settings = {"wal_keep_size": "1GB", "autovacuum": "off", "full_page_writes": "on"}
        cluster = cls.cluster = cls.enterClassContext(
            Cluster(settings=settings, version=cls.version, checksums=cls.checksums, wal_segment_mb=1)
        )
        cluster.psql("CREATE TABLE t AS SELECT g AS a, repeat('x', 200) AS b FROM generate_series(1, 1000) g")
        cls.relation = cluster.psql("SELECT pg_relation_filepath('t')").strip()
        cls.backup = cluster.basebackup("first")
        cluster.psql("UPDATE t SET a = -a WHERE a % 100 = 0")
        cls.later = cluster.basebackup("later")
        cluster.psql("CHECKPOINT; UPDATE t SET b = repeat('y', 200); INSERT INTO t SELECT a, b FROM t; CHECKPOINT")
        cluster.stop()
        cls.module = copy_module(cluster.directory, cls.version)

    def report(self, *only, statuses):
        arguments = [*(f"--only={name}" for name in only)]
        arguments += [f"--index={self.cluster.directory}/index"] if only else []
        result = run_neon_redo(
            "verify", "--base-backup", self.backup, "--wal", self.cluster.wal, "--against", self.later,
            "--module", self.module, "--bindir", self.cluster.bindir, "--format=json", *arguments, check=False,
        )  # fmt: skip
        self.assertIn(result.returncode, statuses, result.stdout[-2000:] + result.stderr)
        return json.loads(result.stdout)

    def both(self, statuses):
        """What is found in the relation by looking at all, and at this relation only."""
        places = []
        for only in ([], [self.relation]):
            report = self.report(*only, statuses=statuses)
            found = [m for m in report["mismatches"] if m["file"].startswith(self.relation)]
            places.append([(m["file"], m["block"], m["damage"]) for m in found])
        self.assertEqual(places[0], places[1])
        return places[0]

    def test_whole(self):
        pages = (pathlib.Path(self.later) / self.relation).stat().st_size // BLOCK
        self.assertEqual(self.both((0,)), [])
        report = self.report(self.relation, statuses=(0,))
        self.assertGreater(report["pages_compared"], 3)
        self.assertEqual(report["pages_compared"] + report["backup"]["unchanged_compared"], pages)

    def test_damaged(self):
        path, before = pathlib.Path(self.later, self.relation), pathlib.Path(self.backup, self.relation).read_bytes()
        content = path.read_bytes()
        blocks = len(before) // BLOCK
        # By their LSNs: without checksums no WAL has hint bits.
        changed = [n for n in range(blocks) if content[n * BLOCK :][:8] != before[n * BLOCK :][:8]]
        at = changed[0] * BLOCK
        stale = content[:at] + before[at : at + BLOCK] + content[at + BLOCK :]
        try:
            path.write_bytes(stale)
            self.assertEqual(self.both((1,)), [(self.relation, changed[0], "stale")])
            path.write_bytes(content + content[-BLOCK:])
            self.assertIn("long file", {damage for _file, _block, damage in self.both((1,))})
        finally:
            path.write_bytes(content)


def load_tests(loader, _tests, pattern):
    del pattern
    suite = unittest.TestSuite()
    for case in cases_of_each_server(globals(), [Only, LaterBackup]):
        suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
