"""Barman and pgBackRest for throw-away clusters: each with a configuration, and a repository, of its own in
the cluster's directory."""

import os
import pathlib
import re
import shutil
import subprocess

from cluster import Cluster, make_directory, pg_config, run, servers

# Programs that pack, by suffix. All of them know -1, -c and -d.
PACKERS = {
    "": None,
    ".gz": ["gzip"],
    ".lz4": ["lz4"],
    ".zst": ["zstd"],
    ".bz2": ["bzip2"],
    ".lzma": ["xz", "--format=lzma"],
    ".br": ["brotli"],
}
FINAL_BLOCKS = (2, 46)  # the first pgBackRest whose block incremental backups have their final form

SETTINGS = {"wal_level": "replica", "max_wal_size": "2GB", "autovacuum": "off"}

# Its words are options, the host (also as an empty word by rsync) and the command.
NO_SSH = """#!/bin/sh
while :; do
  case $1 in
    -o | -l) shift 2 ;;
    here | '') shift ;;
    *) break ;;
  esac
done
eval "$*"
"""


def need(case, program):
    """Skips a test without the program, which `make test` installs."""
    if shutil.which(program) is None:
        case.skipTest(f"{program} is not installed")


def version_of(program):
    """(2, 55, 1): what the tools do and where they keep it differs."""
    option = "--version" if program == "barman" else "version"
    text = run([program, option]).stdout
    return tuple(int(part) for part in re.search(r"\d+(\.\d+)+", text)[0].split("."))


def block_pgbackrest(case):
    """A pgBackRest with block incremental backups in their final form: the system's, or the one that comes with the
    server of 17. Skips a test without one."""
    programs = [shutil.which("pgbackrest")]
    if 17 in servers():
        programs.append(shutil.which(pathlib.Path(pg_config("bindir", 17)).parents[3] / "bin" / "pgbackrest"))
    program = next((path for path in programs if path and version_of(path) >= FINAL_BLOCKS), None)
    if program is None:
        case.skipTest("no pgbackrest of 2.46 or later (make servers)")
    return program


def packed(data, suffix):
    if PACKERS[suffix] is None:
        return data
    return subprocess.run([*PACKERS[suffix], "-1", "-c"], input=data, capture_output=True, check=True).stdout


def unpacked(data, suffix):
    if PACKERS[suffix] is None:
        return data
    return subprocess.run([*PACKERS[suffix], "-dc"], input=data, capture_output=True, check=True).stdout


def write_program(path, text):
    pathlib.Path(path).write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)


def write_native_program(directory, program):
    """A neon-redo in the directory that runs the program, and needs no server of the WAL's version."""
    text = f'#!/bin/sh\ncommand=$1\nshift\nexec "{program}" "$command" --engine=native "$@"\n'
    write_program(os.path.join(directory, "neon-redo"), text)


class Barman:
    """Barman's home for one cluster, whose archive_command must be the one below."""

    def __init__(self, cluster, method="postgres", **settings):
        self.cluster = cluster
        self.home = os.path.join(cluster.directory, "barman")
        self.server = os.path.join(self.home, "main")
        self.configuration = os.path.join(cluster.directory, "barman.conf")
        cluster.run_as_server(["mkdir", "-p", self.home])
        # rsync's other side is this machine: what ssh would run there is run here.
        ssh = os.path.join(cluster.directory, "no_ssh")
        write_program(ssh, NO_SSH)
        connection = f"host={cluster.directory} port={cluster.port} user=postgres dbname=postgres"
        values = {
            "description": "'test'",
            "conninfo": connection,
            "streaming_conninfo": connection,
            "ssh_command": f"{ssh} here",
            "backup_method": method,
            "archiver": "on",
            "path_prefix": cluster.bindir,
            **settings,
        }
        lines = [
            "[barman]",
            "barman_user = postgres",
            f"barman_home = {self.home}",
            f"barman_lock_directory = {self.home}",
            f"log_file = {self.home}/log",
            "[main]",
            *(f"{name} = {value}" for name, value in values.items()),
        ]
        pathlib.Path(self.configuration).write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.run("check", "main", check=False)  # makes the directories
        cluster.psql(f"ALTER SYSTEM SET archive_command = 'cp %p {self.server}/incoming/%f'")
        cluster.psql("SELECT pg_reload_conf()")
        self.run("switch-wal", "--force", "--archive", "--archive-timeout=60", "main")

    def run(self, *arguments, **options):
        return self.cluster.run_as_server(["barman", "-c", self.configuration, *arguments], **options)

    def backup(self):
        """The directory of a new backup."""
        self.run("backup", "--immediate-checkpoint", "main")
        self.run("switch-wal", "--force", "--archive", "--archive-timeout=60", "main")
        return os.path.join(self.server, "base", self.run("list-backup", "--minimal", "main").stdout.split()[0])

    def info(self, backup):
        """The path of its backup.info."""
        if version_of("barman") < (3, 13):
            return os.path.join(backup, "backup.info")
        return os.path.join(self.server, "meta", os.path.basename(backup) + "-backup.info")

    def recover(self, backup, target, *options):
        staging = f"--recovery-staging-path={self.home}"
        self.run("recover", staging, *options, "main", os.path.basename(backup), target)


class PgBackRest:
    """A repository with one stanza for one cluster, in a directory that the caller removes. program: another
    pgbackrest than the system's."""

    def __init__(self, cluster, program="pgbackrest", **options):
        self.cluster = cluster
        self.program = program
        self.directory = make_directory("neon_redo.pgbackrest.")
        self.repository = os.path.join(self.directory, "repository")
        self.configuration = os.path.join(self.directory, "pgbackrest.conf")
        self.stanza = os.path.join(self.repository, "backup", "main")
        values = {
            "repo1-path": self.repository,
            "log-path": self.directory,
            "lock-path": self.directory,
            "spool-path": self.directory,
            "log-level-console": "warn",
            "log-level-file": "off",
            "start-fast": "y",
            "compress-type": "none",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        lines = ["[global]", *(f"{name}={value}" for name, value in values.items())]
        lines += ["[main]", f"pg1-path={cluster.data}", f"pg1-socket-path={cluster.directory}", f"pg1-port={cluster.port}"]
        lines += ["pg1-user=postgres"]
        pathlib.Path(self.configuration).write_text("\n".join(lines) + "\n", encoding="utf-8")
        cluster.psql(f"ALTER SYSTEM SET archive_command = '{program} --config={self.configuration} --stanza=main archive-push %p'")
        cluster.psql("SELECT pg_reload_conf()")
        self.run("stanza-create")

    def run(self, command, *options):
        words = [self.program, f"--config={self.configuration}", "--stanza=main", command]
        return self.cluster.run_as_server([*words, *options])

    def backup(self, kind):
        """A new backup, full, diff or incr; its label."""
        self.run("backup", f"--type={kind}")
        return os.readlink(os.path.join(self.stanza, "latest"))

    def restore(self, target, label, *options):
        self.cluster.run_as_server(["mkdir", target])
        self.run("restore", f"--pg1-path={target}", f"--set={label}", "--type=none", *options)


def with_tablespace(case, schema="", settings=None, **options):
    """A running cluster with a tablespace "ts" in the directory "far" of its own, for a class or a test."""
    enter = case.enterClassContext if isinstance(case, type) else case.enterContext
    cluster = enter(Cluster(settings={**SETTINGS, **(settings or {})}, **options))
    far = os.path.join(cluster.directory, "far")
    cluster.run_as_server(["mkdir", far])
    cluster.psql(f"CREATE TABLESPACE ts LOCATION '{far}'")
    if schema:
        cluster.psql(schema)
    return cluster
