"""The redo worker with frames built in Python by docs/protocol.md."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time
import unittest

from cluster import (
    ROOT,
    Cluster,
    CommandFailed,
    copy_module,
    major,
    make_directory,
    neon_redo_program,
    run,
    run_neon_redo,
)

PAGE = 8192
TORTURE = ROOT / "build" / "tests" / "integration" / "worker_torture"

WORKLOAD = """
CREATE TABLE rows (i int PRIMARY KEY, t text);
CREATE UNLOGGED TABLE unlogged (i int PRIMARY KEY);
CHECKPOINT;
INSERT INTO rows SELECT g, 'row ' || g FROM generate_series(1, 1000) g;
UPDATE rows SET t = 'changed' WHERE i % 10 = 0;
CREATE TABLE gone (i int);
INSERT INTO gone SELECT generate_series(1, 1000);
TRUNCATE gone;
DROP TABLE gone;
"""


def frame(kind, payload=b""):
    return kind + struct.pack(">i", len(payload) + 4) + payload


def tag(block):
    return struct.pack(">BIIII", *block)


def begin(block):
    return frame(b"B", tag(block))


def push(block, page):
    return frame(b"P", tag(block) + page)


def apply(end, record):
    return frame(b"A", struct.pack(">Q", end) + record)


def get(block):
    return frame(b"G", tag(block))


PING = frame(b"H")


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def page_lsn(page):
    high, low = struct.unpack_from("=II", page)
    return high << 32 | low


class Wal:
    """Records of a WAL directory as neon-redo waldump lists them, with their bytes."""

    FORKS = {"main": 0, "fsm": 1, "vm": 2, "init": 3}

    def __init__(self, directory):
        self.directory = directory
        lines = run_neon_redo("waldump", "--wal", directory, "--format", "json").stdout.splitlines()
        self.records = [json.loads(line) for line in lines]
        self.segment = 16 * 1024 * 1024
        for record in self.records:
            record["end"] = lsn(record["end_lsn"])
            for block in record["blocks"]:
                block["tag"] = (
                    self.FORKS[block["fork"]],
                    block["tablespace"],
                    block["database"],
                    block["relation"],
                    block["block"],
                )

    def bytes(self, record):
        """The record without the page headers in between (XLogPageHeaderData: 24 bytes, 40 at the
        start of a segment)."""
        position, out = lsn(record["lsn"]), b""
        while len(out) < record["length"]:
            offset = position % self.segment
            if offset % PAGE == 0:
                position += 40 if offset == 0 else 24
                continue
            size = min(PAGE - offset % PAGE, record["length"] - len(out))
            name = f"00000001{position >> 32:08X}{(position & 0xFFFFFFFF) // self.segment:08X}"
            with open(os.path.join(self.directory, name), "rb") as file:
                file.seek(offset)
                out += file.read(size)
            position += size
        return out

    def find(self, accept):
        """The first record with a block for which accept(record, block) is true."""
        for record in self.records:
            for block in record["blocks"]:
                if accept(record, block):
                    return record, block["tag"]
        raise LookupError("no such record in the WAL")

    def history(self, accept, count):
        """The first block that a record initialises so that accept likes it, with that record and
        the next ones on the block."""
        record, block = self.find(
            lambda r, b: (b["will_init"] or b.get("image_applies")) and accept(r, b)
        )
        found = []
        for later in self.records[self.records.index(record) :]:
            if any(b["tag"] == block for b in later["blocks"]):
                found.append(later)
        return block, found[:count]

    def applies(self, records):
        return b"".join(apply(r["end"], self.bytes(r)) for r in records)


class Worker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.module = copy_module(cls.directory)
        with Cluster(settings={"autovacuum": "off"}) as cluster:
            cluster.psql(WORKLOAD)
            cluster.stop()
            cls.wal_directory = os.path.join(cls.directory, "wal")
            shutil.copytree(cluster.wal, cls.wal_directory)
        cls.wal = Wal(cls.wal_directory)
        cls.heap, cls.heap_records = cls.wal.history(
            lambda r, b: r["resource_manager"] == "Heap" and b["fork"] == "main" and b["relation"] >= 16384, 20
        )
        cls.good = begin(cls.heap) + cls.wal.applies(cls.heap_records) + get(cls.heap)
        cls.page = run(
            [neon_redo_program(), "worker", "--module", cls.module], input=cls.good, text=False
        ).stdout

    def command(self, *arguments):
        return [neon_redo_program(), "worker", "--module", self.module, *arguments]

    def ask(self, frames, *arguments):
        """Sends all input at once; returns exit status, answers and stderr."""
        result = subprocess.run(
            self.command(*arguments), input=frames, capture_output=True, check=False, timeout=60
        )
        return result.returncode, result.stdout, result.stderr.decode()

    def answers(self, frames, count, *arguments):
        status, out, err = self.ask(frames, *arguments)
        self.assertEqual((status, err, len(out)), (0, "", count * PAGE))
        return [out[at : at + PAGE] for at in range(0, len(out), PAGE)]

    def assert_refused(self, frames, message, record=None, answers=()):
        """The worker says message and ends with an error status; with a record, it names it.

        answers: of the good requests in front.
        """
        status, out, err = self.ask(frames)
        self.assertIn(message, err)
        self.assertEqual(status, 1, err)
        self.assertTrue(b"".join(answers) == out, f"{len(out)} bytes of answers; {err}")
        if record:
            self.assertIn(f"ends at {record['end_lsn']} ", err)
            self.assertIn(f"resource manager {record['resource_manager']},", err)

    # What is answered.

    def test_nothing_asked(self):
        self.answers(b"", 0)

    def test_ping(self):
        self.assertEqual(self.answers(PING * 3, 3), [bytes(PAGE)] * 3)

    def test_arguments_of_neon_are_ignored(self):
        self.answers(PING, 1, "--wal-redo", "--tenant-shard-id", "1234-0001", "--other=x")

    def test_page_without_base(self):
        (page,) = self.answers(self.good, 1)
        self.assertEqual(page_lsn(page), self.heap_records[-1]["end"])

    def test_base_image_is_the_same_as_its_records(self):
        """A page rebuilt in two requests, the second on the answer of the first."""
        half = len(self.heap_records) // 2
        first = begin(self.heap) + self.wal.applies(self.heap_records[:half]) + get(self.heap)
        whole, base = self.answers(self.good + first, 2)
        second = self.wal.applies(self.heap_records[half:])
        (page,) = self.answers(begin(self.heap) + push(self.heap, base) + second + get(self.heap), 1)
        self.assertEqual(page, whole)
        (page,) = self.answers(begin(self.heap) + push(self.heap, base) + get(self.heap), 1)
        self.assertEqual(page, base)

    def test_every_fork_and_index(self):
        frames, ends = b"", []
        for rmgr, fork in (("Btree", "main"), ("XLOG", "init"), ("Heap", "main")):
            block, records = self.wal.history(
                lambda r, b: r["resource_manager"] == rmgr and b["fork"] == fork, 3  # noqa: B023
            )
            frames += begin(block) + self.wal.applies(records) + get(block)
            ends.append(records[-1]["end"])
        self.assertEqual([page_lsn(p) for p in self.answers(frames, len(ends))], ends)

    def test_pipelined_without_limit(self):
        """Megabytes of requests before the first answer is read."""
        with subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as worker:

            def write():
                worker.stdin.write((self.good + PING) * 3000)
                worker.stdin.close()

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(0.5)
            out = worker.stdout.read()
            writer.join()
        self.assertEqual(worker.returncode, 0)
        (page,) = self.answers(self.good, 1)
        self.assertTrue(out == (page + bytes(PAGE)) * 3000)

    def test_answers_are_not_held_back(self):
        """Requests whose bytes arrive in pieces of any size."""
        with subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as worker:
            for _ in range(3):
                for at in range(0, len(self.good), 97):
                    worker.stdin.write(self.good[at : at + 97])
                got = b""
                while len(got) < PAGE:
                    got += worker.stdout.read(PAGE - len(got))
                self.assertEqual(page_lsn(got), self.heap_records[-1]["end"])
            worker.stdin.close()
        self.assertEqual(worker.returncode, 0)

    def test_ping_within_a_request(self):
        split = len(begin(self.heap))
        page, _ = self.answers(self.good + PING, 2)
        zero, again = self.answers(self.good[:split] + PING + self.good[split:], 2)
        self.assertEqual((zero, again), (bytes(PAGE), page))

    # What is refused.

    def test_unknown_type(self):
        self.assert_refused(frame(b"X"), "type is not B, P, A, G or H")
        self.assert_refused(self.good + frame(b"b", tag(self.heap)), "type is not", answers=[self.page])

    def test_bad_lengths(self):
        for kind, size in ((b"B", 17), (b"P", 17 + PAGE), (b"G", 17), (b"H", 0)):
            for wrong in (size - 1, size + 1):
                if wrong >= 0:
                    frames = begin(self.heap) + frame(kind, bytes(wrong))
                    self.assert_refused(frames, "length does not fit the type")
        for claim in (0, 3, 4, 12, 0x40000010, 0x7FFFFFFF, 0xFFFFFFFF):
            frames = begin(self.heap) + b"A" + struct.pack(">I", claim) + bytes(100)
            self.assert_refused(frames, "length of A")
        self.assert_refused(b"H" + struct.pack(">I", 0), "length does not fit the type")

    def test_end_inside_a_frame(self):
        for cut in (1, 3, 30, len(self.good) - 1):
            self.assert_refused(self.good[:cut], "the input ends inside a frame")

    def test_order(self):
        before = "before B"
        self.assert_refused(get(self.heap), before)
        self.assert_refused(self.wal.applies(self.heap_records[:1]), before)
        self.assert_refused(push(self.heap, bytes(PAGE)), before)
        self.assert_refused(self.good + get(self.heap), before, answers=[self.page])
        self.assert_refused(begin(self.heap) + get(self.heap), "no page was pushed")

    def test_other_blocks_tag(self):
        for at in range(5):
            other = list(self.heap)
            other[at] = (other[at] + 1) % 4 if at == 0 else other[at] + 1
            differs = "differs from that of the last B"
            self.assert_refused(begin(other) + push(self.heap, bytes(PAGE)), differs)
            frames = begin(other) + push(other, bytes(PAGE)) + get(self.heap)
            self.assert_refused(frames, differs)
        self.assert_refused(begin((4, *self.heap[1:])), "fork does not exist")

    def test_nothing_outlives_an_answer_or_a_begin(self):
        other = (*self.heap[:4], self.heap[4] + 1)
        (page,) = self.answers(self.good, 1)
        pushed = begin(self.heap) + push(self.heap, page)
        for frames in (pushed + begin(other) + get(other), pushed + begin(self.heap) + get(self.heap)):
            self.assert_refused(frames, "no page was pushed")

    def test_damaged_record(self):
        record = self.heap_records[0]
        good = self.wal.bytes(record)

        def refused(bytes_, message):
            self.assert_refused(begin(self.heap) + apply(record["end"], bytes_), message, record)

        flipped = bytearray(good)
        flipped[-1] ^= 1
        refused(bytes(flipped), "checksum is wrong")
        differs = "length differs from that of its frame"
        refused(good + b"\0", differs)
        refused(good[:-1], differs)
        status, out, err = self.ask(begin(self.heap) + apply(record["end"], good[:10]))
        self.assertEqual((status, out), (1, b""))
        self.assertIn("record", err)

    def test_record_of_another_block(self):
        record, _ = self.wal.find(
            lambda r, b: b["tag"] != self.heap and all(c["tag"] != self.heap for c in r["blocks"])
            and r["resource_manager"] == "Btree"
        )
        frames = begin(self.heap) + push(self.heap, bytes(PAGE)) + self.wal.applies([record])
        self.assert_refused(frames, "does not refer to the block", record)

    def test_first_record_that_needs_a_page(self):
        record = self.heap_records[1]
        self.assertFalse(record["blocks"][0]["will_init"])
        frames = begin(self.heap) + self.wal.applies([record]) + get(self.heap)
        self.assert_refused(frames, "no base image", record)

    def test_records_that_concern_files(self):
        seen = set()
        for record in self.wal.records:
            kind = record["resource_manager"], record["operation"]
            if record["resource_manager"] in ("Storage", "Transaction", "Standby") or kind == ("Heap", "TRUNCATE"):
                if kind not in seen:
                    frames = begin(self.heap) + push(self.heap, bytes(PAGE))
                    frames += self.wal.applies([record])
                    self.assert_refused(frames, "change no relation page, or write files", record)
                seen.add(kind)
        self.assertIn(("Storage", "CREATE"), seen)

    def test_only_whole_answers_before_a_failed_request(self):
        bad = bytearray(self.wal.bytes(self.heap_records[0]))
        bad[30] ^= 0x40
        frames = self.good * 5 + begin(self.heap) + apply(1, bytes(bad)) + get(self.heap) + self.good
        self.assert_refused(frames, "checksum is wrong", answers=[self.page] * 5)

    # Under torture.

    def torture(self, what, count):
        wal = os.path.join(self.directory, "bench_wal")
        if not os.path.exists(wal):
            run([ROOT / "tests" / "bench" / "make_wal.py", wal])
        return json.loads(run([TORTURE, what, wal, self.module, count]).stdout)

    def test_flipped_bytes(self):
        """No flipped byte in a record yields a page, and the next answer is right."""
        # Each costs the launch of a worker. What refuses them is the same code in every version.
        flips = 10000 if major() == 15 else 1000
        self.assertEqual(
            self.torture("flips", flips),
            {"flips": flips, "refused": flips, "answered_right": 0, "answered_wrong": 0, "next_wrong": 0},
        )

    def test_killed_at_random_moments(self):
        result = self.torture("kills", 200)
        self.assertEqual((result["kills"], result["wrong"]), (200, 0))
        self.assertLessEqual(result["errors"], 200)
        self.assertGreaterEqual(result["requests"] - result["errors"], 800)

    # As a process.

    def test_leaves_nothing_behind(self):
        """The home is removed however the worker ends, at any moment of its launch."""
        home = os.path.join(self.directory, "home")
        os.mkdir(home)
        os.chmod(home, 0o777)
        rng = random.Random(15)
        environment = {**os.environ, "TMPDIR": home}
        for delay in [0, 0.001] + [rng.uniform(0, 0.02) for _ in range(20)]:
            with subprocess.Popen(
                self.command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
            ) as worker:
                time.sleep(delay)
                worker.send_signal(rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
                worker.wait(10)
        deadline = time.monotonic() + 10
        # A launcher killed before its cleaner is there leaves its home to the next launch.
        subprocess.run(self.command(), input=PING, capture_output=True, env=environment, check=True)
        while os.listdir(home) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(os.listdir(home), [])

    def test_home_is_gone_once_it_answers(self):
        home = os.path.join(self.directory, "home_once")
        os.mkdir(home)
        os.chmod(home, 0o777)
        with subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "TMPDIR": home},
        ) as worker:
            worker.stdin.write(PING)
            worker.stdout.read(1)
            deadline = time.monotonic() + 10
            while os.listdir(home) and time.monotonic() < deadline:
                time.sleep(0.001)
            self.assertEqual(os.listdir(home), [])
            descriptors = os.listdir(f"/proc/{worker.pid}/fd") if os.geteuid() == 0 else "012"
            self.assertEqual(sorted(descriptors), ["0", "1", "2"])
            children = f"/proc/{worker.pid}/task/{worker.pid}/children"
            with open(children, encoding="ascii") as file:
                self.assertEqual(file.read(), "")

    def test_sandbox_off_says_so(self):
        status, out, err = self.ask(PING, "--no-sandbox")
        self.assertEqual((status, len(out)), (0, PAGE))
        self.assertIn("without its sandbox", err)

    def test_usage_errors(self):
        for arguments, message in (
            (["--bindir", "/nonexistent"], "--bindir"),
            (["--user", "nobody-of-that-name"], "nobody-of-that-name"),
        ):
            if "--user" in arguments and os.geteuid() != 0:
                continue
            with self.assertRaises(CommandFailed) as caught:
                run(self.command(*arguments))
            self.assertEqual(caught.exception.returncode, 2)
            self.assertIn(message, caught.exception.stderr)
            self.assertEqual(caught.exception.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
