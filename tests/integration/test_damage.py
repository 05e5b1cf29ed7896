"""neon-redo verify finds and names every kind of random damage to a stopped cluster's files, and finds
nothing in undamaged clusters after random workloads.

With NEON_REDO_LONG=1 (make test-damage) there are 1,000 injections and 20 workloads instead of 60 and 2, and
500 injections instead of 25 into what WAL does not touch.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import struct
import time
import unittest

from cluster import Cluster, copy_module, run, run_neon_redo, server_program

BLOCK = 8192
LONG = bool(os.environ.get("NEON_REDO_LONG"))
INJECTIONS = 1000 if LONG else 60
BATCH = 60
COLD_INJECTIONS, COLD_BATCH = 500 if LONG else 25, 25
WORKLOADS = 20 if LONG else 2
SETTINGS = {
    "wal_level": "replica",
    "wal_keep_size": "1TB",
    "track_commit_timestamp": "on",
    "autovacuum_naptime": "1s",
    "allow_in_place_tablespaces": "on",
    "max_prepared_transactions": 5,
}
INDEXES = ["btree (a)", "btree (t)", "hash (a)", "gin (g)", "gist (p)", "spgist (p)", "brin (a)"]


class RandomWorkload:
    """Random SQL that depends only on the seed. Each call of step() runs some statements."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.tables = []
        self.made = 0
        for _ in range(3):
            cluster.psql("\n".join(self.create()))

    def create(self):
        self.made += 1
        name = f"w{self.made}"
        self.tables.append(name)
        kind = self.random.choice(["", "", "", "UNLOGGED"])
        yield f"CREATE {kind} TABLE {name} (a serial, t text, g int[], p point);"
        for n, index in enumerate(self.random.sample(INDEXES, 3)):
            yield f"CREATE INDEX {name}_{n} ON {name} USING {index};"
        yield self.insert(name, self.random.randint(500, 3000))

    @staticmethod
    def insert(name, rows):
        return f"""INSERT INTO {name} (t, g, p) SELECT md5(i::text) || repeat('x', i % 200),
            ARRAY[i, i % 7], point(i % 100, i) FROM generate_series(1, {rows}) i;"""

    def statement(self):
        pick, name = self.random, self.random.choice(self.tables)
        few, other = pick.randint(2, 40), pick.randint(0, 40)
        some = f"a % {few} = {other % few}"
        return pick.choice(
            [
                self.insert(name, pick.randint(1, 1500)),
                f"DELETE FROM {name} WHERE {some};",
                f"UPDATE {name} SET t = t || 'u' WHERE {some};",
                f"UPDATE {name} SET a = -a, p = point(a, a) WHERE {some};",
                f"VACUUM {name};",
                f"VACUUM (FREEZE) {name};",
                f"DELETE FROM {name} WHERE a > {pick.randint(0, 3000)}; VACUUM (TRUNCATE) {name};",
                f"BEGIN; SELECT count(*) FROM (SELECT * FROM {name} WHERE {some} FOR SHARE) s;"
                f" SAVEPOINT s; UPDATE {name} SET t = 'locked' WHERE {some}; COMMIT;",
                f"BEGIN; UPDATE {name} SET t = 'no' WHERE {some}; ROLLBACK;",
                f"BEGIN; DELETE FROM {name} WHERE {some}; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';",
                "BEGIN; CREATE TABLE gone AS SELECT generate_series(1, 500); ROLLBACK;",
                "CREATE TABLE gone AS SELECT generate_series(1, 500); DROP TABLE gone;",
                f"TRUNCATE {name}; {self.insert(name, 800)}",
                f"VACUUM FULL {name};",
                f"REINDEX TABLE {name};",
                "VACUUM FULL pg_class;",
                "SELECT count(txid_current()) FROM generate_series(1, 3000);"
                "\nSELECT txid_current();\n" * 30,
                "CHECKPOINT;",
                "SELECT pg_switch_wal();",
            ]
        )

    def database(self):
        self.made += 1
        name, strategy = f"d{self.made}", self.random.choice(["file_copy", "wal_log"])
        self.cluster.psql(f"CREATE DATABASE {name} STRATEGY {strategy}")
        self.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 100) a; VACUUM t", name)
        if self.random.random() < 0.5:
            self.cluster.psql(f"DROP DATABASE {name}")

    def step(self, statements):
        for _ in range(statements // 10):
            self.cluster.psql("\n".join(self.statement() for _ in range(10)))
            if self.random.random() < 0.2:
                self.cluster.psql("\n".join(self.create()))
            if self.random.random() < 0.2 and len(self.tables) > 3:
                name = self.tables.pop(self.random.randrange(len(self.tables)))
                self.cluster.psql(f"DROP TABLE {name}")


def report(cluster, backup, *arguments, against=True):
    module = os.path.join(cluster.directory, "neon.so")
    if not os.path.exists(module):
        copy_module(cluster.directory)
    command = ["verify", "--module", module, "--base-backup", backup, "--wal", cluster.wal]
    command += ["--against", cluster.data] if against else []
    environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
    result = run_neon_redo(*command, "--format", "json", *arguments, check=False, env=environment)
    if result.returncode not in (0, 1):
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


class NoFalseAlarm(unittest.TestCase):
    def test_random_workloads(self):
        for seed in range(WORKLOADS):
            with self.subTest(seed=seed):
                chance = random.Random(seed)
                with Cluster(settings=SETTINGS, checksums=chance.random() < 0.5) as cluster:
                    load = RandomWorkload(cluster, seed)
                    backup = cluster.basebackup()
                    load.step(60)
                    load.database()
                    if chance.random() < 0.7:
                        cluster.psql("BEGIN; CREATE TABLE lost AS SELECT 1 a; SELECT txid_current()")
                        cluster.stop("immediate")
                        cluster.start()
                    load.step(40)
                    load.database()
                    cluster.stop()
                    found = report(cluster, backup)
                    self.assertEqual(found["mismatches"], [])
                    for what in ("pg_xact", "pg_commit_ts", "relation maps", "relation files"):
                        self.assertGreater(found["compared"].get(what, 0), 0, found["compared"])


class LaterBackup(unittest.TestCase):
    """A second backup taken while others write, instead of a stopped cluster."""

    def test_later_backup(self):
        with Cluster(settings=SETTINGS) as cluster:
            load = RandomWorkload(cluster, 5)
            cluster.pgbench("--initialize", "--quiet", "--scale=1")
            first = cluster.basebackup("first")
            load.step(30)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                cluster.psql("CHECKPOINT")
                writing = pool.submit(cluster.pgbench, "--client=2", "--no-vacuum", "--time=3")
                time.sleep(1)
                second = cluster.basebackup("second", "--max-rate=100M")
                writing.result()
            load.step(10)
            found = self.against(cluster, first, second)
            self.assertEqual(found["mismatches"], [])
            self.assertGreater(found["compared"]["relation pages"], 100)
            self.assertGreater(found["skipped"]["changed while the backup was taken"], 0)
            path, size = max(
                ((p, p.stat().st_size) for p in pathlib.Path(second).glob("base/5/*")
                 if p.name.isdigit() and not pathlib.Path(first, "base/5", p.name).exists()),
                key=lambda found: found[1],
            )  # fmt: skip
            content = bytearray(path.read_bytes())
            content[5000] ^= 1
            path.write_bytes(content)
            (mismatch,) = self.against(cluster, first, second)["mismatches"]
            self.assertEqual((mismatch["damage"], mismatch["block"]), ("checksum", 0))
            self.assertTrue(mismatch["file"].endswith(path.name))
            self.assertGreater(size, 0)

    def against(self, cluster, first, second):
        return report(cluster, first, "--against", second, against=False)


class RemovedSegment(unittest.TestCase):
    def test_segment_that_is_still_there(self):
        with Cluster(settings=SETTINGS) as cluster:
            backup = cluster.basebackup()
            cluster.configure({"track_commit_timestamp": "off"})
            cluster.restart()
            cluster.stop()
            self.assertEqual(report(cluster, backup)["mismatches"], [])
            name = "pg_commit_ts/0000"
            pathlib.Path(cluster.data, name).write_bytes(pathlib.Path(backup, name).read_bytes())
            (mismatch,) = report(cluster, backup)["mismatches"]
            self.assertEqual((mismatch["file"], mismatch["damage"]), (name, "extra file"))
            self.assertIn("PARAMETER_CHANGE", mismatch["last_record"])


class Injection:
    """The damage done to each page, and what the report must say about it."""

    def __init__(self, kind, path, blocks, names):
        self.kind, self.path, self.blocks, self.names = kind, path, set(blocks), names

    def __repr__(self):
        return f"{self.kind} in {self.path} {sorted(self.blocks)}"


class DamageCase(unittest.TestCase):
    CHECKSUMS = True

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(settings=SETTINGS, checksums=cls.CHECKSUMS))
        load = RandomWorkload(cls.cluster, 1000)
        cls.prepare()
        cls.backup = cls.cluster.basebackup()
        cls.dropped = cls.cluster.psql(
            "CREATE TABLE dropped AS SELECT 1 a; SELECT pg_relation_filepath('dropped')"
        )
        cls.cluster.psql("DROP TABLE dropped")
        load.step(60)
        cls.cluster.psql("VACUUM FULL pg_class; CHECKPOINT")
        cls.older = cls.read_files()
        load.step(60)
        cls.cluster.stop()
        cls.files = cls.read_files()
        cls.touched = cls.read_touched()
        cls.random = random.Random(7)

    @classmethod
    def prepare(cls):
        """Before the base backup."""

    @classmethod
    def read_files(cls):
        out = {}
        for pattern in ("base/*/*", "global/*", "pg_xact/*", "pg_multixact/*/*", "pg_commit_ts/*"):
            for path in pathlib.Path(cls.cluster.data).glob(pattern):
                try:
                    out[str(path.relative_to(cls.cluster.data))] = path.read_bytes()
                except FileNotFoundError:
                    pass  # dropped meanwhile
        return out

    @classmethod
    def read_touched(cls):
        """Blocks that WAL since the backup changes and that are on disk, by path of the file."""
        label = pathlib.Path(cls.backup, "backup_label").read_text("utf-8")
        start = re.search(r"START WAL LOCATION: (\S+)", label)[1]
        command = [server_program("pg_waldump"), "-p", cls.cluster.wal, "--start", start]
        touched = collections.defaultdict(set)
        text = run(command, check=False).stdout
        for spc, db, rel, fork, block in re.findall(
            r"blkref #\d+: rel (\d+)/(\d+)/(\d+)(?: fork (\w+))? blk (\d+)", text
        ):
            path = f"base/{db}/{rel}" if spc == "1663" else f"global/{rel}"
            path += f"_{fork}" if fork and fork != "main" else ""
            page = cls.files.get(path, b"")[int(block) * BLOCK :][:BLOCK]
            if fork != "fsm" and page.strip(b"\0"):
                touched[path].add(int(block))
        return dict(touched)

    # Each of these returns an Injection and changes content[path], or returns None where it cannot.

    def pages(self, used, wanted=lambda path, block: True):
        return [
            (path, block)
            for path, blocks in sorted(self.touched.items())
            if used[path] is not None
            for block in sorted(blocks)
            if block not in used[path] and wanted(path, block)
        ]

    def page(self, path, block, files=None):
        return (files or self.files).get(path, b"")[block * BLOCK :][:BLOCK]

    @staticmethod
    def lsn(page):
        return int.from_bytes(page[:4], "little") << 32 | int.from_bytes(page[4:8], "little")

    def flip(self, content, used):
        path, block = self.random.choice(self.pages(used))
        at = block * BLOCK + self.random.randrange(BLOCK)
        content[path][at] ^= 1 << self.random.randrange(8)
        return Injection("flip", path, [block], {"checksum"})

    def older_copy(self, content, used):
        def has_older(path, block):
            old = self.page(path, block, self.older)
            new = self.page(path, block)
            # An old copy of a deleted page may be what another block has now: of GIN's, only the header counts.
            others = (self.page(path, other)[12:] for other in self.touched[path] - {block})
            return (
                "_init" not in path
                and 0 < self.lsn(old) < self.lsn(new)
                and old[12:] not in others
                and not self.is_deleted_gin_page(old)
            )

        path, block = self.random.choice(self.pages(used, has_older))
        content[path][block * BLOCK :][:BLOCK]
        content[path][block * BLOCK : (block + 1) * BLOCK] = self.page(path, block, self.older)
        return Injection("older copy", path, [block], {"stale"})

    @staticmethod
    def is_deleted_gin_page(page):
        """Of GinPageOpaqueData, flags are the last two bytes. Other special areas of 8 bytes end with an
        identifier above 0xF000."""
        (special,) = struct.unpack_from("<H", page, 16)
        (flags,) = struct.unpack_from("<H", page, BLOCK - 2)
        return special == BLOCK - 8 and flags < 0xF000 and bool(flags & 4)

    def zero(self, content, used):
        path, block = self.random.choice(self.pages(used))
        content[path][block * BLOCK : (block + 1) * BLOCK] = bytes(BLOCK)
        return Injection("zero", path, [block], {"zeroed"})

    def swap(self, content, used):
        def has_partner(path, block):
            return len(self.touched[path] - used[path]) > 1

        path, one = self.random.choice(self.pages(used, has_partner))
        other = self.random.choice(sorted(self.touched[path] - used[path] - {one}))
        first, second = self.page(path, one), self.page(path, other)
        if first[12:] == second[12:] or self.lsn(first) == self.lsn(second):
            return None
        content[path][one * BLOCK : (one + 1) * BLOCK] = second
        content[path][other * BLOCK : (other + 1) * BLOCK] = first
        return Injection("swap", path, [one, other], {"misplaced"})

    def truncate(self, content, used):
        paths = [p for p in sorted(self.touched) if used[p] is not None and not used[p]]
        path = self.random.choice(paths)
        cut = self.random.randint(0, max(self.touched[path]))
        del content[path][cut * BLOCK :]
        used[path] = None
        return Injection("truncate", path, [b for b in self.touched[path] if b >= cut], {"short file"})

    def kinds(self):
        return [self.flip, self.older_copy, self.zero, self.swap, self.truncate]

    def inject(self, count):
        """Damages the files; returns the injections and the paths written."""
        content = {path: bytearray(self.files[path]) for path in self.touched}
        used = {path: set() for path in self.touched}
        kinds = self.kinds()
        injections = []
        while len(injections) < count:
            kind = kinds[len(injections) % len(kinds)]
            injection = kind(content, used)
            if injection is None:
                continue
            injections.append(injection)
            if used[injection.path] is not None:
                used[injection.path] |= injection.blocks
        for path in {i.path for i in injections}:
            self.write(path, bytes(content[path]))
        return injections

    def write(self, path, content):
        whole = self.files.get(path)
        place = pathlib.Path(self.cluster.data, path)
        if whole is None:
            self.addCleanup(lambda: place.unlink(missing_ok=True))
        else:
            self.addCleanup(place.write_bytes, whole)
        place.write_bytes(content)

    def check(self, injections):
        found = collections.defaultdict(dict)
        result = report(self.cluster, self.backup)
        for mismatch in result["mismatches"]:
            # One finding is for a run of blocks, or for a file.
            first, blocks = mismatch["block"], mismatch["blocks"]
            for block in [None] if first is None else range(first, first + blocks):
                found[mismatch["file"]][block] = mismatch
        self.assertEqual(result["different"], sum(len(blocks) for blocks in found.values()))
        for injection in injections:
            for block in injection.blocks:
                with self.subTest(injection=injection, block=block):
                    mismatch = found[injection.path].pop(block)
                    self.assertIn(mismatch["damage"], injection.names, mismatch)
        self.assertEqual({p: b for p, b in found.items() if b}, {}, "what nobody has damaged")

    def check_random_damage(self, injections=INJECTIONS, batch=BATCH):
        for number in range((injections + batch - 1) // batch):
            with self.subTest(batch=number):
                self.check(self.inject(min(batch, injections)))
                self.doCleanups()


class Damage(DamageCase):
    def test_undamaged(self):
        self.assertEqual(report(self.cluster, self.backup)["mismatches"], [])

    def test_random_damage(self):
        self.check_random_damage()

    def test_what_is_no_relation_page(self):
        slru = bytearray(self.files["pg_xact/0000"])
        slru[100] ^= 0x44
        self.write("pg_xact/0000", bytes(slru))
        times = sorted(p for p in self.files if p.startswith("pg_commit_ts/"))[-1]
        last = len(self.files[times]) // BLOCK - 1
        self.write(times, self.files[times][: last * BLOCK])
        relation_map = "global/pg_filenode.map"
        damaged = bytearray(self.files[relation_map])
        damaged[17] ^= 1
        self.write(relation_map, bytes(damaged))
        (old_map,) = {p for p in self.files if p.endswith("filenode.map") and p.startswith("base/")
                      and self.files[p] != pathlib.Path(self.backup, p).read_bytes()}  # fmt: skip
        self.write(old_map, pathlib.Path(self.backup, old_map).read_bytes())
        self.write(self.dropped, b"")
        name = max((p for p in self.touched if "_" not in p), key=lambda p: len(self.files[p]))
        end = len(self.files[name])
        self.write(name, self.files[name] + self.files[name][:BLOCK])
        pages = "one page more"
        self.check(
            [
                Injection("flip", "pg_xact/0000", [0], {"content"}),
                Injection("truncate", times, [last], {"short file"}),
                Injection("flip", relation_map, [None], {"content"}),
                Injection("older copy", old_map, [None], {"stale"}),
                Injection("dropped relation", self.dropped, [None], {"extra file"}),
                Injection(pages, name, [end // BLOCK], {"long file"}),
            ]
        )

    def test_missing_files(self):
        untouched = next(
            p for p in sorted(self.files)
            if re.fullmatch(r"base/1/\d+", p) and p not in self.touched and self.files[p]
        )  # fmt: skip
        self.write(untouched, b"")
        pathlib.Path(self.cluster.data, untouched).unlink()
        touched = self.random.choice([p for p in sorted(self.touched) if "_" not in p])
        self.write(touched, b"")
        pathlib.Path(self.cluster.data, touched).unlink()
        self.check(
            [
                Injection("missing", untouched, [None], {"missing file"}),
                Injection("missing", touched, self.touched[touched], {"missing file"}),
            ]
        )

    def test_replay_alone(self):
        """Verifies base backup and WAL without a cluster to compare with."""
        found = report(self.cluster, self.backup, against=False)
        self.assertEqual((found["mismatches"], found["pages_compared"]), ([], 0))
        with_data = report(self.cluster, self.backup)
        self.assertEqual(found["pages_replayed"], with_data["pages_compared"])
        self.assertEqual(found["records"], with_data["records"])

    def test_explain(self):
        path, block = self.pages({p: set() for p in self.touched})[0]
        result = run_neon_redo(
            "verify", "--explain", f"{path}/{block}", "--wal", self.cluster.wal,
            "--base-backup", self.backup,
        )  # fmt: skip
        records = [line for line in result.stdout.splitlines() if line.startswith("rmgr:")]
        self.assertGreater(len(records), 0)
        rel = path.split("/")[-1].split("_")[0]
        for record in records:
            self.assertRegex(record, rf"/{rel}\b|COMMIT|ABORT|VISIBLE")
        last = self.lsn(self.page(path, block))
        self.assertRegex(records[-1], r"lsn: [0-9A-F]+/[0-9A-F]+")
        starts = [
            int(a, 16) << 32 | int(b, 16)
            for a, b in re.findall(r"lsn: ([0-9A-F]+)/([0-9A-F]+), prev", result.stdout)
        ]
        self.assertEqual(starts, sorted(starts))
        self.assertTrue(any(start < last for start in starts))
        bad = run_neon_redo("verify", "--explain", "base/5", "--wal", self.cluster.wal, check=False)
        self.assertEqual((bad.returncode, len(bad.stderr.splitlines())), (2, 1))


class DamageWithoutChecksums(DamageCase):
    CHECKSUMS = False

    def test_undamaged(self):
        self.assertEqual(report(self.cluster, self.backup)["mismatches"], [])

    def test_random_damage(self):
        self.check_random_damage()

    @staticmethod
    def row_bytes(page):
        """Offsets in a heap page that hold rows. No mask hides them, as it may hide other bits."""
        if int.from_bytes(page[16:18], "little") != BLOCK:  # pd_special: the page is an index's
            return []
        out = []
        for at in range(24, int.from_bytes(page[12:14], "little"), 4):
            line_pointer = int.from_bytes(page[at : at + 4], "little")
            offset, flags, length = line_pointer & 0x7FFF, line_pointer >> 15 & 3, line_pointer >> 17
            if flags == 1:  # LP_NORMAL
                out += range(offset + 24, offset + length)
        return out

    def flip(self, content, used):
        def has_rows(path, block):
            return "_" not in path and self.row_bytes(self.page(path, block))

        path, block = self.random.choice(self.pages(used, has_rows))
        at = block * BLOCK + self.random.choice(self.row_bytes(self.page(path, block)))
        content[path][at] ^= 1 << self.random.randrange(8)
        return Injection("flip", path, [block], {"content"})


class ColdDamage(DamageCase):
    """Damage to pages that no WAL since the base backup touches: of relations, visibility maps, init forks,
    pg_xact and pg_commit_ts. Here `touched` has them: those that may be damaged."""

    @classmethod
    def prepare(cls):
        for n, index in enumerate(INDEXES):
            cls.cluster.psql(f"CREATE TABLE cold{n} (a serial, t text, g int[], p point)")
            cls.cluster.psql(RandomWorkload.insert(f"cold{n}", 2000))
            cls.cluster.psql(f"CREATE INDEX ON cold{n} USING {index}; VACUUM (FREEZE) cold{n}")
        cls.cluster.psql("CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY)")
        cls.cluster.psql(
            "DO $$ BEGIN FOR i IN 1..40000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$; CHECKPOINT"
        )
        cls.next_xid = int(cls.cluster.psql("SELECT txid_current()"))

    @classmethod
    def read_touched(cls):
        by_wal = super().read_touched()
        cold = {}
        for path, content in cls.files.items():
            first = cls.first_page_by_wal(path)
            base = pathlib.Path(cls.backup, path)
            is_unlogged = f"{path}_init" in cls.files
            if first is None or is_unlogged or not base.exists():
                continue
            whole = base.read_bytes()
            cold[path] = {
                at // BLOCK
                for at in range(0, min(len(whole), first * BLOCK), BLOCK)
                if whole[at : at + BLOCK].strip(b"\0")
                and whole[at : at + BLOCK] == content[at : at + BLOCK]
                and at // BLOCK not in by_wal.get(path, ())
            }
        cls.by_wal = by_wal
        return {path: blocks for path, blocks in cold.items() if blocks}

    @classmethod
    def first_page_by_wal(cls, path):
        """None: no page of the file is looked for. Else the first one that new transactions touch."""
        directory, name = os.path.split(path)
        for slru, per_page in (("pg_xact", 32768), ("pg_commit_ts", 819)):
            if directory == slru:
                return cls.next_xid // per_page - int(name, 16) * 32
        return 1 << 32 if re.fullmatch(r"\d+(_vm|_init)?", name) else None

    def kinds(self):
        return [self.flip, self.zero, self.swap, self.tear, self.truncate]

    @staticmethod
    def is_relation(path, _block=0):
        return not path.startswith("pg_")

    def flip(self, content, used):
        # Most pages are relations', so that SLRUs have a turn of their own.
        slru = self.random.random() < 0.2
        path, block = self.random.choice(self.pages(used, lambda p, _: self.is_relation(p) != slru))
        at = block * BLOCK + self.random.randrange(BLOCK)
        content[path][at] ^= 1 << self.random.randrange(8)
        return Injection("flip", path, [block], {"content" if slru else "checksum"})

    def swap(self, content, used):
        injection = super().swap(content, {p: b if self.is_relation(p) else None for p, b in used.items()})
        return injection

    def tear(self, content, used):
        """Some sectors are those of another page."""
        path, block = self.random.choice(self.pages(used, self.is_relation))
        other_path, other = self.random.choice(self.pages(used, self.is_relation))
        sectors = self.random.randint(1, 15) * 512
        old, new = self.page(path, block), self.page(other_path, other)
        if old[sectors:] == new[sectors:]:
            return None
        content[path][block * BLOCK + sectors : (block + 1) * BLOCK] = new[sectors:]
        return Injection("tear", path, [block], {"checksum", "torn"})

    def truncate(self, content, used):
        """One finding, of the first page that is gone."""
        paths = [
            p for p in sorted(self.touched)
            if self.is_relation(p) and used[p] is not None and not used[p]
            and p not in self.by_wal and "_init" not in p
        ]  # fmt: skip
        path = self.random.choice(paths)
        cut = self.random.choice(sorted(self.touched[path]))
        del content[path][cut * BLOCK :]
        used[path] = None
        return Injection("truncate", path, [cut], {"short file"})

    def test_undamaged(self):
        found = report(self.cluster, self.backup)
        self.assertEqual(found["mismatches"], [])
        self.assertGreater(sum(len(b) for b in self.touched.values()), 1000)
        self.assertGreater(found["backup"]["unchanged_compared"], 1000)

    def test_random_damage(self):
        self.check_random_damage(COLD_INJECTIONS, COLD_BATCH)


class ColdDamageWithoutChecksums(ColdDamage):
    CHECKSUMS = False

    def kinds(self):
        return [self.flip, self.zero, self.swap, self.truncate]

    def flip(self, content, used):
        """In rows, since the masks hide other bytes."""

        def has_rows(path, block):
            rows = DamageWithoutChecksums.row_bytes
            return "_" not in path and rows(self.page(path, block))

        path, block = self.random.choice(self.pages(used, has_rows))
        rows = DamageWithoutChecksums.row_bytes(self.page(path, block))
        content[path][block * BLOCK + self.random.choice(rows)] ^= 1 << self.random.randrange(8)
        return Injection("flip", path, [block], {"content"})


if __name__ == "__main__":
    unittest.main()
