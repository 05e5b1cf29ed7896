"""Backups that look as if something were missing, and that the server recovers from: verify finds no loss."""

import json
import os
import pathlib
import unittest

from cluster import Cluster, run_neon_redo

SETTINGS = {"wal_keep_size": "4GB", "max_wal_size": "4GB", "autovacuum": "off"}
XIDS_IN_SEGMENT = 32 * 8192 * 4  # of pg_xact


class OddBackups(unittest.TestCase):
    def prove(self, backup, wal):
        result = run_neon_redo(
            "verify", "--engine", "native", "--no-progress", "--format", "json", "--base-backup", backup, "--wal",
            wal, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
        return json.loads(result.stdout)

    def test_tablespace_dropped_during_the_backup(self):
        with Cluster(settings=SETTINGS) as cluster:
            cluster.run_as_server(["mkdir", "gone"])
            cluster.psql(f"CREATE TABLESPACE gone LOCATION '{cluster.directory}/gone'")
            backup = pathlib.Path(cluster.directory, "backup")
            text = cluster.psql(
                "SELECT pg_backup_start('b', true) IS NULL;\nDROP TABLESPACE gone;\n"
                f"\\! cp -a {cluster.data} {backup}\n"
                "SELECT labelfile || '=====' || spcmapfile FROM pg_backup_stop(false);\n"
            )
            label, tablespaces = text.removeprefix("f\n").split("=====")
            self.assertIn(str(cluster.directory), tablespaces)
            (backup / "backup_label").write_text(label + "\n")
            (backup / "tablespace_map").write_text(tablespaces + "\n")
            (backup / "postmaster.pid").unlink()
            cluster.stop()
            self.prove(backup, cluster.wal)
            # One that was not dropped is a loss.
            (backup / "tablespace_map").write_text(tablespaces + "\n99999 /nowhere\n")
            result = run_neon_redo(
                "verify", "--engine", "native", "--base-backup", backup, "--wal", cluster.wal, check=False
            )
            self.assertEqual(result.returncode, 1)
            self.assertIn("pg_tblspc/99999", result.stdout)

    def test_pg_xact_truncated_before_a_crash(self):
        """Redo of the truncation leaves pg_control's oldest transaction as it was."""
        with Cluster(settings=SETTINGS) as cluster:
            cluster.psql("UPDATE pg_database SET datallowconn = true; CREATE TABLE t (a int)")
            cluster.stop()
            first = 3 * XIDS_IN_SEGMENT + 100
            for segment in range(1, 4):
                path = pathlib.Path(cluster.data, "pg_xact", f"{segment:04X}")
                cluster.run_as_server(["truncate", "-s", str(32 * 8192), str(path)])
            cluster.run_as_server([cluster.program("pg_resetwal"), "-x", str(first), cluster.data])
            cluster.start()
            cluster.psql("CHECKPOINT; INSERT INTO t VALUES (1)")
            for database in ("template0", "template1", "postgres"):
                cluster.psql("VACUUM (FREEZE)", database)
            self.assertEqual(os.listdir(os.path.join(cluster.data, "pg_xact")), ["0003"])
            cluster.stop("immediate")
            cluster.start()
            cluster.psql("INSERT INTO t VALUES (2)")
            backup = cluster.basebackup("backup", "--wal-method=none", "--no-manifest")
            self.assertEqual(os.listdir(os.path.join(backup, "pg_xact")), ["0003"])
            cluster.stop()
            self.prove(backup, cluster.wal)
            os.remove(os.path.join(backup, "pg_xact", "0003"))
            result = run_neon_redo(
                "verify", "--engine", "native", "--base-backup", backup, "--wal", cluster.wal, check=False
            )
            self.assertEqual(result.returncode, 1)
            self.assertIn("pg_xact/0003", result.stdout)


if __name__ == "__main__":
    unittest.main()
