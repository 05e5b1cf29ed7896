"""neon-redo verify --report: what the JSON and the page say, that they are written whatever is found, and
that their signatures can be verified."""

import json
import os
import pathlib
import re
import shutil
import stat
import time
import unittest

import browser
from backup_tools import write_native_program
from cluster import ROOT, Cluster, neon_redo_program, run, run_neon_redo

BLOCK = 8192
SETTINGS = {
    "wal_level": "replica",
    "wal_keep_size": "1GB",
    "autovacuum": "off",
    "wal_consistency_checking": "all",  # for --images
}
SCHEMA = """
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g;
CREATE TABLE cold AS SELECT g a, repeat('y', 100) b FROM generate_series(1, 70000) g;
CREATE TABLE gone AS SELECT generate_series(1, 1000) a;
"""
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.\x1b]"
VALIDATE = """
import json, sys
import jsonschema
schema, *reports = [json.load(open(path)) for path in sys.argv[1:]]
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for report in reports:
    for error in validator.iter_errors(report):
        print(list(error.absolute_path), error.message[:500])
"""
SCHEMA_FILE = ROOT / "docs" / "report.schema.json"


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(settings=SETTINGS))
        psql = cls.cluster.psql
        psql(SCHEMA)
        cls.name = '<i>back&"up\''
        cls.backup = pathlib.Path(cls.cluster.basebackup(cls.name, "--label=</td><b>evil</b>"))
        psql("UPDATE t SET b = 'u' WHERE a % 100 = 0; INSERT INTO t SELECT g, 'z' FROM generate_series(20001, 30000) g")
        cls.paths = {n: psql(f"SELECT pg_relation_filepath('{n}')") for n in ("t", "cold", "gone")}
        cls.identifier = psql("SELECT system_identifier FROM pg_control_system()")
        cls.cluster.stop()
        cls.data = pathlib.Path(cls.cluster.data)
        cls.out = pathlib.Path(cls.cluster.directory, "reports")
        cls.out.mkdir()
        cls.key = cls.out / "key.pem"
        run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", cls.key])

    def verify(self, status, *arguments, backup=None, **options):
        wal = ["--wal", self.cluster.wal, "--base-backup", backup or self.backup]
        engine = ["--engine", "native", "--no-progress"]
        result = run_neon_redo("verify", *engine, *wal, *arguments, check=False, **options)
        self.assertEqual(result.returncode, status, result.stdout[-2000:] + result.stderr)
        return result

    def report(self, status, name, *arguments, backup=None):
        """The report as JSON, and the page's path."""
        page, file = self.out / f"{name}.html", self.out / f"{name}.json"
        self.verify(status, *arguments, f"--report={page}", f"--report={file}", backup=backup)
        self.check_schema(file)
        for path in (page, file):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual([n for n in os.listdir(self.out) if n.endswith(".tmp")], [])
        return json.loads(file.read_text("utf-8")), page

    def check_schema(self, *files):
        errors = run(["/usr/bin/python3", "-c", VALIDATE, SCHEMA_FILE, *files]).stdout
        self.assertEqual(errors, "")
        described = json.loads(SCHEMA_FILE.read_text("utf-8"))["properties"]
        for file in files:
            self.assertEqual(json.loads(file.read_text("utf-8")).keys() - described.keys(), set())

    def copy(self, source, name):
        target = pathlib.Path(self.cluster.directory, name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
        self.addCleanup(shutil.rmtree, target)
        return target

    @staticmethod
    def overwrite(path, block, data, offset=2000):
        with open(path, "r+b") as file:
            file.seek(block * BLOCK + offset)
            file.write(data)

    def damaged(self):
        """Copies of backup and cluster with known damage."""
        backup, data = self.copy(self.backup, "damaged_backup"), self.copy(self.data, "damaged_data")
        for block in (3, 4, 40):
            self.overwrite(data / self.paths["t"], block, b"XYZ")
        self.overwrite(data / self.paths["t"], 5, bytes(BLOCK), 0)
        self.overwrite(backup / self.paths["cold"], 33, b"XYZ")
        os.unlink(data / self.paths["gone"])
        (backup / "base" / "5" / HOSTILE).write_text("x", "utf-8")
        return backup, data

    def test_whole(self):
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        report, page = self.report(0, "whole", "--against", self.data)
        self.assertEqual((report["status"], report["verdict"]), (0, "No damage found"))
        self.assertRegex(report["summary"], r"^All [\d,]+ pages are equal\.$")
        self.assertLessEqual(began, report["started"])
        self.assertLessEqual(report["started"], report["ended"])
        self.assertEqual(report["command_line"][-1], f"--report={self.out}/whole.json")
        self.assertEqual(report["host"], os.uname().nodename)
        self.assertEqual(report["options"]["base-backup"], str(self.backup))
        self.assertEqual(report["options"]["engine"], "native")
        self.assertTrue(report["skipped"])
        self.assertIn("the pages that are counted as skipped", report["not_covered"])
        backup, cluster = report["identity"]["backup"], report["identity"]["cluster"]
        self.assertEqual(backup["backup_label"]["label"], "</td><b>evil</b>")
        self.assertEqual(cluster["control"]["state"], "shut down")
        for one in (backup, cluster):
            self.assertEqual(one["control"]["system_identifier"], self.identifier)
        [wal] = json.loads((self.backup / "backup_manifest").read_text("utf-8"))["WAL-Ranges"]
        self.assertEqual(report["backup_end_lsn"], wal["End-LSN"])
        self.assertEqual(backup["backup_label"]["start_lsn"], wal["Start-LSN"])
        self.assertEqual((report["damaged_files"], report["damage_by_relation"]), ([], []))
        printed = json.loads(self.verify(0, "--against", self.data, "--format=json").stdout)
        for name in printed.keys() - {"elapsed_seconds", "jobs"}:
            self.assertEqual(report[name], printed[name], name)
        text = browser.dump(page).text
        for expected in ("No damage found", "None was found.", self.identifier, report["summary"], wal["End-LSN"]):
            self.assertIn(expected, text)

    def test_damage(self):
        backup, data = self.damaged()
        report, page = self.report(1, "damaged", "--against", data, backup=backup)
        self.assertEqual((report["status"], report["verdict"]), (1, "Damage found"))
        files = {(file["file"], file["in_backup"]): file for file in report["damaged_files"]}
        t = files[self.paths["t"], False]
        self.assertEqual(
            [(r["first"], r["last"], r["damage"]) for r in t["ranges"]],
            [(3, 4, "checksum"), (5, 5, "zeroed"), (40, 40, "checksum")],
        )
        self.assertEqual(t["blocks"], (data / self.paths["t"]).stat().st_size // BLOCK)
        cold = files[self.paths["cold"], True]
        self.assertEqual((cold["whole_file"], cold["ranges"]), (["checksum"], [{"first": 33, "last": 33, "damage": "checksum"}]))
        self.assertIn((self.paths["gone"], False), files)
        by_relation = {(r["name"], r["in_backup"]): r["damage"] for r in report["damage_by_relation"]}
        self.assertEqual(by_relation["1663/" + self.paths["t"].replace("base/", ""), False], {"checksum": 3, "zeroed": 1})
        self.assertEqual(sum(sum(d.values()) for d in by_relation.values()), report["different"])
        self.check_damaged_page(report, browser.dump(page))
        self.check_pictures(page)

    def check_damaged_page(self, report, page):
        for expected in (
            "Damage found",
            report["summary"],
            "blocks 3 to 4: checksum; block 5: zeroed; block 40: checksum",
            "the whole file: checksum; block 33: checksum",
            "Last record: rmgr: Heap",
            "rows of unlogged relations",
            "Each square stands for 2 blocks",
            "Manifest",
        ):
            self.assertIn(expected, page.text)
        # The hostile file is a note, in words, and no element of the page.
        self.assertIn(r"<img src=x onerror=alert(1)>\u202egnp.\x1b]", page.text)
        self.assertEqual([page.count(tag) for tag in ("img", "script", "link", "iframe", "i", "b")], [0] * 6)
        policy = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(policy, ["default-src 'none'; style-src 'unsafe-inline'"])
        for tag, attributes in page.elements:
            self.assertFalse({"href", "src", "onerror", "onload"} & attributes.keys(), (tag, attributes))
        maps = [attributes for tag, attributes in page.elements if tag == "svg"]
        self.assertGreaterEqual(len(maps), 2)
        self.assertTrue(all(m["aria-label"].startswith("Map of the damaged blocks of ") for m in maps))
        self.assertEqual([page.count(tag) for tag in ("html", "main", "header", "h1")], [1] * 4)

    def check_pictures(self, page):
        light = browser.screenshot(page)
        self.assertEqual(light["size"], [1200, 3000])
        self.assertGreater(len(light["colours"]), 50)
        # The verdict, the squares of two kinds of damage, and those without.
        for colour, least in (("#b42318", 1000), ("#c81e1e", 100), ("#4338ca", 50), ("#d5dde5", 5000)):
            self.assertGreater(light["colours"].get(colour, 0), least, colour)
        dark = browser.screenshot(page, "--blink-settings=preferredColorScheme=0")
        self.assertGreater(min(light["corner"]), 200)
        self.assertLess(max(dark["corner"]), 60)
        self.assertTrue(browser.pdf(page).startswith(b"%PDF-"))

    def test_short_file(self):
        """The map goes on where the file ends."""
        data = self.copy(self.data, "short_data")
        path = data / self.paths["t"]
        os.truncate(path, 10 * BLOCK)
        report, page = self.report(1, "short", "--against", data)
        [file] = report["damaged_files"]
        self.assertEqual(file["blocks"], 10)
        self.assertEqual([r["damage"] for r in file["ranges"]], ["short file"])
        self.assertEqual(file["ranges"][0]["first"], 10)
        blocks = file["ranges"][0]["last"] + 1
        letters = [a for tag, a in browser.dump(page).elements if tag == "text" and a.get("class") == "l"]
        self.assertEqual(len(letters), blocks - 10)

    def test_many_files(self):
        """The page has 100 maps at most, and says how many files it leaves out."""
        data = self.copy(self.data, "many_data")
        for path in [*data.glob("base/1/*[0-9]"), *data.glob("base/4/*[0-9]")]:
            if path.stat().st_size > 0:
                self.overwrite(path, 0, b"XYZ")
        report, page = self.report(1, "many", "--against", data)
        files = len(report["damaged_files"])
        self.assertGreater(files, 110)
        shown = browser.dump(page)
        self.assertEqual(shown.count("svg"), 100)
        self.assertIn(f"{files - 100} more damaged files are in the JSON report", shown.text)

    def test_quick(self):
        report, page = self.report(0, "quick", "--quick")
        self.assertEqual(report["verdict"], "No damage found in what was checked")
        self.assertIn("the backup's other files and pages", report["not_covered"])
        text = browser.dump(page).text
        self.assertIn("No damage found in what was checked", text)
        self.assertIn("the backup's other files and pages", text)

    def test_restore_command(self):
        command = f"cp {self.cluster.wal}/%f %p"
        file, page = self.out / "fetched.json", self.out / "fetched.html"
        options = ["--engine=native", "--base-backup", self.backup, "--restore-command", command]
        run_neon_redo("verify", *options, "--report", file, "--report", page)
        self.check_schema(file)
        report = json.loads(file.read_text("utf-8"))
        self.assertEqual((report["restore_command"], report["options"]["restore-command"]), (command, command))
        self.assertIn(f"Restore command</th><td><code>{command}</code>", page.read_text("utf-8"))

    def test_images(self):
        file, page = self.out / "images.json", self.out / "images.html"
        wal = ["--wal", self.cluster.wal]
        run_neon_redo("verify", "--images", "--engine=native", *wal, "--report", file, "--report", page)
        self.check_schema(file)
        report = json.loads(file.read_text("utf-8"))
        self.assertEqual(report["identity"], {"backup": None, "cluster": None})
        self.assertEqual(report["verdict"], "No damage found in what was checked")
        self.assertIn(f"{report['images_compared']:,}", browser.dump(page).text)

    def test_unusable_input(self):
        backup = self.copy(self.backup, "unusable")
        (backup / "global" / "pg_control").write_bytes(b"x" * BLOCK)
        report, page = self.report(2, "unusable", backup=backup)
        self.assertEqual((report["status"], report["verdict"]), (2, "Not verified"))
        self.assertIn("pg_control", report["error"])
        self.assertIn("pg_control", report["identity"]["backup"]["problem"])
        self.assertNotIn("mismatches", report)
        shown = browser.dump(page)
        self.assertIn("Not verified", shown.text)
        self.assertIn("This report proves nothing.", shown.text)
        self.assertNotIn("No damage", shown.text)
        missing = self.report(2, "missing", backup=self.out / "nowhere")[0]
        self.assertIn("nowhere", missing["identity"]["backup"]["problem"])

    def test_no_memory(self):
        """A report is written, too, when an exception ends the work."""
        file = self.out / "memory.json"
        result = run_neon_redo(
            "verify", "--engine=native", "--jobs=200", "--wal", self.cluster.wal, "--base-backup", self.backup,
            "--report", file, check=False, preexec_fn=limit_memory,
        )  # fmt: skip
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertRegex(json.loads(file.read_text("utf-8"))["error"], "could not create a thread|out of memory")
        self.check_schema(file)

    def refused(self, pattern, *arguments):
        """Before any work: the backup does not even exist."""
        result = self.verify(2, *arguments, backup=self.out / "nowhere")
        self.assertRegex(result.stderr, pattern)
        self.assertNotIn("nowhere", result.stderr)

    def test_refusals(self):
        self.refused(r"--report.*must end with \.json or \.html", "--report=x.txt")
        self.refused(r"could not open directory .*none", f"--report={self.out}/none/x.json")
        (self.out / "directory.json").mkdir()
        self.refused("it is a directory", f"--report={self.out}/directory.json")
        self.refused("leave out --follow and --explain", f"--report={self.out}/x.json", "--explain=base/5/1/0")
        self.refused("--report-key.*--report", f"--report-key={self.key}")
        self.assertEqual([n for n in os.listdir(self.out) if n.startswith("x.")], [])

    def test_refused_keys(self):
        keys = {
            "curve": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "must hold a key of Ed25519, or of RSA"),
            "short": (["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "must hold a key of Ed25519, or of RSA"),
            "locked": (["-algorithm", "ed25519", "-aes256", "-pass", "pass:secret"], "is encrypted"),
        }
        for name, (options, pattern) in keys.items():
            key = self.out / f"{name}.pem"
            run(["openssl", "genpkey", *options, "-out", key])
            with self.subTest(name):
                self.refused(pattern, f"--report={self.out}/x.json", f"--report-key={key}")
        open_key = self.out / "open.pem"
        shutil.copy(self.key, open_key)
        open_key.chmod(0o644)
        none = self.out / "none.pem"
        none.write_text("none", "utf-8")
        none.chmod(0o600)
        patterns = {
            open_key: "has group or world access",
            none: "could not load private key file",
            self.out / "no.pem": "could not open file",
        }
        for key, pattern in patterns.items():
            with self.subTest(key):
                self.refused(pattern, f"--report={self.out}/x.json", f"--report-key={key}")

    def test_signatures(self):
        rsa = self.out / "rsa.pem"
        run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa])
        for key, algorithm in ((self.key, "Ed25519"), (rsa, "RSA of 2048 bits")):
            with self.subTest(algorithm):
                public = self.out / "public.pem"
                run(["openssl", "pkey", "-in", key, "-pubout", "-out", public])
                report, page = self.report(0, "signed", f"--report-key={key}")
                self.assertTrue(report["signature"]["algorithm"].startswith(algorithm))
                der = run(["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], text=False).stdout
                digest = run(["openssl", "dgst", "-sha256", "-r"], input=der, text=False).stdout.split()[0].decode()
                self.assertEqual(report["signature"]["public_key_sha256"], digest)
                self.assertIn(digest, browser.dump(page).text)
                for file in (page, page.with_suffix(".json")):
                    prove = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", file]
                    prove += ["-sigfile", f"{file}.sig"]
                    self.assertIn("Signature Verified Successfully", run(prove).stdout)
                    with open(file, "ab") as changed:
                        changed.write(b" ")
                    self.assertNotEqual(run(prove, check=False).returncode, 0)

    def test_documented_commands(self):
        """The commands of docs/report.md, and what they print but for figures."""
        text = (ROOT / "docs" / "report.md").read_text("utf-8")
        [block] = re.findall(r"^```\n(\$ openssl.*?)^```$", text, re.MULTILINE | re.DOTALL)
        directory = self.out / "documented"
        directory.mkdir()
        (directory / "backup").symlink_to(self.backup)
        (directory / "archive").symlink_to(self.cluster.wal)
        write_native_program(directory, neon_redo_program())
        environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
        without_figures = lambda line: re.sub(r"[0-9,A-F/]+", "N", line)
        for part in block.split("$ ")[1:]:
            command, _, expected = part.partition("\n")
            with self.subTest(command):
                printed = run(["bash", "-o", "pipefail", "-c", command], cwd=directory, env=environment).stdout
                self.assertEqual(without_figures(printed), without_figures(expected))
        gate = re.search(r"^    (neon-redo verify .*?&&)\n +rm -r /backups/sunday", text, re.MULTILINE | re.DOTALL)[1]
        gate = gate.replace("/backups/monday", "backup").replace("/archive", "archive").replace("/reports/", "")
        run(["bash", "-c", f"{gate} touch proven"], cwd=directory, env=environment)
        self.assertTrue((directory / "proven").exists())
        (directory / "backup").unlink()
        (directory / "backup").symlink_to(self.damaged()[0])
        result = run(["bash", "-c", f"{gate} touch damaged"], cwd=directory, env=environment, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertFalse((directory / "damaged").exists())

    def test_disk_full(self):
        """A report that cannot be written ends the command with status 2, and the earlier one stays."""
        file = self.out / "full.json"
        file.write_text("earlier", "utf-8")
        result = self.verify(2, "--format=json", f"--report={file}", preexec_fn=limit_files)
        self.assertEqual(json.loads(result.stdout)["different"], 0)
        self.assertIn("could not write file", result.stderr)
        self.assertEqual(file.read_text("utf-8"), "earlier")
        self.assertFalse((self.out / "full.json.tmp").exists())

    def test_both_fail(self):
        """The verification, and its report: both are said, and the verification's error is the last word."""
        file = self.out / "both.json"
        result = self.verify(2, f"--report={file}", backup=self.out / "nowhere", preexec_fn=limit_files)
        self.assertRegex(result.stderr, r"could not write file .*both\.json(.|\n)*error: .*nowhere")
        self.assertFalse(file.exists())


def limit_files():
    """No file of this process gets more than a kilobyte; writing more is an error and no signal."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def limit_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))


if __name__ == "__main__":
    unittest.main()
