#!/usr/bin/env python3
"""Compares neon-redo verify with the server's own crash recovery over the same pgbench WAL:
verify_vs_recovery.py [--scale N] [--transactions N] [--repeats N] [--jobs N,N] [--images]
[--keep DIR].

A throw-away cluster is loaded and backed up, pgbench writes the WAL, and the server is stopped
without a checkpoint. Recovery is timed on copies of that crashed directory, by the server's log
line "redo done ... elapsed"; verify, whole run, on the backup, the WAL and the cluster once it was
recovered and shut down. verify runs with --quick, which reads what recovery reads, and without, when
it reads the whole backup and cluster besides. They take turns; medians and spread are printed, and a
line of JSON.
--images: WAL with wal_consistency_checking = 'all', whose images recovery compares with its pages,
and verify --images, which does the same.
--keep DIR makes the clusters in DIR, or uses those that an earlier call has left there.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import (  # noqa: E402  (needs the path above)
    Cluster,
    copy_module,
    exit_on_signals,
    make_directory,
    neon_redo_program,
    server_user,
)

SETTINGS = {
    "shared_buffers": "4GB",
    "checkpoint_timeout": "1d",
    "max_wal_size": "100GB",
    "wal_keep_size": "100GB",
    "synchronous_commit": "off",
    "log_min_messages": "log",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def make(directory, scale, transactions, images):
    """The four directories that the measurement needs."""
    say(f"pgbench --scale={scale}, {transactions} transactions")
    settings = {**SETTINGS, "wal_consistency_checking": "all" if images else ""}
    with Cluster(settings=settings, checksums=False) as cluster:
        cluster.pgbench("--initialize", "--quiet", f"--scale={scale}")
        backup = cluster.basebackup()
        cluster.pgbench("--client=4", f"--transactions={transactions // 4}", "--no-vacuum",
                        "--protocol=prepared", "--random-seed=1")
        cluster.stop("immediate")
        shutil.copytree(cluster.data, os.path.join(directory, "crashed"), symlinks=True)
        cluster.start()
        cluster.stop()
        shutil.move(backup, os.path.join(directory, "backup"))
        shutil.copytree(cluster.data, os.path.join(directory, "stopped"), symlinks=True)
    # Recovery begins where the backup did.
    label = pathlib.Path(directory, "backup", "backup_label").read_text("utf-8")
    first = re.search(r"\(file ([0-9A-F]{24})\)", label)[1]
    os.mkdir(os.path.join(directory, "wal"))
    for segment in os.listdir(f"{directory}/stopped/pg_wal"):
        if re.fullmatch("[0-9A-F]{24}", segment) and segment >= first:
            os.link(f"{directory}/stopped/pg_wal/{segment}", f"{directory}/wal/{segment}")
    pathlib.Path(directory, "made").write_text(f"{scale} {transactions}\n", "utf-8")


def recover(directory):
    """Redo by the server's log: elapsed and CPU seconds, bytes."""
    copy = make_directory()
    try:
        crashed = os.path.join(copy, "data")
        shutil.copytree(os.path.join(directory, "crashed"), crashed, symlinks=True)
        if user := server_user():
            subprocess.run(["chown", "-R", user, copy], check=True)
        with Cluster(settings=SETTINGS, from_backup=crashed) as cluster:
            log = cluster.log()
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    start = re.search(r"redo starts at ([0-9A-F]+)/([0-9A-F]+)", log)
    done = re.search(
        r"redo done at ([0-9A-F]+)/([0-9A-F]+) system usage: CPU: user: ([0-9.]+) s,"
        r" system: ([0-9.]+) s, elapsed: ([0-9.]+) s",
        log,
    )
    position = [(int(m[1], 16) << 32) + int(m[2], 16) for m in (start, done)]
    return float(done[5]), float(done[3]) + float(done[4]), position[1] - position[0]


def variants(all_jobs, images):
    """The forms of verify that are measured: the name, and the arguments."""
    forms = {"": ["--images"]} if images else {" --quick": ["--quick"], "": []}
    return {
        f"verify{form} --jobs {jobs}": [*arguments, "--jobs", str(jobs)]
        for form, arguments in forms.items()
        for jobs in all_jobs
    }


def verify(directory, module, arguments):
    command = [neon_redo_program(), "verify", "--format", "json", "--module", module]
    command += ["--wal", f"{directory}/wal", *arguments]
    if "--images" not in arguments:
        command += ["--base-backup", f"{directory}/backup", "--against", f"{directory}/stopped"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(result.stdout)
    report["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return report


def spread(values):
    return f"{statistics.median(values):6.2f} ({min(values):.2f}..{max(values):.2f})"


def measure(directory, repeats, all_jobs, images):
    """Elapsed and CPU seconds; the latter tell more on a machine with other work."""
    forms = variants(all_jobs, images)
    elapsed = {name: [] for name in ["recovery", *forms]}
    cpu = {name: [] for name in elapsed}
    module_directory = make_directory()
    try:
        module = copy_module(module_directory)
        for number in range(repeats):
            say(f"repeat {number + 1} of {repeats}")
            seconds, seconds_of_cpu, size = recover(directory)
            elapsed["recovery"].append(seconds)
            cpu["recovery"].append(seconds_of_cpu)
            for name, arguments in forms.items():
                report = verify(directory, module, arguments)
                elapsed[name].append(report["elapsed_seconds"])
                cpu[name].append(report["cpu"])
    finally:
        shutil.rmtree(module_directory)
    print(f"WAL: {size / 1e6:.0f} MB, {report['records']} records; "
          f"{report['pages_compared']} pages and {report['images_compared']} images compared, "
          f"{report['native_share']:.1%} native")
    print(f"{'':24}{'elapsed s':>22}{'CPU s':>22}{'MB/s':>8}{'to recovery':>13}{'by CPU':>8}")
    out = {"wal_bytes": size, "records": report["records"], "elapsed": elapsed, "cpu": cpu}
    for name, values in elapsed.items():
        ratio = statistics.median(elapsed["recovery"]) / statistics.median(values)
        by_cpu = statistics.median(cpu["recovery"]) / statistics.median(cpu[name])
        print(f"{name:24}{spread(values):>22}{spread(cpu[name]):>22}"
              f"{size / 1e6 / statistics.median(values):8.0f}{ratio:13.2f}{by_cpu:8.2f}")
        out[f"{name} to recovery"] = {"elapsed": ratio, "cpu": by_cpu}
    print(json.dumps(out))


def run(options, make_clusters, measure_them):
    """Makes the clusters in --keep, unless they are there, or in a directory of the run; then measures."""
    exit_on_signals()
    directory = options.keep or make_directory()
    try:
        os.makedirs(directory, exist_ok=True)
        if not os.path.exists(os.path.join(directory, "made")):
            make_clusters(directory)
        measure_them(directory, options.repeats, [int(n) for n in options.jobs.split(",")])
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


def parser_of(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--transactions", type=int, default=650_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", default="1,2", help="comma-separated (default: 1,2)")
    parser.add_argument("--keep", metavar="DIR")
    return parser


def main():
    parser = parser_of(__doc__.split(":")[0])
    parser.add_argument("--images", action="store_true")
    options = parser.parse_args()
    run(options, lambda directory: make(directory, options.scale, options.transactions, options.images),
        lambda directory, repeats, jobs: measure(directory, repeats, jobs, options.images))


if __name__ == "__main__":
    main()
