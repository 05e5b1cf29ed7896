#!/usr/bin/env python3
"""The list of the library's public symbols, cpp_core/include/neon_redo.symbols.

Usage: symbols.py [--write] DIRECTORY   where DIRECTORY has the archives (build/cpp_core, or LIBDIR)

A symbol is public when a public header declares it outside a private part. The list shows, for each
archive, what programs can link. A line that goes away or changes breaks programs, so a change of the
list is a decision: symbols.py --write build/cpp_core makes it. Inline functions and types are not
in the list.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADERS = ROOT / "cpp_core" / "include" / "neon_redo"
LIST = ROOT / "cpp_core" / "include" / "neon_redo.symbols"
ARCHIVES = ("neon_redo_wal", "neon_redo", "neon_redo_verify", "neon_redo_net")


def declared():
    """Names of functions by class, and by None those outside classes, in the headers' public parts."""
    names = {None: set()}
    for header in HEADERS.glob("*.h"):
        text = re.sub(r"//.*", "", header.read_text())
        for name, body in re.findall(r"^(?:class|struct) (\w+) \{(.*?)^\};", text, flags=re.M | re.S):
            public = re.sub(r"^ private:.*", "", body, flags=re.M | re.S)
            declarations = [d for d in public.split(";") if "= delete" not in d]
            names[name] = set(re.findall(r"(~?[A-Za-z_]\w*)\s*\(", ";".join(declarations)))
        outside = re.sub(r"^(?:class|struct) \w+ \{.*?^\};", "", text, flags=re.M | re.S)
        names[None].update(re.findall(r"([A-Za-z_]\w*)\s*\(", outside))
    return names


def is_public(symbol, names):
    """Whether a demangled symbol is neon_redo::FUNCTION or neon_redo::CLASS::FUNCTION of a header."""
    path = re.match(r"neon_redo::(?:(\w+)::)?(~?\w+)\(", symbol)
    return bool(path) and path.group(2) in names.get(path.group(1), ())


def symbols(directory):
    """The list's text for the archives below a directory."""
    names = declared()
    lines = []
    for name in ARCHIVES:
        (archive,) = pathlib.Path(directory).rglob(f"lib{name}.a")
        listed = subprocess.run(
            ["nm", "--demangle", "--defined-only", "--extern-only", "--format=posix", archive],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = set()
        for line in listed.splitlines():
            match = re.match(r"(neon_redo::.*) T [0-9a-f]+", line.replace("[abi:cxx11]", ""))
            if match and is_public(match.group(1), names):
                found.add(match.group(1))
        lines.append(f"lib{name}.a")
        lines.extend(f" {symbol}" for symbol in sorted(found))
    return "\n".join(lines) + "\n"


def main():
    arguments = sys.argv[1:]
    write = "--write" in arguments
    (directory,) = [a for a in arguments if a != "--write"]
    text = symbols(directory)
    if write:
        LIST.write_text(text)
        return 0
    if text == LIST.read_text():
        return 0
    print("the public symbols differ from cpp_core/include/neon_redo.symbols", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
