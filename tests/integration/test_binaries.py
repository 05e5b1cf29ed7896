"""How the program, the module and the library are hardened, read from their ELF files.

The flags are those of Debian's packages: addresses are resolved before the program starts and then
read-only, code is at random addresses, the stack is not executable and has canaries, and functions
of the C library check sizes that the compiler knows.
"""

import pathlib
import re
import subprocess
import unittest

from cluster import ROOT, neon_redo_program


def readelf(*arguments):
    command = ["readelf", "--wide", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def undefined(path):
    """Names of functions that a file takes from elsewhere; of a library, by all its members."""
    names = set()
    for line in readelf("--symbols", path).splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[6] == "UND":
            names.add(fields[7].split("@")[0])
    return names


class Binaries(unittest.TestCase):
    def assert_hardened_code(self, path):
        names = undefined(path)
        self.assertIn("__stack_chk_fail", names, path)
        self.assertTrue(
            any(re.fullmatch(r"__\w+_chk", name) for name in names), f"no fortified function: {path}"
        )

    def assert_hardened(self, path):
        self.assert_hardened_code(path)
        dynamic = readelf("--dynamic", path)
        self.assertRegex(dynamic, r"\bNOW\b", path)
        segments = readelf("--segments", path)
        self.assertIn("GNU_RELRO", segments, path)
        stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
        self.assertIn(" RW ", stack, path)
        self.assertIn("DYN", readelf("--file-header", path), path)
        return dynamic

    def test_program(self):
        program = pathlib.Path(neon_redo_program()).resolve()
        self.assertRegex(self.assert_hardened(program), r"Flags: .*\bPIE\b")

    def test_module(self):
        self.assert_hardened(ROOT / "neon.so")

    def test_libraries(self):
        libraries = sorted((ROOT / "build" / "cpp_core").glob("*.a"))
        self.assertTrue(libraries)
        for path in libraries:
            with self.subTest(path.name):
                self.assertIn("__stack_chk_fail", undefined(path))
        self.assertTrue(
            any(
                re.fullmatch(r"__\w+_chk", name)
                for path in libraries
                for name in undefined(path)
            )
        )


if __name__ == "__main__":
    unittest.main()
