"""neon.so changes nothing in an ordinary server, and refuses wrong settings."""

import os
import pathlib
import re
import shutil
import time
import unittest

from cluster import (
    ROOT,
    Cluster,
    CommandFailed,
    make_directory,
    pg_config,
    private_server,
    run,
)


def process_titles(postmaster):
    """The titles of the postmaster's children ("postgres: checkpointer "), once all have started."""
    for _ in range(600):
        children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii")
        lines = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.split()]
        titles = sorted(line.rstrip(b"\0 ").decode() for line in lines)
        if all(t.startswith("postgres:") for t in titles) and "replication launcher" in " ".join(titles):
            return titles
        time.sleep(0.05)
    raise TimeoutError(f"not all processes have started: {titles}")


class Installed(unittest.TestCase):
    """Tests that share one installation in a temporary directory."""

    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.bindir = private_server(cls.directory)
        cls.module = cls.directory + pg_config("pkglibdir") + "/neon.so"

    def test_module_needs_no_cpp_runtime(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run(["readelf", "-d", self.module]).stdout)
        self.assertTrue(set(needed) <= {"libc.so.6", "ld-linux-x86-64.so.2", "libseccomp.so.2"}, needed)
        undefined = run(["nm", "-D", "--undefined-only", self.module]).stdout
        mangled = re.findall(r" U (_Z\S+|__cxa_throw\S*|_Unwind\S*|__gxx\S*)", undefined)
        self.assertEqual(mangled, [])

    def test_module_shows_only_what_the_server_looks_for(self):
        defined = run(["nm", "-D", "--defined-only", "--format=just-symbols", self.module]).stdout
        scripts = pathlib.Path(ROOT, "sql").glob("neon_redo--*.sql")
        text = "".join(script.read_text("utf-8") for script in scripts)
        functions = set(re.findall(r"^AS 'MODULE_PATHNAME', '(\w+)'", text, re.MULTILINE))
        self.assertIn("neon_redo_info", functions)
        expected = {"Pg_magic_func", "_PG_init", "NeonWalsenderSampler"} | functions
        expected |= {f"pg_finfo_{name}" for name in functions}
        self.assertEqual(set(defined.split()), expected)

    def test_preloaded_module_adds_only_the_walsender_statistics(self):
        """Processes, shared memory and settings are those of a server without the module, plus its own.

        The server's unnamed shared memory is not compared, because it contains padding that varies.
        """
        names = "SELECT name FROM pg_settings WHERE name NOT LIKE 'neon.%' ORDER BY 1"
        shared = (
            "SELECT name, allocated_size FROM pg_shmem_allocations"
            " WHERE name NOT LIKE 'neon %' AND name <> '<anonymous>' ORDER BY 1"
        )
        seen = []
        for preloaded in ("", "neon"):
            settings = {"shared_preload_libraries": preloaded, "autovacuum": "off"}
            with Cluster(bindir=self.bindir, settings=settings) as cluster:
                processes = process_titles(cluster.process.pid)
                while preloaded and "postgres: neon walsender sampler" not in processes:
                    self.assertIsNone(cluster.process.poll())
                    processes = process_titles(cluster.process.pid)
                processes = [title for title in processes if "neon" not in title]
                seen.append((processes, cluster.psql(names), cluster.psql(shared)))
        self.assertEqual(seen[0], seen[1])
        self.assertTrue(seen[0][0])

    def test_extension_in_a_server_that_preloads_it(self):
        settings = {"shared_preload_libraries": "neon"}
        with Cluster(bindir=self.bindir, settings=settings) as cluster:
            self.assertEqual(cluster.psql("SHOW neon.wal_redo"), "off")
            self.assertEqual(cluster.psql("SHOW neon.redo_sandbox"), "on")
            cluster.psql("CREATE EXTENSION neon_redo")
            version = cluster.psql("SELECT server_version_num FROM neon_redo_info()")
            self.assertEqual(version, cluster.psql("SHOW server_version_num"))
            refused = cluster.psql("SET neon.wal_redo = on", check=False)
            self.assertIn("cannot be changed without restarting the server", refused.stderr)
            cluster.restart()
            self.assertEqual(cluster.psql("SELECT count(*) FROM neon_redo_info()"), "1")
            self.assertNotRegex(cluster.log(), r"PANIC|WARNING")

    def test_extension_in_a_server_that_does_not_preload_it(self):
        with Cluster(bindir=self.bindir) as cluster:
            cluster.psql("CREATE EXTENSION neon_redo")
            self.assertEqual(cluster.psql("SELECT module_version FROM neon_redo_info()"), "1.1")
            cluster.psql("LOAD 'neon'")
            cluster.psql("DROP EXTENSION neon_redo")

    def test_redo_mode_is_refused_outside_single_user_mode(self):
        settings = {"shared_preload_libraries": "neon", "neon.wal_redo": "on"}
        with Cluster(bindir=self.bindir, settings=settings, start=False) as cluster:
            with self.assertRaisesRegex(CommandFailed, "neon.wal_redo can only be turned on in sin"):
                cluster.start()
            self.assertFalse(os.path.exists(os.path.join(cluster.data, "postmaster.pid")))
            # The cluster itself is unharmed.
            cluster.configure({"neon.wal_redo": "off"})
            cluster.start()
            self.assertEqual(cluster.psql("SELECT 1"), "1")


if __name__ == "__main__":
    unittest.main()
