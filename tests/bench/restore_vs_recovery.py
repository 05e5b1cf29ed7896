#!/usr/bin/env python3
"""Compares neon-redo restore with the server's own recovery over the same WAL:
restore_vs_recovery.py [--scale N] [--transactions N] [--repeats N] [--jobs N,N] [--keep DIR].

The clusters are those of verify_vs_recovery.py. Recovery is timed by the server's log: "redo done", and the
checkpoint at the end of recovery, which writes the pages. restore is timed by what it says of itself: the look
through WAL, the replay and the writing of pages; to the last checkpoint, without the copy of the backup, which
both ways need. "To a server" is the whole way: from the backup, with its copy, until the server takes writes.
Nothing is flushed. They take turns; medians and spread are printed, and a line of JSON.
--keep DIR makes the clusters in DIR, or uses those that an earlier call has left there.
"""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import verify_vs_recovery as base  # noqa: E402  (needs the path above)
from verify_vs_recovery import (  # noqa: E402
    SETTINGS,
    Cluster,
    copy_module,
    make_directory,
    neon_redo_program,
    say,
    server_user,
    spread,
)


def own(path):
    if user := server_user():
        subprocess.run(["chown", "-R", user, path], check=True)


def start(data):
    """Seconds until the server takes writes, and its log."""
    own(data)
    with Cluster(settings={**SETTINGS, "log_checkpoints": "on"}, from_backup=data, start=False) as cluster:
        began = time.monotonic()
        cluster.start()
        while cluster.psql("SELECT pg_is_in_recovery()") != "f":
            time.sleep(0.01)
        return time.monotonic() - began, cluster.log()


def recover(directory):
    """Of a crashed cluster: redo, and the checkpoint at its end."""
    copy = make_directory()
    try:
        crashed = os.path.join(copy, "data")
        shutil.copytree(os.path.join(directory, "crashed"), crashed, symlinks=True)
        _, log = start(crashed)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    redo = re.search(r"redo done at .* elapsed: ([0-9.]+) s", log)
    checkpoint = re.search(r"checkpoint complete: .* total=([0-9.]+) s", log)
    return float(redo[1]) + float(checkpoint[1])


def recover_backup(directory):
    """The whole way by the server."""
    copy = make_directory()
    try:
        data = os.path.join(copy, "data")
        began = time.monotonic()
        subprocess.run(["cp", "-a", f"{directory}/backup", data], check=True)
        with open(f"{data}/postgresql.auto.conf", "a", encoding="utf-8") as file:
            file.write(f"restore_command = 'cp {directory}/wal/%f \"%p\"'\n")
        open(f"{data}/recovery.signal", "w", encoding="utf-8").close()
        copied = time.monotonic() - began
        seconds, _ = start(data)
        return copied + seconds
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def restore(directory, module, jobs):
    """What restore says, its processor time, and the whole way."""
    copy = make_directory()
    try:
        data = os.path.join(copy, "data")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        result = subprocess.run(
            [neon_redo_program(), "restore", "--format", "json", "--module", module, "--no-progress", "--no-sync",
             "--jobs", str(jobs), "--base-backup", f"{directory}/backup", "--wal", f"{directory}/wal", "--output",
             data], check=True, capture_output=True, text=True)  # fmt: skip
        elapsed = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads(result.stdout)
        report["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        report["to_checkpoint"] = report["survey_seconds"] + report["replay_seconds"]
        seconds, _ = start(data)
        report["to_server"] = elapsed + seconds
        return report
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def measure(directory, repeats, all_jobs):
    elapsed = {"recovery": [], "recovery, to a server": []}
    steps = {}
    module_directory = make_directory()
    try:
        module = copy_module(module_directory)
        for number in range(repeats):
            say(f"repeat {number + 1} of {repeats}")
            elapsed["recovery"].append(recover(directory))
            elapsed["recovery, to a server"].append(recover_backup(directory))
            for jobs in all_jobs:
                report = restore(directory, module, jobs)
                elapsed.setdefault(f"restore --jobs {jobs}", []).append(report["to_checkpoint"])
                elapsed.setdefault(f"restore --jobs {jobs}, to a server", []).append(report["to_server"])
                for step in ("survey_seconds", "copy_seconds", "replay_seconds", "cpu"):
                    steps.setdefault(f"--jobs {jobs}: {step}", []).append(report[step])
    finally:
        shutil.rmtree(module_directory)
    print(f"WAL: {report['records']} records before the checkpoint, {report['pages_written']} pages written")
    print(f"{'':36}{'seconds':>24}{'to recovery':>13}")
    out = {"records": report["records"], "pages": report["pages_written"], "elapsed": elapsed, "steps": steps}
    for name, values in elapsed.items():
        against = elapsed["recovery, to a server" if name.endswith("server") else "recovery"]
        ratio = statistics.median(against) / statistics.median(values)
        print(f"{name:36}{spread(values):>24}{ratio:13.2f}")
        out[f"{name} to recovery"] = ratio
    for name, values in steps.items():
        print(f"{name:36}{spread(values):>24}")
    print(json.dumps(out))


def measure_owned(directory, repeats, jobs):
    subprocess.run(["chmod", "a+rx", directory], check=True)
    own(f"{directory}/wal")
    measure(directory, repeats, jobs)


def main():
    options = base.parser_of(__doc__.split(":")[0]).parse_args()
    base.run(options, lambda directory: base.make(directory, options.scale, options.transactions, False), measure_owned)


if __name__ == "__main__":
    main()
