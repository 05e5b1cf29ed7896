"""The library as an embedder sees it: what `make install` puts where, the headers, pkg-config, the
examples; and `make uninstall`."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from cluster import ROOT, Cluster, copy_module, make_directory, make_install, run, server_program

sys.path.insert(0, str(ROOT / "tests"))
import symbols

BLOCK = 8192
LIBRARIES = ("neon_redo_wal", "neon_redo", "neon_redo_bases", "neon_redo_verify", "neon_redo_net")
# Whose types no public header may have.
THIRD_PARTIES = ("spdlog", "prometheus", "nlohmann", "libpq", "rocksdb", "fmt/", "openssl", "CLI/")


class Embedding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        make_install(cls.directory)
        found = run(["find", cls.directory, "-name", "neon_redo.pc"]).stdout.split()
        assert len(found) == 1, found
        cls.library_directory = pathlib.Path(found[0]).parents[1]
        environment = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(found[0])}
        prefix = run(["pkg-config", "--variable=prefix", "neon_redo"], env=environment).stdout.strip()
        cls.environment = environment
        cls.prefix = pathlib.Path(cls.directory + prefix)
        cls.pkg_config = ["pkg-config", f"--define-variable=prefix={cls.prefix}"]
        cls.headers = cls.prefix / "include" / "neon_redo"

    def flags(self, what, library):
        return run([*self.pkg_config, *what, library], env=self.environment).stdout.split()

    def program(self, name):
        """Builds an example as its Makefile does; returns its path."""
        out = os.path.join(self.directory, "examples")
        os.makedirs(out, exist_ok=True)
        command = ["make", "-C", ROOT / "examples", f"OUT={out}", "CXXFLAGS=-Wall -Wextra -Werror"]
        command += [f"PKG_CONFIG={' '.join(self.pkg_config)}", f"{out}/{name}"]
        environment = {name: v for name, v in self.environment.items() if name != "MAKEFLAGS"}
        run(command, env=environment)
        return os.path.join(out, name)

    def test_few_headers_without_third_parties(self):
        installed = sorted(p.name for p in self.headers.rglob("*") if p.is_file())
        expected = sorted(p.name for p in (ROOT / "cpp_core/include/neon_redo").glob("*.h"))
        self.assertEqual(installed, expected)
        self.assertLessEqual(len(installed), 20)
        for name in installed:
            text = (self.headers / name).read_text()
            guard = f"NEON_REDO_{name.upper().replace('.', '_')}_"
            self.assertIn(f"#ifndef {guard}\n#define {guard}\n", text, name)
            code = re.sub(r"//.*", "", text)
            for include in re.findall(r'#include [<"](.*)[>"]', code):
                self.assertFalse(include.startswith(THIRD_PARTIES), f"{name} includes {include}")
                self.assertFalse(include.startswith("cpp_core/"), f"{name} includes {include}")
            self.assertNotRegex(code, "spdlog|prometheus|nlohmann|rocksdb|PGconn|SSL_CTX", name)

    def test_each_header_compiles_alone(self):
        flags = self.flags(["--cflags"], "neon_redo_wal")
        source = pathlib.Path(self.directory, "alone.cpp")
        for header in sorted(self.headers.glob("*.h")):
            source.write_text(f"#include <neon_redo/{header.name}>\n")
            command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags]
            done = subprocess.run([*command, source], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_public_symbols_are_those_of_the_list(self):
        self.maxDiff = None
        listed = symbols.LIST.read_text().splitlines()
        self.assertEqual(symbols.symbols(self.library_directory).splitlines(), listed)

    def test_the_version_is_one(self):
        text = (self.headers / "version.h").read_text()
        numbers = [int(n) for n in re.findall(r"#define NEON_REDO_VERSION_M\w+ (\d+)", text)]
        for library in LIBRARIES:
            found = self.flags(["--modversion"], library)
            self.assertEqual(found, [".".join(str(n) for n in numbers)], library)

    def test_the_program_is_stripped(self):
        program = self.prefix / "bin" / "neon-redo"
        self.assertIn("no symbols", run(["nm", program], check=False).stderr)

    def test_read_wal_links_what_it_needs(self):
        program = self.program("read_wal")
        libraries = run(["ldd", program]).stdout
        for name in ("librocksdb", "libpq", "libssl", "libcrypto", "libprometheus", "libspdlog", "libarchive"):
            self.assertNotIn(name, libraries)
        with Cluster(settings={"wal_level": "replica"}) as cluster:
            cluster.psql("CREATE TABLE t (id int)")
            cluster.psql("INSERT INTO t SELECT g FROM generate_series(1, 100) g")
            cluster.stop()
            start = first_segment(cluster)
            lines = run([program, cluster.wal]).stdout.splitlines()
            expected = run([server_program("pg_waldump"), "-p", cluster.wal, start], check=False).stdout.splitlines()
            self.assertGreater(len(expected), 1000)
            self.assertEqual(lines, expected)
        missing = subprocess.run([program, "/nonexistent"], capture_output=True, text=True)
        self.assertEqual(missing.returncode, 2)
        self.assertIn("/nonexistent", missing.stderr)

    def test_network_libraries_only_with_the_network(self):
        for library in ("neon_redo_wal", "neon_redo", "neon_redo_verify"):
            flags = self.flags(["--libs", "--static"], library)
            for name in ("-lpq", "-lssl", "-lrocksdb"):
                self.assertNotIn(name, flags, library)
            # What packs and encrypts backups, and nothing of the network.
            for name in ("-lcrypto", "-larchive"):
                self.assertEqual(name in flags, library == "neon_redo_verify", f"{library} {name}")
        self.assertIn("-lpq", self.flags(["--libs"], "neon_redo_net"))

    def test_last_page_manager_and_ingest(self):
        last_page = self.program("last_page")
        manager = self.program("manager_metrics")
        ingest = self.program("ingest_store")
        with Cluster(checksums=False, settings={"wal_level": "replica"}) as cluster:
            cluster.psql("CREATE TABLE t (id int)")
            cluster.psql("INSERT INTO t SELECT g FROM generate_series(1, 2000) g")
            path = cluster.psql("SELECT pg_relation_filepath('t')")
            cluster.stop()
            module = copy_module(cluster.directory)
            _, database, relation = path.split("/")
            on_disk = pathlib.Path(cluster.data, path).read_bytes()
            for block in (0, 3):
                command = [last_page, cluster.wal, "1663", database, relation, str(block), module]
                page = run(command, text=False).stdout
                expected = on_disk[block * BLOCK :][:BLOCK]
                self.assertEqual(page[:8], expected[:8], "LSN")
                self.assertEqual(without_hints(page), without_hints(expected))
            self.check_manager([manager, cluster.wal, "1663", database, relation, module], on_disk)
            command = [ingest, cluster.wal, "1663", database, relation, "3"]
            lines = run(command).stdout.splitlines()
            self.assertRegex(lines[0], r"^\d+ records, \d+ pages, next transaction \d+$")
            self.assertIn("initialises: record", lines[1])
            self.assertEqual(lines[-1].split()[0], lsn_of(on_disk[3 * BLOCK :]))
        missing = subprocess.run([last_page, "/nonexistent", "1", "1", "1", "1"], capture_output=True)
        self.assertEqual(missing.returncode, 2)
        self.assertIn(b"/nonexistent", missing.stderr)

    def check_manager(self, command, on_disk):
        """Every block has its page's LSN, and the metrics count the blocks."""
        output = run(command).stdout
        pages = re.findall(r"^block (\d+) of .*: \d+ records, LSN (\S+)$", output, flags=re.M)
        blocks = len(on_disk) // BLOCK
        expected = [(str(b), lsn_of(on_disk[b * BLOCK :])) for b in range(blocks)]
        self.assertEqual(pages, expected)
        self.assertIn(f"\npageserver_wal_redo_seconds_count {blocks}\n", output)

    def test_receive_and_verify(self):
        program = self.program("receive_verify")
        settings = {"wal_level": "replica", "wal_consistency_checking": "all"}
        with Cluster(settings=settings) as cluster:
            archive = make_directory()
            self.addCleanup(shutil.rmtree, archive)
            module = copy_module(cluster.directory)
            # Streaming starts with a segment: what comes after this is in it.
            cluster.psql("SELECT pg_switch_wal()")
            cluster.psql("CREATE TABLE t (id int PRIMARY KEY)")
            cluster.psql("INSERT INTO t SELECT g FROM generate_series(1, 2000) g")
            cluster.psql("DELETE FROM t WHERE id % 3 = 0")
            until = cluster.wal_lsn()
            command = [program, "", archive, until, module]  # libpq's environment says where
            done = run(command, env=cluster.environment())
            self.assertRegex(done.stdout, r"(?m)^\d+ records, [1-9]\d+ images compared, 0 different$")

    def test_uninstall_removes_what_install_put(self):
        environment = {n: v for n, v in os.environ.items() if n != "MAKEFLAGS"}
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory)
        make_install(directory)
        self.assertTrue(list(pathlib.Path(directory).rglob("neon-redo")))
        run(["make", "-C", ROOT, "uninstall", f"DESTDIR={directory}"], env=environment)
        left = [p for p in pathlib.Path(directory).rglob("*") if not p.is_dir()]
        self.assertEqual(left, [])


def first_segment(cluster):
    names = [p.name for p in pathlib.Path(cluster.wal).iterdir() if len(p.name) == 24]
    return min(names)


def lsn_of(page):
    """pd_lsn (storage/bufpage.h): the high 32 bits first."""
    high = int.from_bytes(page[:4], "little")
    return f"{high:X}/{int.from_bytes(page[4:8], 'little'):X}"


def without_hints(page):
    """The page without the flags that say what became of a transaction (htup_details.h)."""
    page = bytearray(page)
    for at in range(24, int.from_bytes(page[12:14], "little"), 4):
        offset = int.from_bytes(page[at : at + 4], "little") & 0x7FFF
        page[offset + 21] &= 0xF0
    return bytes(page)


if __name__ == "__main__":
    unittest.main()
