"""The report's page in a real browser, driven through Chromium's own pipe."""

import base64
import json
import os
import re
import select
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import write_landscape, write_run, write_sweep

from genreg.report.command import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium: apt-get install chromium")


class Browser:
    """Chromium without a window; `errors` holds whatever the page complained of."""

    def __init__(self, folder: Path) -> None:
        self.number, self.errors = 0, []  # type: ignore[var-annotated]
        read_commands, write_commands = os.pipe()
        read_answers, write_answers = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        command = [CHROMIUM, *flags, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read_commands} 4>&{write_answers}', "bash", *map(str, command)],
            pass_fds=(read_commands, write_answers), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        self.commands, self.answers, self.unread = write_commands, read_answers, b""
        self.session = ""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        """The next message; the browser's complaints are kept."""
        while b"\0" not in self.unread:
            assert select.select([self.answers], [], [], 60)[0], "the browser is silent"
            self.unread += os.read(self.answers, 2**20)
        message, _, self.unread = self.unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
            self.errors.append(answer)
        if answer.get("method") == "Network.requestWillBeSent":
            url = answer["params"]["request"]["url"]
            self.errors += [] if url.startswith(("file:", "data:")) else [url]
        return answer

    def open(self, path: Path, width: int = 1600) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self("Emulation.setDeviceMetricsOverride", **size)
        self("Page.navigate", url=path.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def js(self, expression: str) -> Any:
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, name: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            self("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    def close(self) -> None:
        os.close(self.commands)
        os.close(self.answers)
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a grid, a landscape, samples, a failed run and names that would like to run."""
    root = tmp_path_factory.mktemp("pages")
    arms: list[dict[str, Any]] = [{"name": "none", "folder": "grid/none", "command": "genreg train seed=N"}]
    for k, (xi, epsilon) in enumerate([(0.1, 1), (0.1, 3), (10, 1), (10, 3)]):
        arms.append({"name": f"vat,xi={xi},epsilon={epsilon}", "folder": f"grid/vat{k}",
                     "values": {"vat.xi": xi, "vat.epsilon": epsilon}})  # fmt: skip
    arms.append({"name": HOSTILE, "folder": "grid/hostile", "values": {HOSTILE: HOSTILE}, "command": HOSTILE})
    draw = np.random.default_rng(0)
    for k, arm in enumerate(arms):
        for seed in range(3):
            write_run(root / "sweep" / arm["folder"] / f"seed={seed}", 0.5 + k / 50 + draw.normal(0, 0.01))
    shutil.rmtree(root / "sweep/grid/hostile/seed=2")
    write_run(root / "sweep/grid/hostile/seed=2", 0.5, status="failed", reason=HOSTILE)
    picture = root / "sweep/grid/none/seed=0/samples/step=20.png"
    picture.parent.mkdir()
    picture.write_bytes(png())
    write_sweep(root / "sweep", arms, name=f"grid {HOSTILE}")
    for arm in ("gd", "pgd"):
        for seed in range(2):
            write_landscape(root / f"anti_pgd_valley/{arm}-00000000/seed={seed}", draw.normal(20, 5, 9))
    report([root / "sweep", root / "anti_pgd_valley"], output=root / "report.html")
    return root / "report.html"


def png() -> bytes:
    """A gray picture of 8 by 8 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 8) * 8))
        + chunk(b"IEND", b"")
    )


def test_the_page_needs_nothing_else(pages: Path) -> None:
    text = pages.read_text()
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(", text)
    assert text.count("<script>") == 1
    assert "<script>document" not in text
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, given: names.update(name for name, _ in given)  # type: ignore[method-assign]
    names: set[str] = set()
    parser.feed(text)
    assert not {name for name in names if name.startswith("on") or name == "style"}


@needs_browser
@pytest.mark.parametrize("width", [400, 1600])
def test_everything_is_visible_and_nothing_complains(browser: Browser, pages: Path, width: int) -> None:
    browser.errors.clear()
    browser.open(pages, width)
    sizes = browser.js(
        "[...document.querySelectorAll('svg.chart, img')].map(e => e.getBoundingClientRect())"
        ".map(r => [r.width, r.height, r.left, r.right])"
    )
    assert len(sizes) >= 6  # heat map, two curves, a sample; trace, paths
    assert all(w > 200 and h > 130 and left >= 0 and right <= width for w, h, left, right in sizes)
    assert browser.js("document.documentElement.scrollWidth") <= width  # tables scroll in their own frame
    assert browser.js("[...document.images].every(image => image.naturalWidth === 8)")
    shot = base64.b64decode(browser("Page.captureScreenshot", captureBeyondViewport=True)["data"])
    assert len(shot) > 20_000  # an empty page of that size takes less
    assert browser.errors == []


@needs_browser
def test_hostile_names_are_text(browser: Browser, pages: Path) -> None:
    browser.errors.clear()
    browser.open(pages)
    assert browser.js("document.title").startswith("genreg report: grid <script>")
    assert browser.js("document.scripts.length") == 1
    texts = browser.js("[...document.querySelectorAll('tbody th')].map(cell => cell.textContent.trim())")
    assert HOSTILE in texts
    assert browser.js("document.querySelector('ul.notes').textContent").count("<script>") >= 2
    assert browser.errors == []


@needs_browser
def test_tables_sort_by_mouse_and_keyboard(browser: Browser, pages: Path) -> None:
    browser.open(pages)
    rows = "[...document.querySelector('table.results').tBodies[0].rows]"
    means = f"{rows}.map(row => Number(row.cells[3].dataset.value))"
    before = browser.js(means)
    browser.js("document.querySelectorAll('table.results th button')[3].focus()")
    browser.key("Enter", 13)
    assert browser.js(means) == sorted(before)
    assert browser.js("document.querySelectorAll('table.results th')[3].ariaSort") == "ascending"
    browser.js("document.querySelectorAll('table.results th button')[3].click()")
    assert browser.js(means) == sorted(before, reverse=True)
    names = f"{rows}.map(row => row.cells[0].textContent.trim())"
    browser.js("document.querySelectorAll('table.results th button')[0].click()")
    assert browser.js(names)[1] == "none"  # after the name that starts with a sign


@needs_browser
def test_a_number_leads_to_its_runs_and_their_command(browser: Browser, pages: Path) -> None:
    browser.open(pages)
    browser.js("document.querySelector('table.results tbody td.number a').click()")
    opened = "document.querySelector('details[open]')"
    browser.js("new Promise(done => setTimeout(done, 300))")
    assert browser.js(f"{opened}.querySelectorAll('tbody tr').length") == 3
    assert "genreg train seed=1" in browser.js(f"{opened}.textContent")
    links = browser.js(f"[...{opened}.querySelectorAll('tbody a')].map(a => a.href)")
    assert [link.removeprefix("file://") for link in links] == [
        str(pages.parent / f"sweep/grid/none/seed%3D{seed}") for seed in range(3)
    ]
