"""postgres_exporter and Prometheus for the tests of docs/monitoring, run but not installed: Debian's
packages would start a service each. So their programs are taken out of the packages."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import urllib.request

from cluster import ROOT, run

TOOLS = ROOT / "build" / "monitoring"


def program(package):
    """Path of the program a package is named after; fetched by apt-get once, then kept in build/."""
    if installed := shutil.which(package):
        return installed
    kept = TOOLS / package
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
            if subprocess.run(["apt-get", "download", package], cwd=directory, check=False).returncode:
                raise RuntimeError(f"{package} is needed: apt-get update, or install it, or put it in PATH")
            (archive,) = pathlib.Path(directory).glob("*.deb")
            run(["dpkg-deb", "-x", archive, directory])
            TOOLS.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.join(directory, "usr", "bin", package), kept)
    return str(kept)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    """The body; an HTTP error raises."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()
