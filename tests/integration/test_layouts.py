"""The tables and structs of cpp_core/pg against the headers of each server in PG_CONFIGS, by the compiler
(tests/unit/pg_*_layout_check.cpp). The build does it for the server of PG_CONFIG alone.
"""

import os
import unittest

from cluster import ROOT, pg_config, run


def include_directories():
    """By major version. PG_CONFIGS names programs, with spaces between them."""
    programs = os.environ.get("PG_CONFIGS", "").split()
    found = {pg_config("version"): pg_config("includedir-server")}
    for program in programs:
        version = run([program, "--version"]).stdout.strip()
        found[version] = run([program, "--includedir-server"]).stdout.strip()
    return found


class Layouts(unittest.TestCase):
    def test_agree_with_the_servers_headers(self):
        checks = sorted((ROOT / "tests" / "unit").glob("pg_*_layout_check.cpp"))
        self.assertEqual(len(checks), 3)
        compiler = [*os.environ.get("CXX", "g++").split(), "-std=c++20", "-fsyntax-only", "-w"]
        ours = ["-I", ROOT, "-I", ROOT / "cpp_core" / "include"]
        for version, directory in include_directories().items():
            for check in checks:
                with self.subTest(server=version, check=check.name):
                    result = run([*compiler, *ours, "-isystem", directory, check], check=False)
                    self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
