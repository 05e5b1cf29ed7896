#!/usr/bin/env python3
"""What a call of neon_stat_wal_senders() costs: walsender_statistics.py [--walsenders 64] [--calls N].

Starts a throw-away server and as many pg_receivewal, each with a slot of its own and over TCP (an
address to show costs more than a Unix socket), and times each call inside the server, without a
client's round trip: calls in a transaction of their own, with its commit, and calls in one
transaction. The same is done for the standard views over the same walsenders.
"""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import Cluster, as_server_user, exit_on_signals, private_server  # noqa: E402

QUERIES = {
    "neon_stat_wal_senders()": "FROM neon_stat_wal_senders()",
    "pg_stat_replication, same facts": "FROM pg_stat_replication LEFT JOIN pg_replication_slots"
    " ON active_pid = pid",
    "neon_oldest_flush_lsn()": "FROM neon_oldest_flush_lsn()",
    "nothing (the loop itself)": "FROM (VALUES (1)) v",
}

# Each call by itself, so that on a busy machine the quantiles tell which were held up by others.
TIMED = """
CREATE TABLE IF NOT EXISTS timing (microseconds float);
TRUNCATE timing;
DO $$
DECLARE started timestamptz; times float[] := '{{}}';
BEGIN
  FOR i IN 1..{calls} LOOP
    started := clock_timestamp();
    PERFORM count(*) {query};
    {commit}
    times[i] := extract(epoch FROM clock_timestamp() - started) * 1e6;
  END LOOP;
  INSERT INTO timing SELECT unnest(times);
END $$;
SELECT percentile_disc(array[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY microseconds) FROM timing
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_receivers(cluster, port, count):
    started = []
    for i in range(count):
        directory = os.path.join(cluster.directory, f"received_{i}")
        cluster.run_as_server(["mkdir", directory])
        command = [cluster.program("pg_receivewal"), "-D", directory, "--slot", f"slot_{i}"]
        command += ["-d", f"host=127.0.0.1 port={port} application_name=receiver_{i}"]
        started.append(
            subprocess.Popen(
                as_server_user(command, die_with_parent=True),
                env=cluster.environment(),
                stderr=subprocess.DEVNULL,
            )
        )
    wanted = str(count)
    deadline = time.monotonic() + 120
    while cluster.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all {count} walsenders stream:\n{cluster.log()}")
        time.sleep(0.2)
    return started


def measure(cluster, calls):
    header = f"{'10 %':>8}{'median':>8}{'90 %':>8}"
    print(f"{'microseconds a call':34} {'own transaction':>24} {'same transaction':>24}")
    print(f"{'':34} {header} {header}")
    for name, query in QUERIES.items():
        columns = []
        for commit in ("COMMIT;", ""):
            answer = cluster.psql(TIMED.format(calls=calls, query=query, commit=commit))
            columns.append("".join(f"{float(x):8.0f}" for x in answer.strip("{}").split(",")))
        print(f"{name:34} {' '.join(columns)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walsenders", type=int, default=64)
    parser.add_argument("--calls", type=int, default=10000, help="calls of each kind")
    arguments = parser.parse_args()
    exit_on_signals()
    port = free_port()
    settings = {
        "shared_preload_libraries": "neon",
        "max_wal_senders": arguments.walsenders,
        "max_replication_slots": arguments.walsenders,
        "listen_addresses": "127.0.0.1",
        "port": port,
        "autovacuum": "off",
    }
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        os.chmod(directory, 0o755)
        with Cluster(bindir=private_server(directory), settings=settings) as cluster:
            cluster.port = port
            cluster.psql("CREATE EXTENSION neon_redo")
            cluster.psql(
                "SELECT pg_create_physical_replication_slot('slot_' || i, true)"
                f" FROM generate_series(0, {arguments.walsenders - 1}) i"
            )
            receivers = start_receivers(cluster, port, arguments.walsenders)
            try:
                print(f"{arguments.walsenders} walsenders, {arguments.walsenders} slots")
                measure(cluster, arguments.calls)
            finally:
                for receiver in receivers:
                    receiver.terminate()
                for receiver in receivers:
                    receiver.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
