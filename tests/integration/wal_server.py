"""A running neon-redo serve-wal for the tests, as the server's user, and its clients."""

import os
import pathlib
import shutil
import signal
import subprocess

from cluster import (
    as_server_user,
    make_directory,
    neon_redo_program,
    run,
    server_program,
    server_user,
)

WAIT = 30  # seconds until something that must happen counts as not happening


def chown(path):
    if user := server_user():
        run(["chown", "-R", user, path])


def before(text):
    """The LSN one byte before an LSN."""
    high, low = text.split("/")
    position = (int(high, 16) << 32) + int(low, 16) - 1
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


class WalServer:
    """Everything lies in one directory: the socket, a copy of the program, the log."""

    def __init__(self, wal, *arguments):
        self.wal = wal
        self.arguments = arguments
        self.process = None

    def __enter__(self):
        self.directory = make_directory()
        self.log_path = os.path.join(self.directory, "log")
        # The tree may be below /root.
        self.program = os.path.join(self.directory, "neon-redo")
        shutil.copy(neon_redo_program(), self.program)
        os.chmod(self.program, 0o755)
        self.start()
        return self

    def __exit__(self, *_exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        command = [self.program, "serve-wal", "--wal", self.wal, "--socket", self.directory]
        self.process = subprocess.Popen(
            as_server_user([*command, *self.arguments], die_with_parent=True),
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
        )
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if "listening on" in line:
                break
        else:
            raise AssertionError("".join(lines))
        with open(self.log_path, "ab") as log:
            log.write("".join(lines).encode())
            # From here on the program's lines go to the file by way of cat.
            self.cat = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=log)
        self.process.stderr.close()

    def stop(self):
        """SIGTERM; returns the exit status once all has gone out."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(WAIT)
        self.cat.wait(WAIT)
        return status

    def log(self):
        return pathlib.Path(self.log_path).read_text("utf-8")

    # Clients.

    def conninfo(self, application_name="test"):
        return f"host={self.directory} port=5432 user=postgres application_name={application_name}"

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "HOME": self.directory}  # libpq looks for files in it

    def run(self, command, **options):
        return run(
            as_server_user(command),
            cwd=self.directory,
            env=self.environment(),
            timeout=WAIT,
            **options,
        )

    def query(self, command, check=True, conninfo=None):
        """One replication command by psql; rows unaligned, the error with its SQLSTATE."""
        conninfo = conninfo or self.conninfo() + " replication=true"
        psql = [server_program("psql"), "-X", "-q", "-A", "-t", "-d", conninfo]
        result = self.run([*psql, "-v", "VERBOSITY=verbose", "-c", command], check=check)
        return result.stdout.strip() if check else result.stderr

    def pg_receivewal(self, directory, end=None, *arguments, start=None):
        """Command line of one that ends by itself at `end`. `start`: a segment file to go behind."""
        if not os.path.exists(directory):
            os.mkdir(directory)
        if start:
            shutil.copy(start, directory)
        chown(directory)
        command = [server_program("pg_receivewal"), "--no-loop", "-D", directory, "-d"]
        command += [self.conninfo("pg_receivewal"), *arguments]
        # It ends behind its --endpos, not at it.
        return [*command, "--endpos", before(end)] if end else command

    def receive(self, directory, end, *arguments, start=None):
        """Command line of neon-redo receive."""
        if not os.path.exists(directory):
            os.mkdir(directory)
        if start:
            shutil.copy(start, directory)
        chown(directory)
        command = [self.program, "receive", "--dbname", self.conninfo("receive"), "--wal", directory]
        return [*command, "--until", end, "--status-interval", "0.2", *arguments]
