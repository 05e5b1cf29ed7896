"""How all commands of neon-redo are asked and how they fail: help, wrong usage, values of options,
errors as JSON, and what happens when the machine is short of something."""

import json
import os
import re
import resource
import subprocess
import tempfile
import unittest

from cluster import neon_redo_program, run_neon_redo

COMMANDS = """verify restore receive receive-logical serve-wal waldump page find history index ingest
    worker doctor bench replay""".split()
TRY = '"neon-redo {} --help"'
LIST = 'neon-redo: hint: Try "neon-redo help" for the list of commands.'
NOWHERE = "/nonexistent"


def neon_redo(*arguments, **options):
    return run_neon_redo(*arguments, check=False, **options)


class CommandTestCase(unittest.TestCase):
    def refused(self, arguments, message, hint=None, **options):
        """The command ends with status 2 and these lines on standard error, and no others."""
        result = neon_redo(*arguments, **options)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(lines[0], f"neon-redo: error: {message}")
        self.assertEqual(lines[1:], [hint] if hint else [])
        return result

    def misused(self, arguments, message):
        return self.refused(
            arguments, message, f"neon-redo: hint: Try {TRY.format(arguments[0])} for more information."
        )


class Help(CommandTestCase):
    def test_list_of_commands(self):
        texts = {neon_redo(*words).stdout for words in (["help"], ["--help"], ["-?"], ["-h"])}
        self.assertEqual(len(texts), 1)
        (text,) = texts
        self.assertEqual(re.findall(r"^  ([a-z-]+)  +[a-z]", text, re.MULTILINE), COMMANDS)

    def test_each_command(self):
        for command in COMMANDS:
            with self.subTest(command):
                result = neon_redo("help", command)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertEqual(neon_redo(command, "--help").stdout, result.stdout)
                # Also beside options that are wrong or missing.
                self.assertEqual(neon_redo(command, "-?", "--frob").stdout, result.stdout)
                self.assertIn(f"Usage:\n  neon-redo {command} ", result.stdout)
                self.assertIn("\nOptions:\n", result.stdout)
                self.assertRegex(result.stdout, "\nExamples?:")
                self.assertIn("  -?, --help               show this help, then exit\n", result.stdout)
                self.assertLessEqual(max(map(len, result.stdout.splitlines())), 80)

    def test_an_option_that_commands_share_reads_the_same(self):
        described = {}
        for command in COMMANDS:
            text = neon_redo("help", command).stdout
            for option, words in re.findall(r"^ +(--[a-z-]+\S*)\s+(\S(?:.|\n {20,})*)", text, re.M):
                described.setdefault(option, set()).add(" ".join(words.split()))
        for option in ("--bindir=DIR", "--module=FILE", "--user=NAME", "--from=LSN", "--to=LSN",
                       "--timeline=TLI", "--metrics=ADDRESS", "--dbname=CONNSTR",
                       "--worker-command=COMMAND", "--no-progress", "--no-sandbox"):  # fmt: skip
            self.assertEqual(len(described[option]), 1, described[option])

    def test_version(self):
        for option in ("-V", "--version"):
            for arguments in ([option], ["waldump", option]):
                version = neon_redo(*arguments).stdout
                self.assertRegex(version, r"^neon-redo \(neon_redo\) \d+\.\d+\n$")


class WrongUsage(CommandTestCase):
    def test_commands(self):
        self.refused(["frobnicate"], 'unrecognized command "frobnicate"', LIST)
        self.refused(["--frob", "verify"], 'unrecognized option "--frob"', LIST)
        self.refused([], "no command specified", LIST)
        self.refused(["help", "frobnicate"], 'unrecognized command "frobnicate"', LIST)
        self.refused(
            ["help", "verify", "a", "b"], 'too many command-line arguments (first is "a")', LIST
        )

    def test_options_and_arguments(self):
        for command in COMMANDS:
            if command == "worker":
                continue  # ignores what it does not know
            surplus = ["one", "two", "three"]
            first = {"find": "two", "history": "two", "page": "two", "replay": "two", "waldump": "three"}.get(command, "one")
            with self.subTest(command):
                self.misused([command, "--frob", "x"], 'unrecognized option "--frob"')
                self.misused([command, "-Q"], 'unrecognized option "-Q"')
                self.misused(
                    [command, *surplus], f'too many command-line arguments (first is "{first}")'
                )
        self.misused(["waldump", "--wal"], 'option "--wal" requires a value')
        self.misused(["verify", "--images=yes"], 'option "--images" does not take a value')
        self.misused(["ingest"], "option --wal or --restore-command is required")
        self.misused(["waldump"], "no WAL directory and no start specified")
        self.misused(["serve-wal"], "option --wal is required")
        self.misused(["page", "--wal=x", "--lsn=end"], "no page specified")
        self.misused(["history", "--wal=x"], "no page or relation specified")
        self.misused(["find"], "option --wal is required")
        self.misused(["find", "--wal=x", "--before-drop"],
                     "no relation specified: --before-drop and --tid need one")
        self.misused(["find", "--wal=x", "base/5/1", "--tid=(0,1)", "--commits"],
                     "--before-drop, --tid and kinds of places exclude each other")
        self.misused(["history", "--wal=x", "--table=t"], "option --table requires option --database")
        self.misused(["page", "--lsn=end", "base/5/1/0"], "option --wal or --restore-command is required")
        for_backup = "--label is for --base-backup: give it too"
        self.misused(["page", "--wal=x", "--lsn=end", "--label=x", "base/5/1/0"], for_backup)
        self.refused(["verify", "--wal=x", "--images", "--label=x"], for_backup)
        self.check_options_of_backups()
        self.refused(
            ["verify", "--images"],
            "give --wal DIR or --restore-command COMMAND, or --follow --dbname CONNINFO for a running server",
        )
        self.misused(["replay"], "no file specified")
        self.misused(
            ["receive", "--wal=x", "--create-slot"], "option --create-slot requires option --slot"
        )
        # The name of a command is nothing special where an argument stands.
        self.misused(
            ["ingest", "--wal=x", "bench"], 'too many command-line arguments (first is "bench")'
        )

    def check_options_of_backups(self):
        """An option that would do nothing is refused."""
        follow = ["verify", "--follow", "--dbname=x"]
        for others in (follow, ["verify", "--wal=x", "--images"], ["verify", "--wal=x", "--explain=base/5/1/0"]):
            for option in ("--quick", "--max-rate=1M", "--patience=1s"):
                name = option.split("=")[0]
                reason = f"{name} is for --base-backup: leave out --follow, --images and --explain"
                self.refused([*others, option], reason)
        backup = ["verify", "--wal=x", "--base-backup=x"]
        without = {name: value for name, value in os.environ.items() if name != "PGDATA"}
        for more in ([], ["--until=0/5000000"], ["--ledger=x"]):
            self.refused(
                [*backup, *more, "--patience=1s"],
                "--patience is for a comparison with a running server: give --against PGDATA, or leave it out",
                env=without,
            )
        # Before the server is asked anything.
        self.refused(
            [*backup, "--ledger=x", "--against-dbname=host=/nowhere"],
            "--ledger is of a backup and its WAL, and a comparison must read all: leave out --against or "
            "--against-dbname, or --ledger",
        )

    def wrong_value(self, command, option, value, why):
        self.refused([command, option, value], f'invalid value "{value}" for option {option}: {why}')

    def test_numbers(self):
        large = "9" * 30
        for value in ("0", "257", large):
            self.wrong_value("verify", "--jobs", value, "it must be between 1 and 256")
        for value in ("many", "1.5", "0x1", "1 "):
            self.wrong_value("verify", "--jobs", value, "it must be an integer")
        for value in (large, "-1", "first"):
            self.wrong_value(
                "bench", "--pin", value, 'it must be the number of a processor, or "none"'
            )
        for command in ("waldump", "ingest", "page"):
            for value in ("0", "4294967296", large):
                self.wrong_value(
                    command, "--timeline", value, "it must be between 1 and 4294967295"
                )
        self.wrong_value("serve-wal", "--port", "65536", "it must be between 1 and 65535")

    def test_sizes(self):
        self.wrong_value(
            "verify", "--memory", "512", "the unit is missing; write 512kB, 512MB or 512GB"
        )
        self.wrong_value("verify", "--memory", "1MB", "it must be at least 16MB")
        self.wrong_value(
            "verify", "--memory", "5M", "valid units are B, kB, MB, GB and TB, as in 512MB"
        )
        self.wrong_value("verify", "--memory", "9" * 30 + "GB", "it must be less than 8388608TB")
        self.wrong_value(
            "worker", "--memory-limit", "64", "the unit is missing; write 64kB, 64MB or 64GB"
        )

    def test_locations_durations_and_choices(self):
        for command, option in (
            ("waldump", "--from"), ("waldump", "--to"), ("ingest", "--from"), ("ingest", "--to"),
            ("receive", "--until"), ("receive-logical", "--until"), ("verify", "--start"),
        ):  # fmt: skip
            self.wrong_value(command, option, "x", "it must be an LSN, such as 16/B374D848")
        self.wrong_value(
            "page", "--lsn", "last", 'it must be an LSN, such as 16/B374D848, or "end"'
        )
        for command, option in (
            ("receive", "--status-interval"), ("receive-logical", "--status-interval"),
            ("receive", "--stall-timeout"), ("serve-wal", "--timeout"), ("bench", "--seconds"),
        ):  # fmt: skip
            self.wrong_value(
                command, option, "soon", "it must be a number of seconds, or have a unit as in 500ms"
            )
        for command in ("verify", "waldump", "page", "ingest", "doctor", "bench"):
            self.wrong_value(command, "--format", "xml", "it must be text or json")
        for command in ("verify", "bench"):
            self.wrong_value(command, "--engine", "magic", "it must be auto, native or worker")
        self.wrong_value("receive", "--compress", "gzip", "it must be lz4 or zstd")
        self.wrong_value("waldump", "--wal", "", "a path must not be empty")


class ErrorsAsJson(CommandTestCase):
    def error(self, *arguments):
        result = neon_redo(*arguments)
        self.assertEqual(result.returncode, 2)
        shown = json.loads(result.stdout)
        lines = [f"neon-redo: error: {shown['error']}"]
        if "hint" in shown:
            lines.append(f"neon-redo: hint: {shown['hint']}")
        self.assertEqual(result.stderr.splitlines(), lines)
        return shown["error"]

    def test_status_2_has_an_object(self):
        for command, *needed in (
            ["verify", "--images"], ["waldump"], ["waldump", "--stats"], ["ingest"],
            ["page", "--lsn=end", "base/5/1/0"], ["bench"],
        ):  # fmt: skip
            with self.subTest(command):
                wal = f"--wal={NOWHERE}"
                self.assertIn(NOWHERE, self.error(command, wal, *needed, "--format=json"))
                self.assertIn(NOWHERE, self.error(command, wal, *needed, "--format", "json"))

    def test_wrong_usage_too(self):
        self.assertIn("--frob", self.error("verify", "--frob", "--format=json"))
        self.assertIn("--jobs", self.error("verify", "--jobs=x", "--format", "json"))
        self.assertIn("frobnicate", self.error("frobnicate", "--format=json"))
        self.assertIn(NOWHERE, self.error("serve-wal", "--status", "--json", f"--socket={NOWHERE}"))

    def test_a_worker_has_no_such_option(self):
        # Its standard output is the protocol's.
        result = neon_redo("worker", "--format=json", f"--bindir={NOWHERE}", stdin=subprocess.DEVNULL)
        self.assertEqual((result.returncode, result.stdout), (2, ""))


class Environment(CommandTestCase):
    def test_pgdata_is_told(self):
        arguments = ["verify", f"--wal={NOWHERE}", f"--base-backup={NOWHERE}"]
        environment = {**os.environ, "PGDATA": "/some/where"}
        result = neon_redo(*arguments, env=environment)
        said = 'neon-redo: comparing with "/some/where", the value of PGDATA; unset PGDATA to replay WAL only'
        self.assertEqual(result.stderr.splitlines()[0], said)
        for others in (["--against=/else"], ["--explain=base/5/1/0"]):
            self.assertNotIn("PGDATA", neon_redo(*arguments, *others, env=environment).stderr)


class ShortOfSomething(CommandTestCase):
    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            command = [neon_redo_program(), "waldump", "--rmgr=list"]
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(
                result.stderr,
                "neon-redo: error: could not write to standard output: No space left on device\n",
            )

    def test_memory(self):
        # Little more than the program itself maps before main.
        with tempfile.TemporaryDirectory() as directory:
            name = os.path.join(directory, "000000010000000000000001")
            with open(name, "wb") as file:
                file.truncate(16 << 20)

            for megabytes in (400, 300, 250, 200):
                limit = megabytes << 20
                result = neon_redo(
                    "waldump", "--wal", directory,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),  # noqa: B023
                )  # fmt: skip
                # 127: the loader found no memory for the program's libraries.
                self.assertIn(result.returncode, (2, 127), result.stderr)


if __name__ == "__main__":
    unittest.main()
