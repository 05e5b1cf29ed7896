"""Compares the library's page masks with the server's (RmgrTable[rmid].rm_mask), byte by byte. The pages
are those of a cluster with every built-in index type, under every mask, and pages with random damage.
"""

import os
import pathlib
import random
import subprocess
import unittest

from cluster import ROOT, Cluster, pg_config, run

BLOCK = 8192
MODULE_SOURCE = ROOT / "tests" / "integration" / "mask_module" / "mask_module.cpp"
BUILD = pathlib.Path(os.environ.get("NEON_BUILD", ROOT / "build")) / "tests/integration/mask_module"

# Resource managers with a mask (access/rmgrlist.h), and the size of the special area each reads.
SPECIAL = {
    "heap2": (9, 0),
    "heap": (10, 0),
    "btree": (11, 16),
    "hash": (12, 16),
    "gin": (13, 8),
    "gist": (14, 16),
    "sequence": (15, 0),
    "spgist": (16, 0),
    "brin": (17, 8),
    "generic": (20, 0),
}
TUPLE_HEADER = 22  # bytes of a heap tuple header that heap_mask looks at

SCHEMA = """
CREATE EXTENSION bloom;
CREATE SEQUENCE counter;
CREATE TABLE t (id int PRIMARY KEY, v int, txt text, arr int[], p point, r int4range);
INSERT INTO t SELECT i, i % 97, repeat(md5(i::text), i % 5), ARRAY[i % 50, i % 7], point(i % 100, i / 100),
  int4range(i, i + 10) FROM generate_series(1, 12000) i;
CREATE INDEX t_btree ON t (v, txt);
CREATE INDEX t_hash ON t USING hash (txt);
CREATE INDEX t_gin ON t USING gin (arr);
CREATE INDEX t_gist ON t USING gist (p);
CREATE INDEX t_gist_range ON t USING gist (r);
CREATE INDEX t_spgist ON t USING spgist (txt);
CREATE INDEX t_spgist_point ON t USING spgist (p);
CREATE INDEX t_brin ON t USING brin (id) WITH (pages_per_range = 2);
CREATE INDEX t_bloom ON t USING bloom (v);
SELECT nextval('counter') FROM generate_series(1, 40);
INSERT INTO t VALUES (1, 1) ON CONFLICT DO NOTHING;
INSERT INTO t SELECT i, i % 97, md5(i::text), ARRAY[i % 50], point(i, i), int4range(i, i + 1)
  FROM generate_series(12001, 15000) i ON CONFLICT DO NOTHING;
UPDATE t SET v = v + 1 WHERE id % 3 = 0;
BEGIN; DELETE FROM t WHERE id % 5 = 0; ROLLBACK;
SELECT count(*) FROM (SELECT * FROM t WHERE id % 7 = 0 FOR UPDATE) s;
DELETE FROM t WHERE id BETWEEN 2000 AND 9000;
VACUUM (INDEX_CLEANUP on) t;
INSERT INTO t SELECT i, i % 97, md5(i::text), ARRAY[i % 50], point(i, i), int4range(i, i + 1)
  FROM generate_series(2000, 4000) i;
UPDATE t SET v = -v WHERE id < 1500;
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE v BETWEEN -50 AND 50 AND txt > 'a';
SELECT count(*) FROM t WHERE txt = md5('13000');
SELECT count(*) FROM t WHERE p <@ box(point(0, 0), point(50, 50));
CREATE TABLE frozen AS SELECT i FROM generate_series(1, 3000) i;
VACUUM FREEZE frozen;
DELETE FROM frozen WHERE i % 2 = 0;
SELECT count(*) FROM frozen;
CHECKPOINT;
"""

RELATIONS = {
    "heap": ["t", "frozen", "pg_toast.pg_toast_1255", "pg_class", "pg_proc", "pg_attribute"],
    "btree": ["t_btree", "t_pkey", "pg_proc_proname_args_nsp_index"],
    "hash": ["t_hash"],
    "gin": ["t_gin"],
    "gist": ["t_gist", "t_gist_range"],
    "sequence": ["counter"],
    "spgist": ["t_spgist", "t_spgist_point"],
    "brin": ["t_brin"],
    "generic": ["t_bloom"],
}


class Masks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.close)
        module = os.path.join(cls.cluster.directory, "mask_module.so")
        compiler = [*os.environ.get("CXX", "g++").split(), "-std=c++20", "-O2", "-fPIC", "-shared"]
        headers = ["-isystem", pg_config("includedir-server")]
        run([*compiler, *headers, "-o", module, MODULE_SOURCE])
        os.chmod(module, 0o755)
        cls.cluster.psql(SCHEMA)
        cls.cluster.psql(
            "CREATE FUNCTION server_mask(int, int, bytea) RETURNS bytea"
            f" LANGUAGE c STRICT AS '{module}', 'server_mask'"
        )
        cls.pages = {kind: b"".join(cls.read(name) for name in names) for kind, names in RELATIONS.items()}

    @classmethod
    def read(cls, relation):
        path = cls.cluster.psql(f"SELECT pg_relation_filepath('{relation}')")
        return pathlib.Path(cls.cluster.data, path).read_bytes()

    def server(self, rmid, first_block, pages):
        answer = b""
        step = 128 * BLOCK
        for at in range(0, len(pages), step):
            text = self.cluster.psql(
                f"SELECT encode(server_mask({rmid}, {first_block + at // BLOCK},"
                f" '\\x{pages[at:at + step].hex()}'), 'hex')"
            )
            answer += bytes.fromhex(text)
        return answer

    def library(self, rmid, first_block, pages):
        return subprocess.run(
            [BUILD / "mask_tool", str(rmid), str(first_block)], input=pages, capture_output=True, check=True
        ).stdout

    def compare(self, kind, pages, first_block=0):
        """Counts pages that compare equal; a page that makes the server leave its bytes is skipped."""
        rmid, special_size = SPECIAL[kind]
        ours = self.library(rmid, first_block, pages)
        theirs = self.server(rmid, first_block, pages)
        self.assertEqual(len(ours), len(theirs))
        compared = 0
        for i in range(len(pages) // BLOCK):
            page = pages[i * BLOCK : (i + 1) * BLOCK]
            if leads_out(page, kind, special_size):
                continue
            our, their = (x[i * (BLOCK + 1) : (i + 1) * (BLOCK + 1)] for x in (ours, theirs))
            if our != their:
                at = next(n for n in range(BLOCK + 1) if our[n] != their[n])
                self.fail(f"{kind} mask, page {i}: byte {at - 1} is {our[at]}, the server's {their[at]}")
            compared += 1
        return compared

    def test_real_pages(self):
        for kind, pages in self.pages.items():
            with self.subTest(kind):
                self.assertEqual(self.compare(kind, pages), len(pages) // BLOCK)
        self.assertEqual(
            self.compare("heap2", self.pages["heap"], 131000), len(self.pages["heap"]) // BLOCK
        )

    def test_pages_of_another_kind(self):
        for kind in SPECIAL:
            for other, pages in self.pages.items():
                with self.subTest(mask=kind, page=other):
                    self.compare(kind, pages[: 20 * BLOCK], 7)

    def test_damaged_pages(self):
        generator = random.Random(15)
        for kind in SPECIAL:
            with self.subTest(kind):
                source = self.pages.get(kind, self.pages["heap"])
                pages = b"".join(damaged(source, generator) for _ in range(3000))
                compared = self.compare(kind, pages, 65530)
                self.assertGreater(compared, 1000)

    def test_random_bytes(self):
        generator = random.Random(16)
        for kind in SPECIAL:
            with self.subTest(kind):
                pages = b"".join(noise(generator) for _ in range(500))
                self.assertGreater(self.compare(kind, pages), 50)


def word(page, at):
    return int.from_bytes(page[at : at + 2], "little")


def leads_out(page, kind, special_size):
    """Whether the server's mask would read or write outside these 8192 bytes; the library's mask stops."""
    lower, special = word(page, 12), word(page, 16)
    if special_size and special + special_size > BLOCK:
        return True
    if not kind.startswith("heap"):
        return False
    for at in range(24, min(max(lower, 24), BLOCK) - 3, 4):
        bits = int.from_bytes(page[at : at + 4], "little")
        offset, flags = bits & 0x7FFF, bits >> 15 & 3
        if flags == 1 and not 24 + 4 * ((lower - 24) // 4) <= offset <= BLOCK - TUPLE_HEADER:
            return True  # outside, or over the line pointers: then they are not what they were here
    return False


def damaged(source, generator):
    """One page of source with a few bytes changed, mostly bytes that the masks read."""
    start = generator.randrange(len(source) // BLOCK) * BLOCK
    page = bytearray(source[start : start + BLOCK])
    for _ in range(generator.randrange(1, 6)):
        special = min(word(page, 16), BLOCK - 1)
        lower = min(max(word(page, 12), 25), BLOCK)
        low, high = generator.choice(((8, 24), (24, lower), (special, BLOCK), (0, BLOCK), (0, BLOCK)))
        at = generator.randrange(low, high) if low < high else generator.randrange(BLOCK)
        page[at] = generator.choice((0, 255, page[at] ^ 1 << generator.randrange(8), generator.randrange(256)))
    return bytes(page)


def noise(generator):
    """Random bytes after a page header that is often plausible."""
    page = bytearray(generator.randbytes(BLOCK))
    lower = generator.randrange(20, 2000)
    upper = generator.randrange(lower, BLOCK + 1)
    special = min(BLOCK, max(upper, generator.choice((BLOCK, BLOCK - 8, BLOCK - 16))))
    for at, value in ((12, lower), (14, upper), (16, special)):
        page[at : at + 2] = value.to_bytes(2, "little")
    # Items of random length at random places in the page, so that heap's mask has work in bounds.
    for at in range(24, min(lower, BLOCK) - 3, 4):
        offset = generator.randrange(lower, BLOCK - 24)
        bits = offset | generator.randrange(4) << 15 | generator.randrange(200) << 17
        page[at : at + 4] = bits.to_bytes(4, "little")
    return bytes(page)


if __name__ == "__main__":
    unittest.main()
