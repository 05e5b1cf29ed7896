"""The scripts and units in contrib/, with the real pgBackRest and Barman: a backup that is not whole lets
nothing expire."""

import configparser
import glob
import json
import os
import pathlib
import re
import shlex
import shutil
import unittest

from backup_tools import Barman, PgBackRest, need, write_native_program
from cluster import ROOT, Cluster, neon_redo_program, run

CONTRIB = ROOT / "contrib"
SETTINGS = {"wal_level": "replica", "archive_mode": "on", "autovacuum": "off"}
SCHEMA = "CREATE TABLE t AS SELECT g a, repeat('x', 200) b FROM generate_series(1, 20000) g"


class Contrib(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster(settings=SETTINGS))
        self.cluster.psql(SCHEMA)
        # Where the server's user may run and write it: the tree may be below /root.
        self.bin = self.make("bin")
        shutil.copy(neon_redo_program(), f"{self.bin}/program")
        write_native_program(self.bin, f"{self.bin}/program")
        for script in CONTRIB.glob("*-*"):
            shutil.copy(script, self.bin)
        run(["chmod", "-R", "a+rX", self.bin])
        self.reports = self.make("reports")

    def make(self, name):
        path = os.path.join(self.cluster.directory, name)
        self.cluster.run_as_server(["mkdir", path])
        return path

    def with_path(self, *settings):
        return ["env", f"PATH={self.bin}:{os.environ['PATH']}", "NEON_REDO_RETRY_SECONDS=0.1", *settings]

    def statuses(self):
        """Of the reports, in the order of their names, each of which stands beside a page."""
        files = sorted(pathlib.Path(self.reports).glob("*.json"))
        self.assertTrue(all(file.with_suffix(".html").exists() for file in files))
        return [json.loads(file.read_text("utf-8"))["status"] for file in files]

    def damage(self, path):
        with open(path, "r+b") as file:
            file.seek(8192 * 10 + 3000)
            file.write(b"XYZ")

    def test_pgbackrest(self):
        need(self, "pgbackrest")
        tool = PgBackRest(self.cluster, repo1_retention_full=1)
        self.addCleanup(shutil.rmtree, tool.directory)
        script = [f"{self.bin}/pgbackrest-verified-backup", "main", tool.repository, self.reports]
        command = [*self.with_path(f"PGBACKREST_CONFIG={tool.configuration}"), *script, "--type=full"]
        labels = lambda: sorted(pathlib.Path(n).name for n in glob.glob(f"{tool.stanza}/*F"))
        self.cluster.run_as_server(command)
        [first] = labels()
        self.cluster.run_as_server(command)  # the first one expires
        [second] = labels()
        self.assertNotEqual(first, second)
        # The cluster itself is damaged, and so is what is backed up: nothing expires.
        path = self.cluster.psql("SELECT pg_relation_filepath('t')")
        self.cluster.psql("CHECKPOINT")
        self.damage(os.path.join(self.cluster.data, path))
        result = self.cluster.run_as_server(command, check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(len(labels()), 2)
        self.assertIn(second, labels())
        self.assertEqual(self.statuses(), [0, 0, 1])

    def test_barman(self):
        need(self, "barman")
        hook = " ".join([*self.with_path(), f"{self.bin}/barman-verify-hook", self.reports])
        packed = {"backup_compression": "gzip"}
        tool = Barman(self.cluster, post_backup_script=hook, pre_delete_retry_script=hook, **packed)
        first = tool.backup()
        # The others are plain, so that one of their files can be damaged.
        configuration = pathlib.Path(tool.configuration)
        configuration.write_text(configuration.read_text("utf-8").replace("backup_compression = gzip", ""), "utf-8")
        name = os.path.basename(first)
        self.assertEqual(self.statuses(), [0])
        self.assertTrue(os.path.exists(f"{self.reports}/main-{name}.proven"))
        delete = lambda: tool.run("delete", "main", name, check=False)
        delete()  # there is no other backup
        self.assertTrue(os.path.isdir(first))
        # A damaged one is no reason to delete an older one. The hook is called as Barman calls it.
        second = tool.backup()
        self.assertEqual(self.statuses(), [0, 0])
        proven = f"{self.reports}/main-{os.path.basename(second)}.proven"
        self.assertTrue(os.path.exists(proven))
        self.damage(os.path.join(second, "data", self.cluster.psql("SELECT pg_relation_filepath('t')")))
        names = {"SERVER": "main", "PHASE": "post", "HOOK": "backup_script", "STATUS": "DONE"}
        names |= {"BACKUP_DIR": second, "BACKUP_ID": os.path.basename(second)}
        call = lambda **changed: self.cluster.run_as_server(
            ["env", *(f"BARMAN_{name}={value}" for name, value in (names | changed).items()), *hook.split()], check=False
        )
        result = call()
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(self.statuses(), [0, 1])
        self.assertFalse(os.path.exists(proven))
        result = call(PHASE="pre")
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn("not a hook of this script: pre backup_script", result.stderr)
        delete()
        self.assertTrue(os.path.isdir(first))
        tool.backup()
        delete()
        self.assertFalse(os.path.isdir(first))

    def test_service(self):
        """What the unit starts, with the values of its variables."""
        service = self.unit("neon-redo-verify@.service")["Service"]
        state = self.make("state")
        os.mkdir(f"{state}/neon-redo")
        key = f"{self.bin}/key.pem"
        run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key])
        values = {
            "${BASE_BACKUP}": self.cluster.basebackup("base"),
            "${WAL}": self.cluster.wal,
            "${REPORT_KEY}": key,
            "%i": "main",
            "%S": state,
            "/usr/local/bin/": f"{self.bin}/",
        }
        words = [re.sub("|".join(map(re.escape, values)), lambda m: values[m[0]], w) for w in shlex.split(service["ExecStart"])]
        run(words)
        self.assertEqual(
            sorted(os.listdir(f"{state}/neon-redo")), ["main.html", "main.html.sig", "main.json", "main.json.sig"]
        )
        self.assertEqual(service["Type"], "oneshot")
        timer = self.unit("neon-redo-verify@.timer")
        self.assertEqual(timer["Install"]["WantedBy"], "timers.target")
        self.assertIn("OnCalendar", timer["Timer"])

    def unit(self, name):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str
        parser.read(CONTRIB / name, "utf-8")
        return parser


if __name__ == "__main__":
    unittest.main()
