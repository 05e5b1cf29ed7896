"""README and docs/: links and paths lead somewhere, options exist, and the tutorial compiles."""

import functools
import re
import subprocess
import tempfile
import unittest

from cluster import ROOT, pg_config, run, run_neon_redo

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# Options of other programs that sentences name: postgres, the page server's worker, tests/bench.
FOREIGN = {"--single", "--wal-redo", "--tenant-shard-id", "--scale", "--transactions", "--directory"}


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The names that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@functools.cache
def options(command):
    """The options that `neon-redo COMMAND --help` shows."""
    return set(OPTION.findall(run_neon_redo(*filter(None, [command]), "--help").stdout))


@functools.cache
def commands():
    text = run_neon_redo("--help").stdout
    listed = re.split(r"^(?:Subc|C)ommands:$", text, flags=re.MULTILINE)[1]
    return re.findall(r"^  ([a-z][a-z-]+) ", listed, re.MULTILINE)


def calls(text):
    """(command, arguments) of each call of neon-redo in the text, up to a pipe or a redirection."""
    joined = text.replace("\\\n", " ")
    names = "|".join(sorted(commands(), key=len, reverse=True))
    return re.findall(rf"neon-redo ({names})(?![\w-])([^|>&`\n]*)", joined)


class Docs(unittest.TestCase):
    def test_links(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                file = (page.parent / name).resolve() if name else page
                with self.subTest(page=page.name, link=target):
                    self.assertTrue(file.exists(), f"{file} does not exist")
                    if anchor:
                        self.assertIn(anchor, anchors(file))

    def test_paths(self):
        """Files of the tree that sentences name."""
        name = re.compile(r"`((?:cli|contrib|cpp_core|docs|examples|sql|src|tests)/[\w./*@-]+)")
        for page in PAGES:
            for path in name.findall(without_code(page.read_text("utf-8"))):
                with self.subTest(page=page.name, path=path):
                    self.assertTrue(list(ROOT.glob(path)), "no such file")

    def test_options_of_commands(self):
        seen = 0
        for page in PAGES:
            for command, arguments in calls(page.read_text("utf-8")):
                for option in OPTION.findall(arguments):
                    seen += 1
                    with self.subTest(page=page.name, command=command, option=option):
                        self.assertIn(option, options(command))
        self.assertGreater(seen, 50)

    def test_options_in_sentences(self):
        known = FOREIGN.union(*(options(command) for command in commands()))
        for page in PAGES:
            for code in re.findall(r"`(--[^`]+)`", without_code(page.read_text("utf-8"))):
                for option in OPTION.findall(code):
                    with self.subTest(page=page.name, option=option):
                        self.assertTrue(option in known, "no command has this option")

    def test_tutorial_compiles(self):
        """The blocks of each section of docs/index.md are the body of a function."""
        parts = []
        for number, section in enumerate(re.split(r"^## ", (ROOT / "docs/index.md").read_text("utf-8"), flags=re.MULTILINE)):
            blocks = re.findall(r"^```cpp\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
            if blocks and blocks[0].startswith("#include"):
                parts.append(blocks[0])
            elif blocks:
                parts.append(f"Status Section{number}() {{\n{''.join(blocks)}return {{}};\n}}\n")
        self.assertGreater(len(parts), 6)
        includes = ["-I", ROOT / "cpp_core/include"]
        with tempfile.NamedTemporaryFile("w", suffix=".cpp") as file:
            file.write("\n".join(parts))
            file.flush()
            command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-fsyntax-only", *includes, file.name]
            run(command)


if __name__ == "__main__":
    unittest.main()
