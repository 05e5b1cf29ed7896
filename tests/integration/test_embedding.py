"""The library as an embedder sees it: what `make install` puts where, and pkg-config."""

import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import ROOT, Cluster, copy_module, make_directory, make_install, run

BLOCK = 8192


class Embedding(unittest.TestCase):
    def compile_example(self, directory):
        """Compiles docs/last_page.cpp, knowing nothing but neon_redo.pc."""
        make_install(directory)
        found = run(["find", directory, "-name", "neon_redo.pc"]).stdout.split()
        self.assertEqual(len(found), 1)
        environment = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(found[0])}
        prefix = run(["pkg-config", "--variable=prefix", "neon_redo"], env=environment).stdout.strip()
        flags = run(
            ["pkg-config", f"--define-variable=prefix={directory}{prefix}"]
            + ["--cflags", "--libs", "neon_redo"],
            env=environment,
        ).stdout.split()
        program = os.path.join(directory, "last_page")
        source = shutil.copy(ROOT / "docs" / "last_page.cpp", directory)
        run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags], cwd="/")
        return program

    def test_example_rebuilds_a_page(self):
        directory = make_directory()
        self.addCleanup(shutil.rmtree, directory)
        program = self.compile_example(directory)
        with Cluster(checksums=False, settings={"wal_level": "replica"}) as cluster:
            cluster.psql("CREATE TABLE t (id int)")
            cluster.psql("INSERT INTO t SELECT g FROM generate_series(1, 2000) g")
            path = cluster.psql("SELECT pg_relation_filepath('t')")
            cluster.stop()
            module = copy_module(cluster.directory)
            _, database, relation = path.split("/")
            for block in (0, 3):
                command = [program, cluster.wal, "1663", database, relation, str(block), module]
                page = run(command, text=False).stdout
                on_disk = pathlib.Path(cluster.data, path).read_bytes()[block * BLOCK :][:BLOCK]
                self.assertEqual(page[:8], on_disk[:8], "LSN")
                self.assertEqual(without_hints(page), without_hints(on_disk))
            missing = subprocess.run([program, "/nonexistent", "1", "1", "1", "1"], capture_output=True)
            self.assertEqual(missing.returncode, 2)
            self.assertIn(b"/nonexistent", missing.stderr)


def without_hints(page):
    """The page without the flags that say what became of a transaction (htup_details.h)."""
    page = bytearray(page)
    for at in range(24, int.from_bytes(page[12:14], "little"), 4):
        offset = int.from_bytes(page[at : at + 4], "little") & 0x7FFF
        page[offset + 21] &= 0xF0
    return bytes(page)


if __name__ == "__main__":
    unittest.main()
