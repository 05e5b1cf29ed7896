"""The redo manager with real servers: page-server records are compared with a server's files, captured
requests are repeated, and real workers are killed and stopped during requests."""

import collections
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import unittest

from cluster import (
    ROOT,
    Cluster,
    copy_module,
    make_directory,
    neon_redo_program,
    run,
    run_neon_redo,
)

PAGE = 8192
PAGES_PER_SEGMENT = 32
HEAP_BLOCKS_PER_MAP_PAGE = (PAGE - 24) * 4
TORTURE = ROOT / "build" / "tests" / "integration" / "manager_torture"
MEMBER_STATUS = {"keysh": 0, "sh": 1, "fornokeyupd": 2, "forupd": 3, "nokeyupd": 4, "upd": 5}
CLOG, MEMBERS, OFFSETS = 0, 1, 2
SLRU_DIRECTORY = {CLOG: "pg_xact", MEMBERS: "pg_multixact/members", OFFSETS: "pg_multixact/offsets"}

# Transactions and subtransactions that commit and abort beyond a page of pg_xact (32,768), and
# multixacts beyond a page of offsets (2,048) and of members (1,636).
TRANSACTIONS = """
CREATE TABLE t (i int PRIMARY KEY, v int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) g;
DO $$ BEGIN
  FOR i IN 1..20000 LOOP
    BEGIN INSERT INTO t VALUES (-i, 0); EXCEPTION WHEN unique_violation THEN NULL; END;
  END LOOP;
END $$;
DO $$ BEGIN
  FOR i IN 1..20000 LOOP
    BEGIN
      INSERT INTO t VALUES (-30000 - i, 0);
      IF i % 3 = 0 THEN RAISE unique_violation; END IF;
    EXCEPTION WHEN unique_violation THEN NULL; END;
  END LOOP;
END $$;
BEGIN; INSERT INTO t VALUES (90001, 0); PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one';
BEGIN; INSERT INTO t VALUES (90002, 0); PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';
DO $$ BEGIN
  FOR n IN 1..3000 LOOP
    PERFORM 1 FROM t WHERE i = n FOR SHARE;
    BEGIN UPDATE t SET v = 1 WHERE i = n; EXCEPTION WHEN unique_violation THEN NULL; END;
  END LOOP;
END $$;
"""


def key_of_block(spc, db, rel, fork, block):
    return struct.pack(">BIIIBI", 0, spc, db, rel, fork, block).hex().upper()


def key_of_slru(kind, page):
    segment, block = divmod(page, PAGES_PER_SEGMENT)
    return struct.pack(">BIIIBI", 1, kind, 1, segment, 0, block).hex().upper()


def wal_records(directory):
    lines = run_neon_redo("waldump", "--wal", directory, "--format", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


class PageServerRecords:
    """The page-server records that a page server would make from WAL, by page."""

    def __init__(self):
        self.pages = collections.defaultdict(list)  # (kind, page) to records

    def add_slru(self, kind, page, lsn, text):
        self.pages[kind, page].append(f"record: {lsn} {text}")

    def add_transaction(self, record):
        operation, text = record["operation"].split("+")[0], record["description"]
        xids = [record["xid"]]
        if operation.endswith("_PREPARED"):
            xids = [int(text.split(":")[0])]
        if match := re.search(r"; subxacts:((?: \d+)+)", text):
            xids += [int(word) for word in match[1].split()]
        by_page = collections.defaultdict(list)
        for xid in xids:
            if xid:
                by_page[xid // 32768].append(str(xid))
        for page, group in by_page.items():
            name = "ClogSetCommitted 1" if operation.startswith("COMMIT") else "ClogSetAborted"
            self.add_slru(CLOG, page, record["end_lsn"], f"{name} {' '.join(group)}")

    def add_multixact(self, record):
        match = re.match(r"(\d+) offset (\d+) nmembers (\d+): (.*)", record["description"])
        multixact, offset, count = (int(match[i]) for i in (1, 2, 3))
        members = re.findall(r"(\d+) \((\w+)\)", match[4])
        assert len(members) == count, record
        # Servers from 15.16 on also write where the next one's members begin.
        for mid, start in ((multixact, offset), (multixact + 1, offset + count)):
            text = f"MultixactOffsetCreate {mid} {start}"
            self.add_slru(OFFSETS, mid // 2048, record["end_lsn"], text)
        by_page = collections.defaultdict(list)
        for i, (xid, status) in enumerate(members):
            by_page[(offset + i) // 1636].append((offset + i, xid, MEMBER_STATUS[status]))
        for page, group in by_page.items():
            words = " ".join(f"{xid} {status}" for _, xid, status in group)
            text = f"MultixactMembersCreate {group[0][0]} {words}"
            self.add_slru(MEMBERS, page, record["end_lsn"], text)


class ManagerTestCase(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(shutil.rmtree, self.directory)
        self.serial = 0

    def capture(self, key, base, lines, data=b""):
        """Writes a capture file, as a manager does."""
        self.serial += 1
        path = pathlib.Path(self.directory, f"{self.serial}.redo")
        head = ["neon-redo capture 1", "error: none", f"key: {key}", "lsn: 0/1", "kind: read"]
        head += [f"base: {len(base)}", *lines, "", ""]
        path.write_bytes("\n".join(head).encode() + base + data)
        return path

    def replayed(self, key, base, lines):
        """The page after the records."""
        out = pathlib.Path(self.directory, "page")
        run_neon_redo("replay", "--write-page", out, self.capture(key, base, lines))
        return out.read_bytes()


class RecordsOfThePageServer(ManagerTestCase):
    """Pages built from page-server records equal those of the server that wrote the WAL."""

    def test_transactions_and_multixacts(self):
        with Cluster(settings={"max_prepared_transactions": 5, "autovacuum": "off"}) as cluster:
            cluster.psql("CHECKPOINT")
            cluster.stop()
            before = pathlib.Path(self.directory, "before")
            for directory in SLRU_DIRECTORY.values():
                shutil.copytree(os.path.join(cluster.data, directory), before / directory)
            cluster.start()
            first = cluster.wal_lsn()
            cluster.psql(TRANSACTIONS)
            cluster.stop()
            native = PageServerRecords()
            for record in wal_records(os.path.join(cluster.data, "pg_wal")):
                if self.lsn(record["lsn"]) < self.lsn(first):
                    continue
                operation = record["operation"].split("+")[0]
                if record["resource_manager"] == "Transaction" and operation.startswith(("COMMIT", "ABORT")):
                    native.add_transaction(record)
                elif record["resource_manager"] == "MultiXact" and operation == "CREATE_ID":
                    native.add_multixact(record)
            pages = collections.Counter(kind for kind, _ in native.pages)
            self.assertGreaterEqual(pages[CLOG], 2)
            self.assertGreaterEqual(pages[OFFSETS], 2)
            self.assertGreaterEqual(pages[MEMBERS], 3)
            for (kind, page), lines in native.pages.items():
                base = self.slru_page(before, kind, page) or bytes(PAGE)
                rebuilt = self.replayed(key_of_slru(kind, page), base, lines)
                expected = self.slru_page(cluster.data, kind, page)
                self.assertEqual(rebuilt[:PAGE], expected, f"{SLRU_DIRECTORY[kind]} page {page}")
                committed = kind == CLOG and any("SetCommitted" in line for line in lines)
                self.assertEqual(rebuilt[PAGE:], struct.pack(">q", 1) if committed else b"")

    def test_visibility_map(self):
        with Cluster(settings={"autovacuum": "off"}) as cluster:
            cluster.psql(
                "CREATE TABLE v (i int, pad char(1000));"
                "INSERT INTO v SELECT g, 'x' FROM generate_series(1, 2000) g;"
                "VACUUM (FREEZE) v; CHECKPOINT"
            )
            path = cluster.psql("SELECT pg_relation_filepath('v')").strip()
            file = os.path.join(cluster.data, path + "_vm")
            base = pathlib.Path(file).read_bytes()[:PAGE]
            first = cluster.wal_lsn()
            cluster.psql(
                "DELETE FROM v WHERE i = 5; UPDATE v SET i = i WHERE i = 900;"
                "UPDATE v SET i = i WHERE i % 200 = 1; INSERT INTO v VALUES (3000, 'y');"
                "SELECT 1 FROM v WHERE i = 1234 FOR UPDATE;"
            )
            cluster.stop()
            relation = int(path.split("/")[-1])
            lines, tag = [], None
            for record in wal_records(os.path.join(cluster.data, "pg_wal")):
                heap = record["resource_manager"] == "Heap" and self.lsn(record["lsn"]) >= self.lsn(first)
                if not heap or record["blocks"][0]["relation"] != relation:
                    continue
                block = record["blocks"][0]
                tag = (block["tablespace"], block["database"], relation, 2, 0)
                if cleared := self.cleared_flags(record):
                    new, old, flags = cleared
                    lines.append(
                        f"record: {record['end_lsn']} ClearVisibilityMapFlags {new} {old} {flags}"
                    )
            self.assertGreater(len(lines), 5)
            rebuilt = self.replayed(key_of_block(*tag), base, lines)
            expected = pathlib.Path(file).read_bytes()[:PAGE]
            self.assertNotEqual(base[24:], expected[24:])
            # Clearing bits does not change LSN and checksum on the server; the page server stamps
            # the LSN.
            self.assertEqual(rebuilt[10:], expected[10:])

    def test_truncated_visibility_map(self):
        with Cluster(settings={"autovacuum": "off"}) as cluster:
            cluster.psql(
                "CREATE TABLE v (i int, pad char(1000));"
                "INSERT INTO v SELECT g, 'x' FROM generate_series(1, 2000) g;"
                "VACUUM (FREEZE) v; CHECKPOINT"
            )
            path = cluster.psql("SELECT pg_relation_filepath('v')").strip()
            file = os.path.join(cluster.data, path + "_vm")
            base = pathlib.Path(file).read_bytes()[:PAGE]
            cluster.psql("DELETE FROM v WHERE i > 700; VACUUM (FREEZE) v; CHECKPOINT")
            blocks = int(cluster.psql("SELECT pg_relation_size('v') / 8192"))
            cluster.stop()
            self.assertLess(blocks, 150)
            spc_db_rel = [1663, *map(int, path.split("/")[1:])]
            line = f"record: 0/5000000 TruncateVisibilityMap {blocks // 4} {blocks % 4 * 2}"
            rebuilt = self.replayed(key_of_block(*spc_db_rel, 2, 0), base, [line])
            expected = pathlib.Path(file).read_bytes()[:PAGE]
            self.assertNotEqual(base[24:], expected[24:])
            self.assertEqual(rebuilt[24:], expected[24:])

    @staticmethod
    def cleared_flags(record):
        """New and old heap block and the bits to clear, as in heap_xlog_insert and the other redo routines."""
        flags = [int(word, 16) for word in re.findall(r"flags:? 0x([0-9A-F]{2})", record["description"])]
        operation = record["operation"].split("+")[0]
        # Newer minor releases of 17 and 18 name the map's page as well.
        blocks = [block["block"] for block in record["blocks"] if block["fork"] == "main"]
        if operation in ("INSERT", "DELETE") and flags[0] & 1:
            return (blocks[0], "-", 3) if operation == "INSERT" else ("-", blocks[0], 3)
        if operation in ("UPDATE", "HOT_UPDATE") and flags[0] & 3:
            old = blocks[1] if len(blocks) > 1 else blocks[0]
            return (blocks[0] if flags[0] & 2 else "-", old if flags[0] & 1 else "-", 3)
        if operation == "LOCK" and flags[0] & 1:  # the frozen bit only
            return "-", blocks[0], 2
        return None

    @staticmethod
    def lsn(text):
        high, low = text.split("/")
        return int(high, 16) << 32 | int(low, 16)

    @staticmethod
    def slru_page(data, kind, page):
        segment, block = divmod(page, PAGES_PER_SEGMENT)
        path = pathlib.Path(data, SLRU_DIRECTORY[kind], f"{segment:04X}")
        if not path.exists():
            return None
        return path.read_bytes()[block * PAGE : (block + 1) * PAGE] or None


class Captures(ManagerTestCase):
    """neon-redo replay."""

    KEY = key_of_block(1663, 5, 16384, 2, 0)

    def test_shows_records_and_pages(self):
        page = bytearray(b"\xff" * PAGE)
        line = "record: 0/8 ClearVisibilityMapFlags 1 - 3"
        result = run_neon_redo("replay", self.capture(self.KEY, bytes(page), [line]))
        for part in (
            "block 0 of 1663/5/16384 (vm fork)",
            "before   LSN FFFFFFFF/FFFFFFFF",
            "ClearVisibilityMapFlags new heap block 1, old heap block none, flags 0x03",
            "after    LSN 0/8",
            "changed bytes 0-7 24-24",
            "The request succeeds now.",
        ):
            self.assertIn(part, result.stdout)

    def test_failing_again_is_exit_status_1(self):
        line = "record: 0/8 ClearVisibilityMapFlags 99999999 - 3"
        result = run_neon_redo("replay", self.capture(self.KEY, bytes(PAGE), [line]), check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("heap block 99999999 is on block", result.stdout)

    def test_what_is_no_capture_is_exit_status_2(self):
        good = self.capture(self.KEY, bytes(PAGE), ["record: 0/8 ClogSetAborted 5"]).read_bytes()
        bad = pathlib.Path(self.directory, "bad")
        for content in (b"", b"x", good[:40], good[:-1], good + b"x", good.replace(b" 5", b" x", 1)):
            bad.write_bytes(content)
            result = run_neon_redo("replay", bad, check=False)
            self.assertEqual(result.returncode, 2, content[:200])
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        result = run_neon_redo("replay", "/nonexistent", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("/nonexistent", result.stderr)


class RealWorkers(ManagerTestCase):
    @classmethod
    def setUpClass(cls):
        directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, directory)
        cls.wal = pathlib.Path(directory, "wal")
        run([ROOT / "tests" / "bench" / "make_wal.py", cls.wal])

    def test_chaos(self):
        """The short form; manager_torture WAL MODULE 100000 is the long one."""
        captures = pathlib.Path(self.directory, "captures")
        captures.mkdir()
        requests = int(os.environ.get("NEON_REDO_CHAOS_REQUESTS", "5000"))
        module = copy_module(self.directory)
        homes = make_directory()
        self.addCleanup(shutil.rmtree, homes)
        command = [TORTURE, self.wal, module, str(requests), captures]
        result = run(command, env={**os.environ, "TMPDIR": homes})
        report = json.loads(result.stdout)
        print(report)
        self.assertEqual(report["right"] + report["errors"], requests)
        left = ("descriptors_left", "threads_left", "shared_mappings_left")
        for nothing in ("wrong", "late", "other_errors", *left, "shared_mappings_of_worker"):
            self.assertEqual(report[nothing], 0, report)
        self.assertEqual(os.listdir(homes), [])  # they lie in /dev/shm otherwise
        self.assertFalse(report["children_left"])
        self.assertGreater(report["kills"] + report["stops"], 5)
        self.assertGreater(report["right"], requests * 0.5)
        # What failed for the chaos alone succeeds when it is run again.
        kept = sorted(captures.iterdir())
        self.assertGreater(len(kept), 0)
        self.assertEqual(len(kept), min(report["errors"], 100))
        for capture in kept[:3]:
            result = run_neon_redo("replay", "--module", module, capture)
            self.assertIn("The request succeeds now.", result.stdout)

    def test_gdb_gets_the_worker(self):
        captures = pathlib.Path(self.directory, "captures")
        captures.mkdir()
        module = copy_module(self.directory)
        report = {"errors": 0}
        while report["errors"] == 0:
            report = json.loads(run([TORTURE, self.wal, module, "1000", captures]).stdout)
        capture = next(captures.iterdir())
        result = subprocess.run(
            [neon_redo_program(), "replay", "--gdb", "--module", module, capture],
            input="set confirm off\nrun\nquit\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertIn("exited normally", result.stdout, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
