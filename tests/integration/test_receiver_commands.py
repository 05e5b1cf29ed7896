"""WalReceiver's replication commands against a real server (receiver_commands.cpp runs them)."""

import json
import subprocess
import unittest

from cluster import ROOT, Cluster

WAIT = 60


class ReceiverCommands(unittest.TestCase):
    def setUp(self):
        settings = {"wal_level": "logical", "max_prepared_transactions": "2"}
        self.cluster = self.enterContext(Cluster(settings=settings))
        self.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) a")

    def run_program(self, *arguments):
        program = ROOT / "build" / "tests" / "integration" / "receiver_commands"
        environment = {**self.cluster.environment(), "PGAPPNAME": "commands"}
        if "logical" not in arguments:
            del environment["PGDATABASE"]
        self.process = subprocess.Popen(
            [program, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def end():
            self.process.kill()
            self.process.communicate(timeout=WAIT)

        self.addCleanup(end)

    def next(self, step):
        """Returns the result of the next step; the program then waits for go_on."""
        line = json.loads(self.process.stdout.readline())
        self.assertEqual(line.pop("step"), step, line)
        return line

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def step(self, name):
        answer = self.next(name)
        self.go_on()
        return answer

    def slots(self, columns="slot_name"):
        return self.cluster.psql(f"SELECT {columns} FROM pg_replication_slots ORDER BY slot_name")

    def test_physical(self):
        self.run_program()
        server = self.step("identify_system")
        identifier = self.cluster.psql("SELECT system_identifier FROM pg_control_system()")
        self.assertEqual((server["system_identifier"], server["timeline"]), (identifier, 1))
        self.assertRegex(server["flushed"], "[0-9A-F]+/[0-9A-F]+")

        self.assertEqual(self.step("create without WAL")["consistent_point"], "0/0")
        self.assertEqual(self.step("read without WAL"), {"restart": "0/0", "timeline": 0})
        self.assertEqual(self.step("create")["name"], "eager")
        again = self.step("create again")
        self.assertEqual((again["error"], again["sqlstate"]), ("io", "42710"))
        self.assertEqual(again["said"], 'replication slot "eager" already exists')
        restart = self.slots("slot_name, restart_lsn").splitlines()[0].split("|")[1]
        self.assertEqual(self.step("read"), {"restart": restart, "timeline": 1})
        self.next("create temporary")
        self.assertEqual(self.slots("slot_name, temporary"), "eager|f\nlazy|f\npassing|t")
        self.go_on()
        self.assertEqual(self.step("read none"), {"slot": None})
        history = self.step("history of timeline 9")
        self.assertEqual((history["error"], history["sqlstate"]), ("not_found", "58P01"))

        stream = self.step("stream")
        self.assertEqual(stream["start"], restart)
        self.assertLess(abs(stream["age"]), WAIT)
        self.assertTrue(self.next("feedback")["sent"])
        # The walsender has it with the next message it reads; ask the server until then.
        xmin = "SELECT xmin FROM pg_replication_slots WHERE slot_name = 'eager' AND xmin IS NOT NULL"
        self.cluster.psql(
            f"DO $$ BEGIN FOR i IN 1..600 LOOP EXIT WHEN EXISTS ({xmin});"
            " PERFORM pg_sleep(0.1); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
        )
        self.assertEqual(self.cluster.psql(xmin), "3")
        self.go_on()
        self.assertTrue(self.step("end")["ended"])
        self.assertTrue(self.step("drop")["dropped"])
        self.assertTrue(self.step("drop")["dropped"])
        missing = self.next("drop")
        self.assertEqual((missing["dropped"], missing["error"]), (False, "not_found"))
        # The temporary one went with the first refused command (WalSndErrorCleanup).
        self.assertEqual(self.slots(), "")
        self.go_on()
        self.assertEqual(self.process.wait(WAIT), 0)

    def test_logical(self):
        self.run_program("logical")
        created = self.next("create logical")
        self.assertEqual(
            self.slots("slot_name, plugin, two_phase, confirmed_flush_lsn"),
            f"changes|pgoutput|t|{created['consistent_point']}",
        )
        # The snapshot sees what was there when the slot was made, and nothing later.
        self.cluster.psql("DELETE FROM t WHERE a <= 400")
        seen = self.cluster.psql(
            "BEGIN ISOLATION LEVEL REPEATABLE READ;"
            f"SET TRANSACTION SNAPSHOT '{created['snapshot']}'; SELECT count(*) FROM t"
        )
        self.assertEqual(seen, "1000")
        self.go_on()
        refused = self.step("read logical")
        self.assertIn("logical replication slot", refused["message"])
        missing = self.step("create of no plug-in")
        self.assertIn('"no_such_plugin"', missing["message"])
        self.assertTrue(self.next("drop")["dropped"])
        self.assertEqual(self.slots(), "")
        self.go_on()
        self.assertEqual(self.process.wait(WAIT), 0)


if __name__ == "__main__":
    unittest.main()
