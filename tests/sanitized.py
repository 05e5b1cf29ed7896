"""The build with the Address and Undefined Behaviour sanitizers, which several runners share."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build-asan"

# Detected errors end the program instead of scrolling by.
OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "NEON_REDO_TEST_TIMEOUT": "900",  # seconds for one unit test, which takes several times as long
}


def build(*targets):
    """Builds the targets; returns whether that worked."""
    if not (BUILD / "build.ninja").exists():
        options = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"]
        options += ["-Ddebug=false", "-Dcpp_args=-g1"]  # lines in reports, not variables
        options.append(f"-Dpg_config={os.environ.get('PG_CONFIG', 'pg_config')}")
        subprocess.run(["meson", "setup", BUILD, *options], cwd=ROOT, check=True)
    return subprocess.run(["ninja", "-C", BUILD, *targets], cwd=ROOT, check=False).returncode == 0
