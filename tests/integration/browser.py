"""A page as a browser has it: Chromium without a screen."""

import contextlib
import html.parser
import json
import pathlib
import shutil
import tempfile

from cluster import run

PROGRAMS = ("chromium-headless-shell", "chromium")
# Debian's Python has the library that reads pictures.
PIXELS = """
import json, sys
from PIL import Image
image = Image.open(sys.argv[1]).convert("RGB")
colours = image.getcolors(maxcolors=1 << 24)
print(json.dumps({"size": image.size, "corner": image.getpixel((2, 2)), "colours": {"#%02x%02x%02x" % c: n for n, c in colours}}))
"""


@contextlib.contextmanager
def _chromium(*options, suffix=""):
    """Runs it with a directory of its own. OUTPUT in an option: a file with this suffix."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError(f"none of {PROGRAMS} is installed (make test installs the first one)")
    with tempfile.TemporaryDirectory(prefix="neon_redo.browser.") as directory:
        output = pathlib.Path(directory, f"output{suffix}")
        fixed = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory}/profile"]
        words = [option.replace("OUTPUT", str(output)) for option in options]
        yield run([program, *fixed, *words], timeout=120), output


class Page(html.parser.HTMLParser):
    """What is in a page: its text, and for each element the values of its attributes."""

    def __init__(self, source):
        super().__init__()
        self.text, self.elements, self._ignored = "", [], 0
        self.feed(source)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._ignored += tag == "style"

    def handle_endtag(self, tag):
        self._ignored -= tag == "style"
        self.text += " " if tag in ("td", "th", "p", "h1", "h2", "h3", "dt", "dd", "li", "text") else ""

    def handle_data(self, data):
        if not self._ignored:
            self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)


def dump(path):
    """The page as the browser understood it."""
    with _chromium("--dump-dom", f"file://{path}") as (result, _):
        return Page(result.stdout)


def screenshot(path, *options, width=1200, height=3000):
    """The size of the picture, its colour near the corner, and how many points each colour has."""
    shot = ["--screenshot=OUTPUT", f"--window-size={width},{height}", *options, f"file://{path}"]
    with _chromium(*shot, suffix=".png") as (_, output):
        return json.loads(run(["/usr/bin/python3", "-c", PIXELS, output]).stdout)


def pdf(path):
    with _chromium("--print-to-pdf=OUTPUT", f"file://{path}", suffix=".pdf") as (_, output):
        return output.read_bytes()
