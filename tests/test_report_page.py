"""The report's page in a real browser."""

import base64
import re
import shutil
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from study import png, write_data_sets, write_study
from synthetic import write_landscape, write_run, write_sweep

from genreg.report.command import report

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def needs_browser(test: Any) -> Any:
    """Mark a test that starts one."""
    missing = pytest.mark.skipif(not CHROMIUM, reason="no chromium: apt-get install chromium")
    return pytest.mark.full(missing(test))


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


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_study(tmp_path_factory.mktemp("study"))
    report([root], form="html")
    return root / "report.html"


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
@pytest.mark.parametrize("width", [400, 1000, 1440])
@pytest.mark.parametrize("which", ["pages", "study"])
def test_everything_is_visible_and_nothing_complains(
    browser: Browser, request: pytest.FixtureRequest, width: int, which: str
) -> None:
    browser.errors.clear()
    browser.open(request.getfixturevalue(which), width)
    sizes = browser.js(
        "[...document.querySelectorAll('svg.chart, img')].map(e => e.getBoundingClientRect())"
        ".filter(r => r.width).map(r => [r.width, r.height, r.left, r.right])"
    )
    assert len(sizes) >= 8  # effects; dots, heat map or curves; a sample; trace, paths
    assert all(w > 200 and h > 80 and left >= 0 and right <= width for w, h, left, right in sizes)
    assert (
        browser.js("document.documentElement.scrollWidth") <= width
    )  # lists of runs scroll in their own frame
    assert browser.js("[...document.images].every(image => image.naturalWidth === 8)")
    shot = base64.b64decode(browser("Page.captureScreenshot", captureBeyondViewport=True)["data"])
    assert len(shot) > 20_000  # an empty page of that size takes less
    assert browser.errors == []


@needs_browser
@pytest.mark.parametrize("width", [400, 1000, 1440])
def test_verdict_difference_and_interval_are_never_cut(browser: Browser, study: Path, width: int) -> None:
    browser.open(study, width)
    cells = browser.js("""
        const names = ['.verdict', '.difference', '.picture svg'];
        [...document.querySelectorAll('tr.arm')].flatMap(row => names.map(name => {
            const found = row.querySelector(name), box = found?.getBoundingClientRect();
            return found && [box.left, box.right, box.height, found.scrollWidth > found.clientWidth + 1];
        })).filter(Boolean)
    """)
    boxes = [box for box in cells if box[2]]
    assert len(boxes) >= 8 * 3  # of eight comparisons
    assert all(left >= 0 and right <= width and not cut for left, right, _, cut in boxes)


@needs_browser
@pytest.mark.parametrize("width", [400, 1000, 1440])
def test_a_matrix_of_data_sets_is_never_cut(browser: Browser, tmp_path: Path, width: int) -> None:
    root = write_data_sets(tmp_path / "sweep")
    report([root], form="html")
    browser.open(root / "report.html", width)
    boxes = browser.js("""
        [...document.querySelectorAll('table.matrix tbody > tr > *')].filter(cell => cell.textContent)
            .map(cell => cell.getBoundingClientRect()).map(r => [r.left, r.right, r.height])
    """)
    assert len(boxes) == 5 * 6 + 4 * 2  # name, data sets, rank; but of the baseline both averages
    assert all(left >= 0 and right <= width and height > 10 for left, right, height in boxes)
    assert browser.js("document.documentElement.scrollWidth") <= width


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
    rows = "[...document.querySelector('table.results').tBodies].map(body => body.rows[0])"
    means = f"{rows}.map(row => Number(row.cells[1].dataset.value))"
    before = browser.js(means)
    browser.js("document.querySelectorAll('table.results th button')[1].focus()")
    browser.key("Enter", 13)
    assert browser.js(means) == sorted(before)
    assert browser.js("document.querySelectorAll('table.results th')[1].ariaSort") == "ascending"
    browser.js("document.querySelectorAll('table.results th button')[1].click()")
    assert browser.js(means) == sorted(before, reverse=True)
    names = f"{rows}.map(row => row.cells[0].textContent.trim())"
    browser.js("document.querySelectorAll('table.results th button')[0].click()")
    assert browser.js(names)[1] == "none"  # after the name that starts with a sign


@needs_browser
def test_an_effect_leads_to_its_row_which_opens_runs_and_commands(browser: Browser, pages: Path) -> None:
    browser.open(pages)
    browser.js(
        "document.querySelectorAll('.wide a.row')[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    opened = "document.querySelector('details[open]')"
    browser.js("new Promise(done => setTimeout(done, 300))")
    assert browser.js(f"{opened}.querySelectorAll(':scope tbody tr').length") == 2
    assert browser.js(f"{opened}.closest('tbody').rows[0].cells[0].textContent.trim()") == "pgd"
    browser.js("document.querySelector('#arm-0-0').nextElementSibling.querySelector('summary').click()")
    opened = "document.querySelector('#arm-0-0').nextElementSibling.querySelector('details')"
    assert "genreg train seed=1" in browser.js(f"{opened}.textContent")
    links = browser.js(f"[...{opened}.querySelectorAll(':scope tbody a')].map(a => a.href)")
    assert [link.removeprefix("file://") for link in links] == [
        str(pages.parent / f"sweep/grid/none/seed%3D{seed}") for seed in range(3)
    ]


@needs_browser
def test_the_value_of_the_nearest_point_is_shown(browser: Browser, study: Path) -> None:
    browser.open(study)
    browser.js("""
        const line = document.querySelector('polyline[data-name="vat"]');
        const point = line.points[line.points.length - 1];
        line.scrollIntoView({behavior: 'instant', block: 'center'});
        const at = new DOMPoint(point.x, point.y).matrixTransform(line.getScreenCTM());
        const over = {clientX: at.x + 2, clientY: at.y, bubbles: true};
        line.dispatchEvent(new PointerEvent('pointermove', over));
    """)
    shown = browser.js(
        "document.querySelector('#value').hidden ? '' : document.querySelector('#value').textContent"
    )
    name, value, step = re.fullmatch(r"(\w+): ([\d.]+) at ([\d.]+)", shown).groups()  # type: ignore[union-attr]
    mean = browser.js("document.querySelector('#arm-0-2').cells[1].dataset.value")
    assert (name, float(step)) == ("vat", 1000)
    assert float(value) == pytest.approx(100 * float(mean), rel=2e-3)


@needs_browser
def test_a_picture_is_saved_with_its_colors(browser: Browser, study: Path, tmp_path: Path) -> None:
    browser.errors.clear()
    browser.open(study)
    browser("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.js("document.querySelector('.pictures button.save').click()")
    for _ in range(100):
        time.sleep(0.05)
        if files := list(tmp_path.glob("*.svg")):
            break
    root = ElementTree.fromstring(files[0].read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    fills = {element.get("fill") for element in root.iter()}
    assert {"rgb(0, 104, 166)", "rgb(255, 255, 255)"} <= fills  # the color of an arm, and the paper
    assert not [element for element in root.iter() if element.get("class")]
    assert browser.errors == []


@needs_browser
def test_on_paper_a_table_is_a_table(browser: Browser, study: Path) -> None:
    """The width of A4 between its margins is that of a narrow screen, its letters are smaller."""
    heads = "[...document.querySelectorAll('.results > thead th, .wide, .narrow')]"
    heads += ".map(e => e.checkVisibility() && e.getBoundingClientRect().left >= 0)"
    browser("Emulation.setEmulatedMedia", media="print")
    browser.open(study, 688)
    seen, wide = browser.js(heads), browser.js("document.documentElement.scrollWidth")
    browser("Emulation.setEmulatedMedia", media="")
    assert seen == [True, False] + [True] * 6 * 3
    assert wide <= 688


@needs_browser
@pytest.mark.parametrize("how", ["style", "script"])
def test_paper_loses_nothing(browser: Browser, study: Path, how: str) -> None:
    """Each would do: the style where scripts are off, the script where a browser lacks ::details-content."""
    browser.open(study)
    if how == "style":
        browser("Emulation.setEmulatedMedia", media="print")
    else:
        browser.js("dispatchEvent(new Event('beforeprint'))")
    browser.js("document.body.offsetHeight")  # lays out anew
    visible = browser.js("[...document.querySelectorAll('details *')].filter(e => e.matches('td, dd, li'))"
                         ".map(e => e.checkVisibility({contentVisibilityAuto: true}))")  # fmt: skip
    browser("Emulation.setEmulatedMedia", media="")
    assert len(visible) > 500
    assert all(visible)
    browser.js("dispatchEvent(new Event('afterprint'))")
    assert browser.js("document.querySelectorAll('details[open]').length") == 0


def test_a_page_is_the_same_whatever_stands_in_the_cache_of_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_run(tmp_path / "runs/none-00000000/seed=0", 0.5)

    def made() -> bytes:
        report([tmp_path / "runs"], output=tmp_path / "report.html")
        return (tmp_path / "report.html").read_bytes()

    first, kept = made(), sorted((tmp_path / "cache/genreg/templates").iterdir())
    assert kept
    for cut in (0, 4, 30, 400):
        for path in kept:
            path.write_bytes(path.read_bytes()[:cut] + b"?" * (cut > 30))
        assert made() == first
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()  # no folder can be made in it
    assert made() == first
