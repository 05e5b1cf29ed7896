"""Barman and pgBackRest for throw-away clusters: each with a configuration, and a repository, of its own in
the cluster's directory."""

import os
import pathlib
import shutil

# What the tests need besides what the build needs; scripts/deps.sh installs it.
PACKAGES = ("barman", "pgbackrest", "rsync")
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


def missing():
    """The packages whose program is not there."""
    return [name for name in PACKAGES if shutil.which(name) is None]


def write_program(path, text):
    pathlib.Path(path).write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)


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

    def recover(self, backup, target, *options):
        staging = f"--recovery-staging-path={self.home}"
        self.run("recover", staging, *options, "main", os.path.basename(backup), target)
