"""The contents of docs/monitoring.md: each query runs, postgres_exporter serves every metric of the query
file, and Prometheus answers every panel of the dashboard."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest
import urllib.error
import urllib.parse

from cluster import ROOT, Cluster, as_server_user, make_directory, private_server
from monitoring_programs import fetch, free_port, program
from walsender_clients import receiver

PAGE = ROOT / "docs" / "monitoring.md"
QUERIES = ROOT / "docs" / "monitoring" / "queries.yaml"
DASHBOARD = ROOT / "docs" / "monitoring" / "grafana-walsenders.json"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def declared_metrics():
    """The names the query file makes: the query's, then the column's, for each that is no label."""
    names, query = [], None
    for line in QUERIES.read_text("utf-8").splitlines():
        if top := re.match(r"(\w+):$", line):
            query = top[1]
        elif column := re.match(r'    - (\w+): \{usage: "(GAUGE|COUNTER)"', line):
            names.append(f"{query}_{column[1]}")
    return names


class Monitoring(unittest.TestCase):
    """A primary with a standby that uses a slot, a pg_receivewal, and an unused slot."""

    @classmethod
    def setUpClass(cls):
        directory = make_directory()
        cls.addClassCleanup(shutil.rmtree, directory)
        bindir = private_server(directory)
        settings = {"shared_preload_libraries": "neon", "max_slot_wal_keep_size": "1GB"}
        cls.primary = cls.enterClassContext(Cluster("primary", bindir=bindir, settings=settings))
        cls.primary.psql(
            "CREATE EXTENSION neon_redo; CREATE ROLE monitor LOGIN IN ROLE pg_monitor;"
            "SELECT pg_create_physical_replication_slot('standby1');"
            "SELECT pg_create_physical_replication_slot('unused', true)"
        )
        slot = {"primary_slot_name": "standby1"}
        cls.enterClassContext(
            Cluster("standby1", bindir=bindir, settings=slot, standby_of=cls.primary)
        )
        cls.run_beside(receiver(cls.primary, "archive"))
        cls.until(lambda: cls.primary.psql("SELECT count(*) FROM neon_stat_replication WHERE caught_up") == "2")
        cls.until(lambda: cls.primary.psql("SELECT count(*) > 4 FROM neon_walsender_history()") == "t")

    @classmethod
    def run_beside(cls, command, environment=None):
        process = subprocess.Popen(
            as_server_user(command, die_with_parent=True),
            cwd=cls.primary.directory,
            env={**cls.primary.environment(), **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.send_signal, signal.SIGKILL)

    @classmethod
    def until(cls, condition):
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(cls.primary.log())
            time.sleep(0.1)

    @classmethod
    def served(cls, name):
        """Copies what is shipped to where the server's user can read it."""
        target = os.path.join(cls.primary.directory, os.path.basename(name))
        shutil.copy(name, target)
        os.chmod(target, 0o755)
        return target

    def test_every_query_of_the_page_runs_for_a_monitoring_role(self):
        queries = blocks("sql")
        self.assertGreater(len(queries), 6)
        for query in queries:
            with self.subTest(query=query):
                role = "monitor" if query.startswith("SELECT") else "postgres"
                self.primary.psql(f"SET ROLE {role};\n{query}")

    def test_page_tells_every_column(self):
        text = PAGE.read_text("utf-8")
        columns = self.primary.psql(
            "SELECT attname FROM pg_attribute WHERE attnum > 0"
            " AND attrelid = 'neon_stat_replication'::regclass UNION"
            " SELECT unnest(proargnames) FROM pg_proc WHERE proname IN"
            " ('neon_walsender_history', 'neon_walsender_eta', 'neon_inactive_slots', 'neon_wait_for_replay')"
        ).splitlines()
        missing = [name for name in columns if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", text)]
        self.assertEqual(missing, [])

    def test_exporter_and_dashboard(self):
        exporter_port = free_port()
        self.run_beside(
            [
                self.served(program("prometheus-postgres-exporter")),
                f"--web.listen-address=127.0.0.1:{exporter_port}",
                f"--extend.query-path={self.served(QUERIES)}",
                "--disable-default-metrics",
                "--disable-settings-metrics",
            ],
            {
                "DATA_SOURCE_NAME": f"host={self.primary.directory} port={self.primary.port}"
                " user=monitor dbname=postgres sslmode=disable"
            },
        )
        url = f"http://127.0.0.1:{exporter_port}/metrics"
        self.until(lambda: self.answers(url))
        metrics = fetch(url)
        served = {name for name in re.findall(r"^(neon_\w+)\{", metrics, re.MULTILINE)}
        self.assertEqual(served, set(declared_metrics()))
        self.assertRegex(metrics, r"(?m)^pg_exporter_last_scrape_error.* 0$")
        self.assertRegex(metrics, r"(?m)^pg_exporter_user_queries_load_error\{.* 0$")
        self.assertRegex(metrics, r'neon_walsender_replay_bytes_behind\{.*application_name="standby1".*\} 0')
        self.assertNotIn('application_name="standby1"} NaN', metrics)
        self.check_dashboard(exporter_port)

    def answers(self, url):
        try:
            return bool(fetch(url))
        except (urllib.error.URLError, ConnectionError):
            return False

    def check_dashboard(self, exporter_port):
        port = free_port()
        configuration = os.path.join(self.primary.directory, "prometheus.yml")
        with open(configuration, "w", encoding="utf-8") as file:
            json.dump(  # JSON is YAML
                {
                    "global": {"scrape_interval": "1s"},
                    "scrape_configs": [
                        {
                            "job_name": "postgres",
                            "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}],
                        }
                    ],
                },
                file,
            )
        self.run_beside(
            [
                self.served(program("prometheus")),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.primary.directory}/prometheus_data",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
        )
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        query = f"http://127.0.0.1:{port}/api/v1/query?query="

        def result(expression):
            for variable in dashboard["templating"]["list"]:
                expression = expression.replace("$" + variable["name"], ".*")
            answer = json.loads(fetch(query + urllib.parse.quote(expression)))
            self.assertEqual(answer["status"], "success", expression)
            return answer["data"]["result"]

        self.until(lambda: self.answers(query + "neon_walsenders_active"))
        self.until(lambda: result("neon_walsenders_active"))
        expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
        self.assertGreater(len(expressions), 10)
        # Rows that begin with an expression; those that begin with a function are of another table.
        alerts = re.findall(r"^\| `(neon_[^`]*[^`)])` \|", PAGE.read_text("utf-8"), re.MULTILINE)
        self.assertGreater(len(alerts), 3)
        for alert in alerts:
            for name in re.findall(r"neon_\w+", alert):
                self.assertIn(name, declared_metrics())
            result(alert)
        for expression in expressions:
            with self.subTest(expression=expression):
                self.assertTrue(result(expression))
        for variable in dashboard["templating"]["list"]:
            if label := re.match(r"label_values\((\w+), (\w+)\)", variable["query"]):
                self.assertIn(label[2], result(label[1])[0]["metric"])


if __name__ == "__main__":
    unittest.main()
