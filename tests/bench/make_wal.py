#!/usr/bin/env python3
"""Makes WAL for `neon-redo bench`: make_wal.py DIR. A throw-away server writes it.

medium: a table of integers filled by single-row inserts in one transaction, so that each page is
begun by an insert that initialises it and filled by 225 more. short: many small tables; after a
checkpoint the first insert into each logs the page's image, about 900 bytes without its hole, and
the second is a plain record.
"""

import argparse
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import Cluster, exit_on_signals  # noqa: E402  (needs the path above)

SETTINGS = {
    "autovacuum": "off",
    "wal_compression": "off",
    "full_page_writes": "on",
    "checkpoint_timeout": "1d",
    "max_wal_size": "4GB",
    "synchronous_commit": "off",
}
PAGES = 80  # of each kind; the benchmark takes 64

MEDIUM = f"""
CREATE TABLE medium (i int);
DO $$ BEGIN FOR n IN 1..{PAGES * 226} LOOP INSERT INTO medium VALUES (n); END LOOP; END $$;
"""

SHORT_TABLES = f"""
DO $$ BEGIN FOR n IN 1..{PAGES} LOOP
    EXECUTE format('CREATE TABLE short_%s (i int, t text)', n);
    EXECUTE format('INSERT INTO short_%s SELECT g, repeat(''x'', 80) FROM generate_series(1, 6) g', n);
END LOOP; END $$;
"""

SHORT = f"""
DO $$ BEGIN FOR n IN 1..{PAGES} LOOP
    EXECUTE format('INSERT INTO short_%s VALUES (7, repeat(''y'', 100))', n);
    EXECUTE format('INSERT INTO short_%s VALUES (8, repeat(''z'', 100))', n);
END LOOP; END $$;
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="to be made; must not exist")
    target = pathlib.Path(parser.parse_args().directory)
    exit_on_signals()
    if target.exists():
        parser.error(f"{target} exists")
    with Cluster(settings=SETTINGS) as cluster:
        cluster.psql(SHORT_TABLES)
        cluster.psql("CHECKPOINT")
        cluster.psql(SHORT)
        cluster.psql(MEDIUM)
        cluster.stop()
        # Whole or not at all.
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(cluster.wal, partial)
        partial.rename(target)


if __name__ == "__main__":
    main()
