"""The times of single tests, which the runners gather for the table at the end of make test."""

import os


def note_time(name, seconds):
    """Appends a test's time to the file that NEON_REDO_TIMES names, if it does: seconds, a tab, name."""
    if path := os.environ.get("NEON_REDO_TIMES"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{seconds:.3f}\t{name}\n")
