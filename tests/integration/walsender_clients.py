"""Clients of walsenders for the tests: pg_receivewal, a standby's walreceiver, a slow network."""

import os
import pathlib
import shutil
import socket
import threading
import time

from cluster import make_directory


def receiver(cluster, name, *options, host=None):
    """Command line of pg_receivewal for a cluster, which reports each second. It keeps the WAL in a
    directory of the cluster that is made here."""
    directory = os.path.join(cluster.directory, f"received_{name}")
    cluster.run_as_server(["mkdir", directory])
    connection = f"host={host or cluster.directory} port={cluster.port} application_name={name}"
    command = [cluster.program("pg_receivewal"), "-D", directory, "-d", connection]
    return [*command, "--status-interval=1", *options]


def walreceiver_pid(standby):
    """Found without asking the standby, whose process may be paused."""
    postmaster = standby.process.pid
    children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii")
    for pid in children.split():
        if b"walreceiver" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise LookupError("the standby has no walreceiver")


class ThrottledProxy:
    """A Unix socket that forwards a cluster's output at a given rate.

    bytes_per_second may be changed at any time; None means no limit.
    """

    def __init__(self, cluster, bytes_per_second):
        self.target = os.path.join(cluster.directory, f".s.PGSQL.{cluster.port}")
        self.name = os.path.basename(self.target)
        self.bytes_per_second = bytes_per_second
        self.sockets = []

    def __enter__(self):
        self.directory = make_directory()
        path = os.path.join(self.directory, self.name)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        for each in [self.listener, *self.sockets]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        shutil.rmtree(self.directory)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            # Small, so that little is on its way at a time.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            server.connect(self.target)
            self.sockets += [client, server]
            for source, sink, slow in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, slow), daemon=True).start()

    def _pass_on(self, source, sink, slow):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                if slow and self.bytes_per_second:
                    time.sleep(len(data) / self.bytes_per_second)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
