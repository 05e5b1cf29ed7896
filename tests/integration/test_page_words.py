"""neon-redo page --tuples, --hex and --diff: what they say of pages, against pageinspect on the same bytes."""

import json
import os
import struct
import unittest

from cluster import Cluster, copy_module, run_neon_redo

SETTINGS = {"wal_keep_size": "1GB", "autovacuum": "off", "track_commit_timestamp": "on"}

PREPARE = """
CREATE EXTENSION pageinspect; CREATE EXTENSION pg_visibility;
CREATE TABLE t (a int, b text, c int) WITH (fillfactor = 90);
CREATE TABLE i (a int, b text, c int[], p point);
CREATE TABLE same (a int);
CREATE SEQUENCE s;
CHECKPOINT;
"""
# Tuples of each kind: updated, locked, deleted, with nulls, frozen; deep and flat indexes; posting lists.
WORK = """
INSERT INTO t SELECT n, repeat('x', n % 50), nullif(n % 3, 0) FROM generate_series(1, 200) n;
UPDATE t SET c = 7 WHERE a % 10 = 0;
DELETE FROM t WHERE a % 11 = 0;
BEGIN; SELECT count(*) FROM (SELECT FROM t WHERE a < 20 FOR UPDATE) l; ROLLBACK;
BEGIN; SELECT count(*) FROM (SELECT FROM t WHERE a > 190 FOR SHARE) l; COMMIT;
BEGIN; INSERT INTO t VALUES (1000); UPDATE t SET b = 'y' WHERE a = 1000; ROLLBACK;
BEGIN; SELECT count(*) FROM (SELECT FROM t WHERE a = 3 FOR KEY SHARE) l; SAVEPOINT p; UPDATE t SET c = 8 WHERE a = 3; COMMIT;
INSERT INTO i SELECT n, md5(n::text) || repeat('z', 100), ARRAY[0, n % 50], point(n, n) FROM generate_series(1, 4000) n;
INSERT INTO same SELECT n % 3 FROM generate_series(1, 3000) n;
CREATE INDEX i_btree ON i (b); CREATE INDEX same_btree ON same (a); CREATE INDEX i_hash ON i USING hash (a);
CREATE INDEX i_gin ON i USING gin (c) WITH (fastupdate = off); CREATE INDEX i_gist ON i USING gist (p);
CREATE INDEX i_spgist ON i USING spgist (p); CREATE INDEX i_brin ON i USING brin (a) WITH (pages_per_range = 4);
INSERT INTO i SELECT n, md5(n::text), ARRAY[0, n % 50], point(n, n) FROM generate_series(4001, 4100) n;
SELECT nextval('s') FROM generate_series(1, 40);
"""
LP = ["unused", "normal", "redirect", "dead"]


class Words(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(settings=SETTINGS)
        cls.enterClassContext(cls.cluster)
        cls.cluster.psql(PREPARE)
        cls.backup = cls.cluster.basebackup()
        cls.start = cls.cluster.psql("SELECT pg_current_wal_lsn()")
        cls.cluster.psql(WORK)
        cls.cluster.psql("VACUUM same")
        cls.lsn = cls.cluster.psql("SELECT pg_switch_wal()")
        cls.lsn = cls.cluster.psql("SELECT pg_current_wal_lsn()")
        cls.module = copy_module(cls.cluster.directory)

    def command(self, page, *options):
        return run_neon_redo(
            "page", page, "--wal", self.cluster.wal, "--base-backup", self.backup, "--module", self.module,
            "--index", os.path.join(self.cluster.directory, "index"), *options,
        ).stdout  # fmt: skip

    def words(self, relation, block):
        """The parts of the page as JSON, and its bytes as an SQL expression."""
        output = os.path.join(self.cluster.directory, "page")
        path = self.cluster.psql(f"SELECT pg_relation_filepath('{relation}')")
        out = json.loads(
            self.command(
                f"{path}/{block}", "--lsn", self.lsn, "--tuples", "--format", "json", "--output", output
            )
        )
        with open(output, "rb") as file:
            return out, f"'\\x{file.read().hex()}'::bytea"

    def rows(self, query):
        return json.loads(self.cluster.psql(f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) r"))

    def parts(self, words, kind):
        return [{"number": p.get("number"), **p["fields"]} for p in words["parts"] if p["part"] == kind]

    def check_special(self, words, query):
        """The fields of the special area that the query has, too."""
        row = self.rows(query)[0]
        (special,) = self.parts(words, "special area")
        for name, value in row.items():
            ours = special[name]
            if isinstance(ours, dict):
                ours = ours["flags"] if isinstance(value, list) else ours["value"]
            if ours == "none":
                ours = 0xFFFFFFFF
            self.assertEqual(ours, value, name)

    def test_heap(self):
        flags = set()
        for block in range(2):
            words, page = self.words("t", block)
            self.assertEqual(words["type"], "heap")
            rows = self.rows(
                "SELECT i.*, f.* FROM heap_page_items(" + page + ") i LEFT JOIN LATERAL "
                "heap_tuple_infomask_flags(t_infomask, t_infomask2) f ON t_infomask IS NOT NULL"
            )
            pointers = {p["number"]: p for p in self.parts(words, "line pointer")}
            tuples = {p["number"]: p for p in self.parts(words, "tuple")}
            self.assertEqual(len(pointers), len(rows))
            for row in rows:
                pointer, own = pointers[row["lp"]], tuples.get(row["lp"])
                self.assertEqual(
                    (pointer["lp_flags"], pointer["lp_off"], pointer["lp_len"]),
                    (LP[row["lp_flags"]], row["lp_off"], row["lp_len"]),
                )
                self.assertEqual(own is None, row["t_xmin"] is None)
                if own is None:
                    continue
                self.assertEqual([own[n] for n in ("t_xmin", "t_xmax", "t_ctid", "t_hoff")],
                                 [int(row["t_xmin"]), int(row["t_xmax"]), row["t_ctid"], row["t_hoff"]])  # fmt: skip
                cid = own["t_cid"] if "t_cid" in own else own["t_cid (combo)"]
                self.assertEqual((cid, own.get("t_bits"), own["t_data"]),
                                 (row["t_field3"], row["t_bits"], row["t_data"]))  # fmt: skip
                self.assertEqual(own["natts"], row["t_infomask2"] & 0x7FF)
                self.assertEqual(
                    (own["t_infomask"]["value"], own["t_infomask2"]["value"]),
                    (row["t_infomask"], row["t_infomask2"]),
                )
                self.assertEqual(own["t_infomask"]["flags"] + own["t_infomask2"]["flags"], row["raw_flags"])
                self.assertEqual(own.get("combined_flags", []), row["combined_flags"])
                flags.update(row["raw_flags"])
            header = self.rows("SELECT * FROM page_header(" + page + ")")[0]
            (own,) = self.parts(words, "header")
            for name in ("lsn", "lower", "upper", "special"):
                self.assertEqual(own["pd_" + name], header[name])
            self.assertEqual([own["pagesize"], own["version"], own["pd_prune_xid"], own["pd_flags"]["value"]],
                             [header["pagesize"], header["version"], int(header["prune_xid"]), header["flags"]])  # fmt: skip
        self.assertLessEqual(
            {"HEAP_HASNULL", "HEAP_UPDATED", "HEAP_HOT_UPDATED", "HEAP_ONLY_TUPLE", "HEAP_XMAX_LOCK_ONLY",
             "HEAP_XMAX_EXCL_LOCK", "HEAP_XMAX_KEYSHR_LOCK", "HEAP_KEYS_UPDATED", "HEAP_XMAX_IS_MULTI"}, flags)  # fmt: skip

    def check_btree_page(self, relation, block):
        words, page = self.words(relation, block)
        items = self.parts(words, "item")
        rows = self.rows(f"SELECT * FROM bt_page_items({page})")
        self.assertEqual(len(items), len(rows))
        for own, row in zip(items, rows):
            data = bytes.fromhex(own.get("data", "\\x")[2:]).hex(" ")
            self.assertEqual([own["number"], own["ctid"], own["itemlen"], own["nulls"], own["vars"], data],
                             [row[n] for n in ("itemoffset", "ctid", "itemlen", "nulls", "vars", "data")])  # fmt: skip
            self.assertEqual(own.get("tids"), row["tids"])
            if "tids" not in own and row["htid"] is not None:
                self.assertIn(row["htid"], (own.get("htid"), own["ctid"]))
        self.check_special(
            words, f"SELECT btpo_prev, btpo_next, btpo_level, btpo_flags FROM bt_page_stats('{relation}', {block})"
        )
        return items, words

    def test_btree(self):
        words, page = self.words("i_btree", 0)
        meta = self.rows("SELECT * FROM bt_metap('i_btree')")[0]
        (own,) = self.parts(words, "metapage")
        del own["number"]
        self.assertEqual({**own, "last_cleanup_num_tuples": int(own["last_cleanup_num_tuples"])}, meta)
        root, _ = self.check_btree_page("i_btree", meta["root"])
        self.assertLess(1, len(root))
        self.assertIn("downlink", root[0])
        self.check_btree_page("i_btree", 1)
        leaf, _ = self.check_btree_page("same_btree", 1)
        self.assertTrue(any(len(item.get("tids", [])) > 10 for item in leaf))

    def test_hash(self):
        seen = set()
        blocks = int(self.cluster.psql("SELECT pg_relation_size('i_hash') / 8192"))
        words, page = self.words("i_hash", 0)
        row = self.rows(f"SELECT * FROM hash_metapage_info({page})")[0]
        (own,) = self.parts(words, "metapage")
        for name, value in row.items():
            if name in ("spares", "mapp"):
                self.assertEqual([int(word) for word in own[name]], value[: len(own[name])])
                self.assertEqual(sum(value[len(own[name]) :]), 0)
            else:
                self.assertEqual(float(own[name]), float(value), name)
        for block in (1, 2, blocks - 1):
            words, page = self.words("i_hash", block)
            if words["type"] != "hash":
                continue
            seen.add(kind := self.cluster.psql(f"SELECT hash_page_type({page})"))
            if kind not in ("bucket", "overflow"):
                self.assertIn(kind, self.parts(words, "special area")[0]["hasho_flag"]["flags"])
                continue
            rows = self.rows(f"SELECT * FROM hash_page_items({page})")
            self.assertEqual([[i["number"], i["ctid"], i["data"]] for i in self.parts(words, "item")],
                             [[r["itemoffset"], r["ctid"], r["data"]] for r in rows])  # fmt: skip
            self.check_special(words, "SELECT hasho_prevblkno, hasho_nextblkno, hasho_bucket, hasho_flag "
                                      f"FROM hash_page_stats({page})")  # fmt: skip
        self.assertIn("bucket", seen)

    def test_gin(self):
        words, page = self.words("i_gin", 0)
        row = self.rows(f"SELECT * FROM gin_metapage_info({page})")[0]
        (own,) = self.parts(words, "metapage")
        for name, value in row.items():
            self.assertEqual(0xFFFFFFFF if own[name] == "none" else own[name], value, name)
        kinds = set()
        for block in range(1, int(self.cluster.psql("SELECT pg_relation_size('i_gin') / 8192"))):
            words, page = self.words("i_gin", block)
            self.check_special(words, f"SELECT * FROM gin_page_opaque_info({page})")
            (special,) = self.parts(words, "special area")
            kinds.add(kind := " ".join(special["flags"]["flags"]))
            if kind == "data leaf compressed":
                rows = self.rows(f"SELECT * FROM gin_leafpage_items({page})")
                segments = self.parts(words, "segment")
                for row, own in zip(rows, segments, strict=True):
                    self.assertEqual([own["first_tid"], own["nbytes"], own["tids"]], list(row.values()))
            elif "leaf" in kind:
                for item in self.parts(words, "item"):
                    self.assertTrue("posting_tree" in item or len(item["tids"]) == item["nitems"])
        self.assertIn("leaf", kinds)
        self.assertIn("data leaf compressed", kinds)

    def test_gist_and_others(self):
        leaves = 0
        for block in range(3):
            words, page = self.words("i_gist", block)
            self.check_special(words, f"SELECT nsn, rightlink, flags FROM gist_page_opaque_info({page})")
            rows = self.rows(f"SELECT * FROM gist_page_items_bytea({page})")
            self.assertEqual([[i["number"], i["ctid"], i["itemlen"], i["dead"]] for i in self.parts(words, "item")],
                             [[r[n] for n in ("itemoffset", "ctid", "itemlen", "dead")] for r in rows])  # fmt: skip
            leaves += "leaf" in self.parts(words, "special area")[0]["flags"]["flags"]
        self.assertIn(leaves, (1, 2))

        words, page = self.words("i_brin", 0)
        (own,) = self.parts(words, "metapage")
        row = self.rows(f"SELECT * FROM brin_metapage_info({page})")[0]
        self.assertEqual([own["version"], own["pagesperrange"], own["lastrevmappage"], f"0x{own['magic']:X}"],
                         [row[n] for n in ("version", "pagesperrange", "lastrevmappage", "magic")])  # fmt: skip
        words, page = self.words("i_brin", 1)
        tids = [r["pages"] for r in self.rows(f"SELECT * FROM brin_revmap_data({page})")]
        ours = {p["number"]: p["pages"] for p in self.parts(words, "range")}
        self.assertEqual(ours, {n: tid for n, tid in enumerate(tids) if not tid.endswith(",0)")})
        words, page = self.words("i_brin", 2)
        rows = self.rows(f"SELECT * FROM brin_page_items({page}, 'i_brin')")
        names = ("blknum", "placeholder") + (("empty",) if "empty" in rows[0] else ())
        self.assertEqual([[i["number"]] + [i[n] for n in names] for i in self.parts(words, "item")],
                         [[r["itemoffset"]] + [r[n] for n in names] for r in rows])  # fmt: skip

        states = set()
        for block in range(1, 8):
            words, page = self.words("i_spgist", block)
            for item in self.parts(words, "item"):
                states.add(item["tupstate"])
                if item["tupstate"] == "live" and "nnodes" in item:
                    self.assertEqual(len(item["nodes"]), item["nnodes"])
            self.assertFalse([p for p in words["parts"] if "note" in p])
        self.assertIn("live", states)

    def test_sequence_map_and_transactions(self):
        words, _ = self.words("s", 0)
        (own,) = self.parts(words, "tuple")
        # 32 values ahead of the one that was logged last.
        self.assertEqual((words["type"], own["last_value"], own["is_called"]), ("sequence", 66, True))
        path = self.cluster.psql("SELECT pg_relation_filepath('same')")
        out = json.loads(self.command(f"{path}_vm/0", "--lsn", self.lsn, "--tuples", "--format", "json"))
        rows = self.rows("SELECT * FROM pg_visibility_map('same')")
        ours = {p["number"]: p for p in self.parts(out, "heap block")}
        for row in rows:
            own = ours.get(row["blkno"], {"all_visible": False, "all_frozen": False})
            self.assertEqual([own["all_visible"], own["all_frozen"]], [row["all_visible"], row["all_frozen"]])
        self.assertTrue(ours)

        xid = int(self.cluster.psql("SELECT xmin FROM t WHERE a = 1"))
        out = json.loads(self.command("pg_xact/0000/0", "--lsn", self.lsn, "--tuples", "--format", "json"))
        status = {p["number"]: p["status"] for p in self.parts(out, "transaction")}
        self.assertEqual(status[xid], self.cluster.psql(f"SELECT pg_xact_status('{xid}')"))
        self.assertIn("aborted", status.values())
        members = json.loads(
            self.command("pg_multixact/members/0000/0", "--lsn", self.lsn, "--tuples", "--format", "json")
        )
        rows = self.rows("SELECT * FROM pg_get_multixact_members('1')")
        ours = [[p["xid"], p["mode"]] for p in self.parts(members, "member")]
        self.assertEqual(ours[: len(rows)], [[int(row["xid"]), row["mode"]] for row in rows])
        self.assertEqual(len(rows), 2)
        text = self.command("pg_multixact/offsets/0000/0", "--lsn", self.lsn, "--tuples")
        self.assertIn("multixact 1: first_member 1\n", text)
        text = self.command("pg_commit_ts/0000/0", "--lsn", self.lsn, "--tuples")
        self.assertIn(f"transaction {xid}: time 2", text)

    def test_diff(self):
        path = self.cluster.psql("SELECT pg_relation_filepath('t')")
        cluster, moments = self.cluster, []
        for query in (
            "CHECKPOINT", "DELETE FROM t WHERE a = 25", "UPDATE t SET b = 'new' WHERE a = 26", "VACUUM t",
        ):  # fmt: skip
            cluster.psql(query)
            moments.append(cluster.psql("SELECT pg_current_wal_insert_lsn()"))
        cluster.psql("CHECKPOINT")
        xid = int(cluster.psql("SELECT min(xmin::text::int) FROM t WHERE a = 26")) - 1

        def diff(a, b, *options, block=0):
            return self.command(f"{path}/{block}", "--diff", f"{a},{b}", *options)

        text = diff(moments[0], moments[1])
        changed = [line for line in text.splitlines() if "tuple 25:" in line]
        self.assertEqual([line[:2] for line in changed], ["- ", "+ "])
        self.assertIn("t_xmax 0", changed[0])
        self.assertIn(f"t_xmax {xid}", changed[1])
        self.assertIn("HEAP_KEYS_UPDATED", changed[1])
        out = json.loads(diff(moments[1], moments[2], "--format", "json"))
        names = {part["part"]: part for part in out["parts"]}
        self.assertIn("HEAP_HOT_UPDATED", names["tuple 26"]["after"]["t_infomask2"]["flags"])
        new = [part for name, part in names.items() if name.startswith("tuple") and part["before"] is None]
        self.assertEqual(new[0]["after"]["t_xmin"], xid + 1)
        self.assertIn("- tuple 25: t_xmin", diff(moments[2], moments[3]))
        self.assertIn("No byte differs.", diff(moments[1], moments[1]))
        # It was not there when the backup was taken.
        self.assertIn("not there\n+++", diff(self.start, moments[0]))
        self.assertIn("- tuple 25: t_xmin", diff(moments[1], moments[0]) + diff(moments[2], moments[3]))
        self.assertRegex(self.command("pg_xact/0000/0", "--diff", f"{moments[0]},{moments[1]}"),
                         rf"\n\+ transaction {xid}: status committed\n")  # fmt: skip

    def test_hex(self):
        path = self.cluster.psql("SELECT pg_relation_filepath('t')")
        text = self.command(f"{path}/0", "--lsn", self.lsn, "--hex")
        out = json.loads(self.command(f"{path}/0", "--lsn", self.lsn, "--hex", "--format", "json"))
        page = bytes.fromhex(out["hex"][2:])
        for part in out["parts"]:
            if part["part"] == "tuple":
                at, length = part["bytes"]["t_xmin"]
                self.assertEqual(struct.unpack_from("<I", page, at)[0], part["fields"]["t_xmin"])
                self.assertIn(f"{at:04x}  {page[at:at + length].hex(' ')}", text)
        lines = [line for line in text.splitlines() if line[:5] == "0018 "]
        self.assertIn("line pointer 1: lp_flags normal", lines[0])

    def test_options_that_do_not_fit_are_refused(self):
        for options, words in (
            (["--diff", "0/1,0/2", "--lsn", "end"], "--lsn"),
            (["--diff", "0/1"], "two LSNs"),
            (["--diff", "0/1,0/2", "--hex"], "--hex"),
            ([], "--lsn or --diff"),
        ):
            result = run_neon_redo("page", "base/5/1/0", "--wal", "/", *options, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main()
