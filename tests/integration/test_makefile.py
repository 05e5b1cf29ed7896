"""The Makefile, in a small tree: what is built for one server is built again for another, and what
cannot be built is refused in one line. The module's sources and the program are stand-ins, so that
only the Makefile is tested. The servers are PG_CONFIG's under other names.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import unittest

from cluster import ROOT, pg_config

NEON_CPP = """
#include "src/header.h"
extern "C" __attribute__((visibility("default"))) const char text[];
const char text[] = "built for " NEON_REDO_SERVER_BINDIR ", header " HEADER;
"""
MESON_BUILD = """
project('small', 'cpp')
config = find_program(get_option('pg_config'))
bindir = run_command(config, '--bindir', check: true).stdout().strip()
executable('program', 'program.cpp', cpp_args: f'-DBINDIR="@bindir@"')
"""
PROGRAM = '#include <cstdio>\nint main() { std::puts(BINDIR); }\n'


class Makefile(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="neon_redo."))
        self.addCleanup(shutil.rmtree, self.directory)
        self.tree = self.directory / "tree"
        for name in ("Makefile", "neon_redo.control", "src/worker/make_system_calls.sh"):
            self.tree.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.tree / name)
        self.write("src/neon.cpp", NEON_CPP)
        self.write("src/header.h", '#define HEADER "first"\n')
        self.write("src/worker/violation.cpp", "")
        self.write("cpp_core/base/crc32c.cpp", "")
        self.write("cpp_core/wal/record.cpp", "")
        self.write("src/worker/stubs/make_stubs.sh", '#!/bin/sh\nmkdir -p "$2" && touch "$2/for_postgres"\n', 0o755)
        self.write("meson.build", MESON_BUILD)
        self.write("meson_options.txt", "option('pg_config', type: 'string')\n")
        self.write("program.cpp", PROGRAM)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PG_CONFIG", "PG_CONFIGS", "SOURCE")
        }

    def write(self, name, text, mode=0o644):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(mode)

    def server(self, name, version="15.1"):
        """A pg_config that says another version, and another bindir."""
        bindir = self.directory / name
        bindir.mkdir()
        (bindir / "postgres").touch()
        program = bindir / "pg_config"
        real = os.path.join(pg_config("bindir"), "pg_config")
        program.write_text(
            textwrap.dedent(f"""\
                #!/bin/sh
                for what; do
                  case $what in
                    --bindir) echo {bindir} ;;
                    --version) echo PostgreSQL {version} ;;
                    *) {real} $what ;;
                  esac
                done
                """),
            "utf-8",
        )
        program.chmod(0o755)
        return program

    def make(self, *arguments, status=0, directory="."):
        result = subprocess.run(
            ["make", *map(str, arguments)],
            cwd=self.tree / directory, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def assert_built_for(self, config, header="first", directory="."):
        content = self.tree.joinpath(directory, "neon.so").read_bytes()
        self.assertIn(f"built for {config.parent}, header {header}\0".encode(), content)

    def test_the_module_is_of_the_server_that_was_asked_for(self):
        first, second, of_17 = self.server("a"), self.server("b"), self.server("c", "17.2")
        for config in (first, of_17, first, second):
            self.make("neon.so", f"PG_CONFIG={config}")
            self.assert_built_for(config)
        again = self.make("neon.so", f"PG_CONFIG={config}")
        self.assertNotIn("-o", again.stdout)

    def test_the_server_became_a_later_one(self):
        config = self.server("a")
        # A caller's variable of a common name is not the Makefile's.
        self.make("neon.so", f"PG_CONFIG={config}", "SOURCE=/nonexistent")
        config.write_text(config.read_text("utf-8").replace("15.1", "15.2"), "utf-8")
        self.assertIn("src/neon.cpp", self.make("neon.so", f"PG_CONFIG={config}").stdout)

    def test_a_changed_header_reaches_the_module_of_either_directory(self):
        config = self.server("a")
        modules = ["modules", f"PG_CONFIGS={config}", f"PG_CONFIG={config}"]
        for number in range(2):
            header = f"number {number}"
            self.write("src/header.h", f'#define HEADER "{header}"\n')
            # The first to be built compiles the objects for both.
            first = [["neon.so", f"PG_CONFIG={config}"], modules][number % 2]
            self.make(*first)
            self.make(*modules)
            self.assert_built_for(config, header)
            self.assert_built_for(config, header, "build/neon/15")

    def test_a_module_for_each_server(self):
        a, b = self.server("a"), self.server("b", "17.2")
        configs = [f"PG_CONFIGS={a} ../b/pg_config", f"PG_CONFIG={a}"]
        done = self.make("-j4", "modules", "install-modules", f"DESTDIR={self.directory}/installed", *configs)
        self.assert_built_for(a, directory="build/neon/15")
        self.assert_built_for(b, directory="build/neon/17")
        # Two makes in one directory would both compile.
        self.assertEqual(done.stdout.count(f"-o {self.tree}/build/neon/17/objects/src/neon.o"), 1)
        self.assertTrue(list(self.directory.glob("installed/**/neon.so")))

    def test_servers_that_cannot_be(self):
        a, b = self.server("a"), self.server("b")
        for configs, message in (
            (f"{a} {b}", "two are of PostgreSQL 15"),
            (f"{a} /no/such/pg_config", "there is no program /no/such/pg_config"),
            (f"{a} /bin/true", "/bin/true is not a pg_config"),
        ):
            with self.subTest(message):
                result = self.make("modules", f"PG_CONFIGS={configs}", f"PG_CONFIG={a}", status=2)
                self.assertEqual(result.stderr.splitlines()[0], f"PG_CONFIGS: {message}")
                self.assertFalse((self.tree / "build/neon/15/neon.so").exists())

    def test_only_servers_that_are_not_here_are_fetched(self):
        """`deps` may install the system's own server after make has read the Makefile."""
        fetched = self.tree / "fetched"
        self.write("scripts/fetch_server.sh", f'#!/bin/sh\necho "$1" >>{fetched}\n', 0o755)
        of_15, of_17 = self.server("a"), self.server("b", "17.2")
        later = self.directory / "later"
        later.symlink_to(self.directory / "nothing")
        self.write("scripts/deps.sh", f"#!/bin/sh\nln -sfn {of_15.parent} {later}\n", 0o755)
        system = self.directory / "system"
        (system / "18").mkdir(parents=True)
        (system / "18" / "bin").symlink_to(self.server("c", "18.1").parent)
        (system / "18" / "bin" / "postgres").chmod(0o755)
        for config, place, expected in (
            (later / "pg_config", self.directory / "none", ["17", "18"]),
            (of_17, self.directory / "none", ["15", "18"]),
            (of_17, system, ["15"]),
        ):
            with self.subTest(config=config, system=place):
                fetched.unlink(missing_ok=True)
                servers = [f"SERVERS={self.directory}/servers", f"SYSTEM_SERVERS={place}"]
                self.make("servers", f"PG_CONFIG={config}", *servers)
                self.assertEqual(fetched.read_text("utf-8").split(), expected)
        made = self.make("with-servers", "COMMAND=printenv PG_CONFIGS", f"PG_CONFIG={of_17}", *servers)
        self.assertEqual(made.stdout.splitlines()[-1].strip(), f"{system}/18/bin/pg_config")

    def test_the_program_is_of_the_server_that_was_asked_for(self):
        first, second = self.server("a"), self.server("b", "17.2")
        for config in (first, second, first):
            self.make("program", f"PG_CONFIG={config}")
            said = subprocess.run([self.tree / "build/program"], capture_output=True, text=True, check=True)
            self.assertEqual(said.stdout, f"{config.parent}\n")
        again = self.make("program", f"PG_CONFIG={first}")
        self.assertNotIn("meson", again.stdout)


if __name__ == "__main__":
    unittest.main()
