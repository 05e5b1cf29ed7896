"""Throw-away PostgreSQL clusters for the integration tests, the demo and the benchmarks.

    with Cluster(settings={"wal_level": "logical"}) as cluster:
        cluster.psql("CREATE TABLE t (a int)")
        backup = cluster.basebackup("backup")
        cluster.stop()
        run_neon_redo("waldump", "--wal", cluster.wal)

Everything of a cluster lives in one temporary directory: data, backups, the Unix socket (there is no
TCP), the log. Leaving the block ends the server and removes the directory; so does the end of the
Python process by an exception, Ctrl-C or (after exit_on_signals()) SIGTERM or SIGHUP. Should Python
be killed outright, the kernel tells the server to shut down; only the directory then stays.

PostgreSQL refuses to run as root, so a root caller runs it as the user postgres.

The server is that of the environment's PG_CONFIG. A test that needs several major versions at once
takes them from servers().
"""

import atexit
import functools
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAJORS = (15, 17, 18)  # the versions that the tests are for
START_TIMEOUT = 120  # seconds; generous, since CI machines stall
STOP_TIMEOUT = 300  # a clean stop writes a checkpoint
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_open_clusters = []


class CommandFailed(Exception):
    """A program ended with another status than expected; the text shows what it printed."""

    def __init__(self, command, result):
        self.returncode = result.returncode
        self.stdout = result.stdout
        self.stderr = result.stderr
        words = " ".join(str(word) for word in command)
        super().__init__(f"exit status {result.returncode}: {words}\n{result.stdout}{result.stderr}")


def exit_on_signals():
    """Makes SIGTERM and SIGHUP end the program the way Ctrl-C does, with its cleaning up. And Ctrl-C
    itself, which a shell makes its background jobs, and all that they start, ignore."""

    def leave(number, _frame):
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def pg_config(what, version=None):
    """pg_config("bindir") and the like, of the PostgreSQL named by the environment's PG_CONFIG, or of
    the one of another major version in servers()."""
    program = servers()[version] if version else os.environ.get("PG_CONFIG", "pg_config")
    return run([program, f"--{what}"]).stdout.strip()


def _major(version):
    return int(re.match(r"PostgreSQL (\d+)", version).group(1))


@functools.cache
def major():
    """The major version of that PostgreSQL: 15."""
    return _major(pg_config("version"))


@functools.cache
def servers():
    """The servers that modules were built for: the program pg_config of each, by major version. They are
    those of PG_CONFIG and of PG_CONFIGS (names with spaces between them)."""
    found = {major(): os.environ.get("PG_CONFIG", "pg_config")}
    for program in os.environ.get("PG_CONFIGS", "").split():
        found.setdefault(_major(run([program, "--version"]).stdout), program)
    return {version: found[version] for version in sorted(found) if version in MAJORS}


def server_program(name, version=None):
    """Absolute path of one of PostgreSQL's programs."""
    return os.path.join(pg_config("bindir", version), name)


def server_user():
    """The user the server runs as, or None when it is the caller."""
    return "postgres" if os.geteuid() == 0 else None


def as_server_user(command, die_with_parent=False):
    """The command line that runs `command` as the server's user."""
    prefix = ["setpriv"]
    if user := server_user():
        entry = pwd.getpwnam(user)
        prefix += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"]
    if die_with_parent:
        prefix += ["--pdeathsig", "INT"]
    return prefix + [str(word) for word in command] if len(prefix) > 1 else [str(w) for w in command]


# Why verify may leave pages out (docs/verify.md); damage must not hide behind another reason.
VERIFY_SKIPS = {
    "database dropped",
    "database created by file copy",
    "free space map",
    "relation dropped",
    "relation truncated",
    "visibility map copied by CREATE DATABASE",
}

# Much WAL in little time, all of it kept, and nothing in it that was not asked for.
MUCH_WAL = {
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "64GB",
    "wal_keep_size": "64GB",
    "synchronous_commit": "off",
    "fsync": "off",
}


def run(command, check=True, text=True, **options):
    """subprocess.run with output captured; check raises CommandFailed, which shows the output."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=text, **options
    )
    if check and result.returncode != 0:
        raise CommandFailed(command, result)
    return result


def neon_redo_program():
    """Path of the program under test: $NEON_REDO, or the one this tree built."""
    return os.environ.get("NEON_REDO", str(ROOT / "build" / "neon-redo"))


def module_directory(version=None):
    """Where neon.so for that server was built: the tree, or build/neon/MAJOR (make PG_CONFIGS=…)."""
    built_for = ROOT / "build" / "neon" / "built_for"
    if built_for.exists() and built_for.read_text("utf-8").splitlines()[:1] == [pg_config("bindir", version)]:
        return ROOT
    return ROOT / "build" / "neon" / str(version or major())


def module_make(version=None):
    """The command that makes what PGXS makes for that server."""
    program = servers()[version or major()]
    directory = module_directory(version)
    # In the tree, a make with -f would build and install the module alone.
    beside = [] if directory == ROOT else ["-f", ROOT / "Makefile"]
    return ["make", "-C", directory, *beside, f"PG_CONFIG={program}", "PG_CONFIGS="]


def make_install(directory, version=None):
    """make install below a directory; a root caller's files stay readable for the server."""
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    run([*module_make(version), "install", f"DESTDIR={directory}"], env=environment, umask=0o022)


def private_server(directory):
    """make install into a copy of the server, and returns the copy's bindir.

    PostgreSQL looks for its files by the place of its executable (make_relative_path in
    src/port/path.c). So two copied executables in a tree of links make a server of its own in which
    an extension can be created, with nothing installed on the system and no rights needed.
    """
    make_install(directory)
    for what in ("pkglibdir", "sharedir"):
        _link_entries(pg_config(what), directory + pg_config(what))
    extensions = os.path.join(pg_config("sharedir"), "extension")
    _link_entries(extensions, directory + extensions)
    bindir = directory + pg_config("bindir")
    os.makedirs(bindir)
    for program in ("postgres", "initdb"):
        shutil.copy2(server_program(program), bindir)  # stubs are told by the time of change
    _link_entries(pg_config("bindir"), bindir)
    return bindir


def _link_entries(source, target):
    for name in os.listdir(source):
        link = os.path.join(target, name)
        if not os.path.lexists(link):
            os.symlink(os.path.join(source, name), link)


def run_neon_redo(*arguments, check=True, **options):
    """Runs neon-redo, output captured; returns subprocess.CompletedProcess. Its caches are this process's."""
    environment = {"XDG_CACHE_HOME": cache_directory(), **options.pop("env", os.environ)}
    return run([neon_redo_program(), *arguments], check=check, env=environment, **options)


@functools.cache
def cache_directory():
    """Removed at the end."""
    directory = tempfile.mkdtemp(prefix="neon_redo.cache.")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def copy_module(directory, version=None):
    """Copies neon.so, and the stub libraries beside it, to where the server's user can read them
    (the tree may be below /root). Returns the module's path."""
    source = module_directory(version)
    os.makedirs(directory, exist_ok=True)
    target = os.path.join(directory, "neon.so")
    shutil.copy(source / "neon.so", target)
    stubs = os.path.join(directory, "neon_redo_stubs")
    shutil.copytree(source / "neon_redo_stubs", stubs, symlinks=True)
    run(["chmod", "-R", "a+rX", target, stubs])
    return target


def cases_of_each_server(names, bases, seeds=None):
    """A class of each base for each of servers(), with checksums, and for major() without them too. They get
    version, checksums and, if seeds() is given, seed, which it says for a version; and names, those of their
    module, has them then."""
    for version in servers():
        for checksums in (True, False) if version == major() else (True,):
            for base in bases:
                for seed in seeds(version) if seeds else (None,):
                    name = f"{base.__name__}{version}{'' if checksums else 'WithoutChecksums'}"
                    values = {"version": version, "checksums": checksums}
                    if seed is not None:
                        name, values["seed"] = f"{name}_{seed}", seed
                    names[name] = type(name, (base,), values | {"__module__": base.__module__})
                    yield names[name]


def make_directory(prefix="neon_redo."):
    """A new temporary directory that belongs to the server's user."""
    directory = tempfile.mkdtemp(prefix=prefix)
    if user := server_user():
        shutil.chown(directory, user, pwd.getpwnam(user).pw_gid)
    return directory


class Cluster:
    """One PostgreSQL server with its data directory; see the top of this file.

    settings: postgresql.conf entries, name to value.  initdb: further options of initdb.
    from_backup: a directory made by basebackup(), taken over as the data directory instead of
    running initdb.  standby_of: a running Cluster; this one is then its streaming standby.
    bindir: of private_server(), else of pg_config.  version: the major version, of servers().  start:
    whether entering the block starts the server.
    """

    def __init__(
        self,
        name="node",
        *,
        settings=None,
        checksums=True,
        wal_segment_mb=None,
        initdb=(),
        from_backup=None,
        standby_of=None,
        bindir=None,
        version=None,
        start=True,
    ):
        self.name = name
        self.settings = dict(settings or {})
        self.checksums = checksums
        self.wal_segment_mb = wal_segment_mb
        self.initdb = list(initdb)
        self.from_backup = from_backup
        self.standby_of = standby_of
        self.version = version or major()
        self.bindir = bindir or pg_config("bindir", version)
        self.start_on_entry = start
        self.process = None
        self.directory = None

    def program(self, name):
        """Absolute path of one of this server's programs."""
        return os.path.join(self.bindir, name)

    # Life of the directory.

    def __enter__(self):
        self.directory = make_directory()
        _open_clusters.append(self)
        try:
            self._create()
            if self.start_on_entry:
                self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """Ends the server and removes the directory. Further signals wait until that is done."""
        if self not in _open_clusters:
            return
        in_main = threading.current_thread() is threading.main_thread()
        handlers = {}
        if in_main:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                handlers[number] = signal.signal(number, signal.SIG_IGN)
        try:
            self._end_server()
            shutil.rmtree(self.directory, ignore_errors=True)
            _open_clusters.remove(self)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _create(self):
        self.data = os.path.join(self.directory, "data")
        self.wal = os.path.join(self.data, "pg_wal")
        self.log_file = os.path.join(self.directory, "log")
        self.port = 5432  # part of the socket's name only
        if self.standby_of:
            self.from_backup = self.standby_of.basebackup(f"for_{self.name}", "--wal-method=stream")
            self.run_as_server(["touch", os.path.join(self.from_backup, "standby.signal")])
            self.settings.setdefault(
                "primary_conninfo",
                f"host={self.standby_of.directory} port={self.standby_of.port}"
                f" user=postgres application_name={self.name}",
            )
        if self.from_backup:
            shutil.move(self.from_backup, self.data)
        else:
            self._run_initdb()
        self.configure(
            {
                "listen_addresses": "",
                "unix_socket_directories": self.directory,
                "port": self.port,
                "fsync": "off",  # the cluster never outlives the machine
                **self.settings,
            }
        )

    def _run_initdb(self):
        options = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        options += ["--locale=C.UTF-8"] + self.initdb
        if self.checksums:
            options.append("--data-checksums")
        elif self.version >= 18:
            options.append("--no-data-checksums")
        if self.wal_segment_mb:
            options.append(f"--wal-segsize={self.wal_segment_mb}")
        self.run_as_server([self.program("initdb"), "-D", self.data, *options])

    def configure(self, settings):
        """Appends to postgresql.conf; the last entry of a name wins."""
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            for name, value in settings.items():
                quoted = str(value).replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")

    # Life of the server.

    def start(self, check=True):
        """Starts the server and waits until it takes connections (or, check=False: or ends).

        Returns whether it runs. A server that ends instead raises CommandFailed with its log.
        """
        command = as_server_user([self.program("postgres"), "-D", self.data], die_with_parent=True)
        log_start = os.path.getsize(self.log_file) if os.path.exists(self.log_file) else 0
        with open(self.log_file, "ab") as log:
            # A session of its own: Ctrl-C is for us, and we then end the server in order.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            if self.process.poll() is not None:
                status, self.process = self.process.returncode, None
                if not check:
                    return False
                text = self.log()[log_start:]
                raise CommandFailed(command, subprocess.CompletedProcess(command, status, text, ""))
            if time.monotonic() > deadline:
                raise TimeoutError(f"server not ready after {START_TIMEOUT} s:\n{self.log()}")
            time.sleep(0.02)
        return True

    def _is_ready(self):
        """Reads the status line that the postmaster keeps for pg_ctl (utils/pidfile.h)."""
        try:
            lines = pathlib.Path(self.data, "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return False
        own = len(lines) >= 8 and int(lines[0]) == self.process.pid
        return own and lines[7].strip() in ("ready", "standby")

    def stop(self, mode="fast"):
        """Ends the server: smart, fast (both with a shutdown checkpoint) or immediate (a crash)."""
        self.process.send_signal(STOP_SIGNALS[mode])
        status = self.process.wait(STOP_TIMEOUT)
        self.process = None
        if status != 0 and mode != "immediate":
            raise RuntimeError(f"the server ended with status {status}:\n{self.log()}")

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def _end_server(self):
        """Ends the server however it goes, leaving no process and no shared memory."""
        if self.process is None:
            return
        segment = self._shared_memory_segment()
        for number, patience in ((signal.SIGINT, 20), (signal.SIGQUIT, 20), (signal.SIGKILL, None)):
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        if self.process.returncode < 0 and segment:
            subprocess.run(["ipcrm", "-m", segment], check=False, stderr=subprocess.DEVNULL)
        self.process = None

    def _shared_memory_segment(self):
        """Identifier of the System V segment, from line 7 of postmaster.pid (utils/pidfile.h)."""
        try:
            line = pathlib.Path(self.data, "postmaster.pid").read_text("utf-8").splitlines()[6]
            return line.split()[1]
        except (OSError, IndexError):
            return None

    def promote(self):
        """Ends recovery of a standby and waits until it takes writes."""
        self.psql("SELECT pg_promote(true, 120)")
        deadline = time.monotonic() + START_TIMEOUT
        while self.psql("SELECT pg_is_in_recovery()") != "f":
            if time.monotonic() > deadline:
                raise TimeoutError(f"not promoted:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        """What the server has written to its log."""
        return pathlib.Path(self.log_file).read_text("utf-8", errors="replace")

    # Clients.

    def environment(self):
        """Environment in which libpq programs reach this server, and no other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {
            **kept,
            "PGHOST": self.directory,
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PGCLIENTENCODING": "UTF8",
        }

    def run_as_server(self, command, **options):
        """Runs a program as the server's user, in the cluster's directory and environment."""
        return run(
            as_server_user(command),
            cwd=self.directory,
            env=self.environment(),
            stdin=None if "input" in options else subprocess.DEVNULL,
            **options,
        )

    def psql(self, sql, dbname="postgres", check=True, variables=None):
        """Runs SQL (psql's commands too) and returns the rows, unaligned, without the last newline.

        variables are psql's.  Any error raises CommandFailed; with check=False the
        CompletedProcess is returned instead.
        """
        command = [self.program("psql"), "-X", "-q", "-A", "-t", "-d", dbname, "-f", "-"]
        for name, value in {"ON_ERROR_STOP": 1, **(variables or {})}.items():
            command += ["-v", f"{name}={value}"]
        result = self.run_as_server(command, input=sql, check=check)
        return result.stdout.rstrip("\n") if check else result

    def pgbench(self, *arguments, dbname="postgres"):
        """Runs pgbench and returns what it printed."""
        return self.run_as_server([self.program("pgbench"), *arguments, dbname]).stdout

    def basebackup(self, name="backup", *arguments):
        """Takes a plain base backup with an immediate checkpoint; returns its directory."""
        target = os.path.join(self.directory, name)
        command = [self.program("pg_basebackup"), "-D", target, "--checkpoint=fast", "--no-sync"]
        self.run_as_server([*command, *arguments])
        return target

    def wal_lsn(self):
        """The current end of WAL."""
        return self.psql("SELECT pg_current_wal_insert_lsn()")


@atexit.register
def _close_all():
    for cluster in list(_open_clusters):
        cluster.close()
