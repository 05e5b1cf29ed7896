#!/usr/bin/env python3
"""Random schemas and DML that aim at edge cases, redone by both engines: schemas.py [--seconds N]
[--seed N] [--keep DIR].

Each round makes a throw-away cluster with wal_consistency_checking = 'all', fills it by a script
that follows from the round's seed alone, and has native_oracle judge the WAL: every page by the
record's image and by the sandboxed worker, then records with flipped bytes. test_native.py runs one
round. Ends at the first round that fails, with its seed; --keep then keeps its WAL and script.
The last line is "schemas: N passed, N failed".
"""

import argparse
import json
import pathlib
import random
import shutil
import sys
import time

from cluster import ROOT, Cluster, copy_module, exit_on_signals, run

ORACLE = ROOT / "build" / "tests" / "integration" / "native_oracle"
SETTINGS = {
    "wal_consistency_checking": "all",
    "wal_keep_size": "1TB",
    "max_wal_size": "2GB",
    "autovacuum": "off",
    "default_statistics_target": 10,
}

# Type, expression of the row's number g that gives a value, access methods (with operator class).
# {n} is a small number of distinct values, {w} a width up to a page's.
KEYS = [
    ("int", "g", ["btree", "hash", "brin"]),
    ("int", "-g", ["btree", "brin"]),
    ("int", "(random() * 1000000)::int", ["btree", "hash"]),
    ("int", "g % {n}", ["btree", "hash"]),
    ("bigint", "(g * 7919) % 100003", ["btree", "hash"]),
    ("smallint", "(g % {n})::int2", ["btree"]),
    ("bool", "g % {n} = 0", ["btree"]),
    ("text", "md5((g % {n})::text)", ["btree", "hash", "spgist"]),
    ("text", "repeat(chr(97 + g % 26), g % 40) || g", ["btree", "spgist"]),
    ("text", "lpad(g::text, 8, '0') || repeat('k', {k})", ["btree"]),
    ("numeric", "(random() * g)::numeric(20, 3)", ["btree", "hash"]),
    ("timestamptz", "'2020-01-01'::timestamptz + g * '1 minute'::interval", ["btree", "brin"]),
    ("int[]", "ARRAY[g % {n}, g % 17, g]", ["gin", "btree"]),
    ("point", "point(random() * 1000, g % {n})", ["gist", "spgist"]),
    ("box", "box(point(g, g), point(g + {n}, g + 3))", ["gist", "spgist"]),
    ("int4range", "int4range(g, g + {n})", ["gist", "spgist"]),
]
FILLERS = [
    ("text", "repeat('f', {w})"),
    ("text", "repeat(md5(g::text), {w} / 32)"),  # compressible, and too much for a page
    ("bytea", "decode(repeat(md5(random()::text), 1 + {w} / 64), 'hex')"),
    ("char(1)", "'x'"),
    ("int", "NULL::int"),
    ("bit(300)", "repeat('1', 300)::bit(300)"),
]


class Table:
    """One table: its columns by name, each with the expression of a new value."""

    def __init__(self, rng, name):
        self.rng, self.name, self.last = rng, name, 0
        self.columns, self.indexes = {}, []
        self.keys = [rng.choice(KEYS) for _ in range(rng.randint(1, 4))]
        self.types = {}
        for number, (kind, value, _) in enumerate(self.keys):
            self._add(f"k{number}", kind, value)
        for number in range(rng.choice([0, 1, 1, 2, 9, 30])):
            self._add(f"f{number}", *rng.choice(FILLERS))

    def _add(self, column, kind, value):
        rng = self.rng
        width = rng.choice([0, 1, 7, 100, 900, 2000, rng.randint(0, 8200), 20000])
        value = value.format(n=rng.choice([1, 2, 10, 300]), w=width, k=rng.choice([0, 100, 1200]))
        if rng.random() < 0.4:
            value = f"CASE WHEN g % {rng.randint(2, 9)} <> 0 THEN {value} END"
        self.types[column], self.columns[column] = kind, value

    def create(self):
        rng = self.rng
        yield f"CREATE TABLE {self.name} (%s) WITH (fillfactor = %d)" % (
            ", ".join(f"{name} {kind}" for name, kind in self.types.items()),
            rng.choice([10, 50, 100, 100, 100]),
        )
        for name, kind in self.types.items():
            if kind in ("text", "bytea") and rng.random() < 0.5:
                storage = rng.choice(["external", "extended", "main"])
                yield f"ALTER TABLE {self.name} ALTER {name} SET STORAGE {storage}"
        yield from self.index()

    def index(self):
        rng = self.rng
        for number, (_, _, methods) in enumerate(self.keys):
            if rng.random() < 0.2:
                continue
            method = rng.choice(methods)
            options = {"btree": ["fillfactor = 10", "deduplicate_items = off", "fillfactor = 100"],
                       "gin": ["fastupdate = off", "gin_pending_list_limit = 64"],
                       "gist": ["buffering = on", "fillfactor = 30"],
                       "brin": ["pages_per_range = 1, autosummarize = on"],
                       "hash": ["fillfactor = 10"]}.get(method, [])
            with_ = f" WITH ({rng.choice(options)})" if options and rng.random() < 0.6 else ""
            self.indexes.append(f"{self.name}_{number}_{len(self.indexes)}")
            yield f"CREATE INDEX {self.indexes[-1]} ON {self.name} USING {method} (k{number}){with_}"

    def insert(self, rows=None):
        rows = rows or self.rng.choice([1, 30, 300, 300])
        first, self.last = self.last + 1, self.last + rows
        order = self.rng.choice(["", " ORDER BY random()", " ORDER BY g DESC"])
        values = ", ".join(self.columns.values())
        return (f"INSERT INTO {self.name} ({', '.join(self.columns)}) SELECT {values} FROM generate_series({first}, {self.last}) g"
                + order)

    def some(self):
        """A condition that selects scattered rows or a range of rows."""
        rng = self.rng
        return rng.choice([
            f"(ctid::text::point)[1]::int % {rng.randint(2, 7)} = 0",
            f"(ctid::text::point)[0]::int % {rng.randint(2, 5)} = 1",
            f"random() < {rng.choice([0.01, 0.3, 0.9])}",
            "k0 IS NULL",
        ])

    def change(self):
        rng, name = self.rng, self.name
        column = rng.choice(list(self.columns))
        value = self.columns[column]
        update = (f"UPDATE {name} SET {column} = v FROM (SELECT {value} AS v FROM generate_series("
                  f"{self.last}, {self.last}) g) s WHERE {self.some().replace('ctid', name + '.ctid')}")
        file = f"{{directory}}/{name}.copy"
        return rng.choice([
            [self.insert()], [self.insert()], [self.insert()],
            [update], [update],
            [f"DELETE FROM {name} WHERE {self.some()}"],
            [f"DELETE FROM {name} WHERE {self.some()}", f"VACUUM {name}", self.insert()],
            [f"VACUUM (FREEZE, INDEX_CLEANUP on) {name}", f"DELETE FROM {name} WHERE {self.some()}"],
            # The same rows again and again: versions chained on the page, pruned, deleted bottom-up.
            [update] * 4,
            # Multixacts, locks, aborted parts.
            ["BEGIN", f"SELECT 1 FROM {name} WHERE {self.some()} FOR KEY SHARE", "SAVEPOINT s",
             f"SELECT 1 FROM {name} WHERE {self.some()} FOR UPDATE", update, "ROLLBACK TO s",
             f"DELETE FROM {name} WHERE {self.some()}", rng.choice(["COMMIT", "ROLLBACK"])],
            # Multi-insert, also onto frozen pages.
            [f"COPY {name} TO '{file}'", f"COPY {name} FROM '{file}'",
             f"DELETE FROM {name} WHERE {self.some()} OR (SELECT count(*) FROM {name}) > 3000"],
            ["BEGIN", f"COPY {name} TO '{file}'", f"TRUNCATE {name}",
             f"COPY {name} FROM '{file}' (FREEZE)", "COMMIT", self.insert(30)],
            # Dead items that a scan marks, and the next insertion deletes.
            [f"DELETE FROM {name} WHERE {self.some()}", "SET enable_seqscan = off",
             f"SELECT count(k0) FROM {name} WHERE k0 IS NOT NULL", "RESET enable_seqscan",
             self.insert()],
            [f"ALTER TABLE {name} ADD COLUMN a{rng.randint(0, 10**9)} int DEFAULT 7", update],
            [f"REINDEX TABLE {name}"],
            ["CHECKPOINT"],
            list(self.index()),
        ])


def write_script(rng, directory, tables, changes):
    """The round's SQL. Rows without columns fill a page with as many line pointers as it takes."""
    yield f"SELECT setseed({rng.random()})"
    yield "CREATE TABLE narrow ()"
    yield "CREATE SEQUENCE numbers CACHE 3"
    everything = [Table(rng, f"t{number}") for number in range(tables)]
    for table in everything:
        yield from table.create()
        yield table.insert(rng.choice([1, 400]))
    for _ in range(changes):
        table = rng.choice(everything)
        for statement in table.change():
            yield statement.replace("{directory}", directory)
        if rng.random() < 0.1:
            yield f"INSERT INTO narrow SELECT FROM generate_series(1, {rng.randint(1, 600)})"
            yield f"DELETE FROM narrow WHERE random() < {rng.choice([0.1, 0.9])}"
            yield "VACUUM narrow"
            yield "SELECT nextval('numbers') FROM generate_series(1, 40)"


def judge(wal, module, seed, mutate):
    """The report of native_oracle on the WAL, unchanged and with flipped bytes."""
    command = [ORACLE, "--wal", wal, "--module", module, "--mutate", mutate, "--seed", seed]
    result = run(command, check=False)
    if not result.stdout:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout), result.stderr


def play_round(seed, tables=6, changes=60, mutate=3, keep=None):
    """One cluster, one script; returns native_oracle's report and complaints."""
    rng = random.Random(seed)
    settings = {**SETTINGS, "wal_compression": rng.choice(["off", "pglz", "lz4", "zstd"]),
                "full_page_writes": rng.choice(["on", "on", "off"]),
                "wal_log_hints": rng.choice(["on", "off"])}
    with Cluster(settings=settings, checksums=rng.random() < 0.5) as cluster:
        script = ";\n".join(write_script(rng, cluster.directory, tables, changes)) + ";\n"
        cluster.psql("\\set QUIET on\n\\o /dev/null\n" + script)
        cluster.stop()
        report, complaints = judge(cluster.wal, copy_module(cluster.directory), seed, mutate)
        if keep and report["failures"] + report["malformed"]:
            shutil.copytree(cluster.wal, pathlib.Path(keep, "wal"))
            pathlib.Path(keep, "script.sql").write_text(script, "utf-8")
    return report, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", metavar="DIR", help="keep WAL and script of a round that fails")
    options = parser.parse_args()
    exit_on_signals()
    end = time.monotonic() + options.seconds
    passed = failed = 0
    seed = options.seed
    while not failed and (passed == 0 or time.monotonic() < end):
        report, complaints = play_round(seed, keep=options.keep)
        failed = int(report["failures"] + report["malformed"] > 0)
        passed += not failed
        print(f"seed {seed}: {report['requests']} changes, {report['applied']} native, "
              f"{report['mutated_applied']} damaged ones applied, {report['failures']} failures, "
              f"{report['malformed']} malformed\n{complaints}", end="", flush=True)
        seed += 1
    print(f"schemas: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
