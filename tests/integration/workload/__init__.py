"""A mixed workload that makes PostgreSQL write every kind of WAL record that changes a page.

    with Cluster(settings=workload.SETTINGS) as cluster:
        workload.prepare(cluster, rows)   # what a base backup should already contain
        backup = workload.basebackup(cluster)
        workload.run(cluster, rows)

The SQL lies in the scripts beside this file. One round runs them all, several at once and pgbench
beside them; each round has its own WAL settings, so that images come in every compression and
changes come with and without images. `rows` is the one parameter of size.
"""

import concurrent.futures
import pathlib

from cluster import CommandFailed

DIRECTORY = pathlib.Path(__file__).resolve().parent
SCRIPTS = ["heap", "btree", "gin", "brin", "gist", "spgist", "hash", "relation", "transaction", "bloom"]

DEMO_ROWS = 10000
ORACLE_ROWS = 2000  # with wal_consistency_checking = "all": about 700,000 block images

# What the scripts need of the server, and that it keeps the WAL of the whole run.
SETTINGS = {
    "wal_level": "logical",
    "wal_keep_size": "1TB",
    "max_wal_size": "2GB",
    "max_prepared_transactions": 10,
    "track_commit_timestamp": "on",
    "autovacuum_naptime": "3s",
    "deadlock_timeout": "200ms",
}

ROUNDS = [
    {"wal_compression": "off", "full_page_writes": "on"},
    {"wal_compression": "pglz", "full_page_writes": "on"},
    {"wal_compression": "lz4", "full_page_writes": "off"},
    {"wal_compression": "zstd", "full_page_writes": "on"},
]

END_CLIENTS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""


def prepare(cluster, rows):
    """Creates the tables with their first rows, in the default and in a second tablespace."""
    cluster.run_as_server(["mkdir", tablespace(cluster)])
    cluster.psql(f"CREATE TABLESPACE workload_space LOCATION '{tablespace(cluster)}'")
    cluster.pgbench("--initialize", "--quiet", "--foreign-keys", f"--scale={pgbench_scale(rows)}")
    _run_script(cluster, "prepare", rows, 0)


def tablespace(cluster):
    """Directory of the tablespace workload_space."""
    return f"{cluster.directory}/workload_space"


def basebackup(cluster, name="backup", *arguments):
    """Takes a base backup of a prepared cluster, its tablespace placed beside it."""
    mapping = f"{tablespace(cluster)}={cluster.directory}/{name}.workload_space"
    return cluster.basebackup(name, f"--tablespace-mapping={mapping}", *arguments)


def run(cluster, rows, rounds=ROUNDS, jobs=3, progress=lambda text: None):
    """Runs the rounds. progress is called with a few words at each round's start."""
    for number, settings in enumerate(rounds, start=1):
        words = ", ".join(f"{name} = {value}" for name, value in settings.items())
        progress(f"round {number} of {len(rounds)}: {words}")
        _apply(cluster, settings)
        _run_round(cluster, rows, number, jobs)
    cluster.psql("\n".join(f"ALTER SYSTEM RESET {name};" for name in rounds[0]))


def pgbench_scale(rows):
    """pgbench's tables hold 100,000 rows for each unit of scale."""
    return max(1, rows // 10000)


def _apply(cluster, settings):
    for name, value in settings.items():
        cluster.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    # After the checkpoint the first change of each page carries its image again.
    cluster.psql("SELECT pg_reload_conf(); CHECKPOINT;")


def _run_round(cluster, rows, number, jobs):
    tasks = [lambda: _run_pgbench(cluster, rows, number)]
    tasks += [lambda script=script: _run_script(cluster, script, rows, number) for script in SCRIPTS]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(task) for task in tasks]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
        except BaseException:
            # Leave at once, without waiting for scripts that are half-way.
            pool.shutdown(wait=False, cancel_futures=True)
            cluster.psql(END_CLIENTS, check=False)
            raise
    _run_script(cluster, "alone", rows, number)


def _run_pgbench(cluster, rows, number):
    """Transactions of all built-in scripts; four clients, so that they meet on the same rows."""
    options = ["--no-vacuum", "--client=4", f"--transactions={rows // 8}", "--protocol=prepared"]
    options += ["--builtin=tpcb-like@3", "--builtin=simple-update@1", f"--random-seed={number}"]
    cluster.pgbench(*options)


def _run_script(cluster, script, rows, number):
    variables = {"rows": rows, "round": number, "directory": cluster.directory}
    try:
        cluster.psql((DIRECTORY / f"{script}.sql").read_text("utf-8"), variables=variables)
    except CommandFailed as error:
        raise RuntimeError(f"{script}.sql, round {number}: {error.stderr}") from None
