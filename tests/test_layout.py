"""Which room of genreg/ imports which, read from every import statement, inside functions too."""

import ast
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "genreg"
FORBIDDEN = {
    "report": {"torch", "genreg.task"},
    "run": {f"genreg.{name}" for name in
            ("cli", "study", "logger", "task", "regularizer", "features", "measure", "model")},
}  # fmt: skip
"""What no file of a room imports, by name or by part of a name."""

Where = str  # file:line


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The imports and classes of a file."""
    found = ast.walk(ast.parse(path.read_text()))
    return [node for node in found if isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef))]


@cache
def imports(path: Path) -> list[tuple[str, Where]]:
    """Dotted names that a file imports, and where; `from a import b` is a.b, whether b is a module or not."""
    return list(read_imports(path))


def read_imports(path: Path) -> Iterator[tuple[str, Where]]:
    package = ".".join(path.relative_to(REPOSITORY).parent.parts)
    for node in nodes(path):
        where = f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from ((alias.name, where) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", where) for alias in node.names)


def files(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(path: Path) -> str:
    """The package or flat module of genreg/ in which a file lies; `genreg` for its own __init__.py."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "genreg" if first == "__init__" else first


def module_named(name: str) -> Path | None:
    """The file that an import of this name runs; None outside of genreg."""
    while name:
        path = REPOSITORY.joinpath(*name.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_relative_to(PACKAGE) and file.exists():
                return file
        name = name.rpartition(".")[0]
    return None


def room_named(name: str) -> str | None:
    """The room of an imported name; what lies in no room (`genreg.CONFIGS`) is the package's own."""
    top, _, rest = name.partition(".")
    if top != "genreg":
        return None
    first = rest.split(".")[0]
    return first if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists() else "genreg"


@cache
def graph() -> dict[str, dict[str, Where]]:
    """For each room, the rooms that it imports, and where it does first."""
    rooms: dict[str, dict[str, Where]] = {}
    for path in files():
        own = rooms.setdefault(room_of(path), {})
        for name, where in imports(path):
            if (room := room_named(name)) and room != room_of(path):
                own.setdefault(room, where)
    return rooms


def cycles(rooms: dict[str, dict[str, Where]]) -> list[str]:
    """A shortest way from each room back to itself, each import with its place; none where all point down."""
    found: dict[frozenset[str], list[str]] = {}
    for start in rooms:
        ways, seen = [[start]], set[str]()
        while ways:
            way = ways.pop(0)
            for room in rooms.get(way[-1], {}):
                if room == start:
                    found.setdefault(frozenset(way), [*way, room])
                    ways.clear()
                    break
                if room not in seen:
                    seen.add(room)
                    ways.append([*way, room])
    return [", ".join(f"{a} -> {b} ({rooms[a][b]})" for a, b in pairwise(way)) for way in found.values()]


def test_packages_import_downward_only() -> None:
    found = cycles(graph())
    assert not found, "\n".join(found)


def test_no_two_files_import_each_other() -> None:
    graph: dict[str, dict[str, Where]] = {}
    for path in files():
        own = graph.setdefault(str(path.relative_to(PACKAGE)), {})
        for name, where in imports(path):
            found = module_named(name)
            own_package = found and found.name == "__init__.py" and path.is_relative_to(found.parent)
            if found and found != path and not own_package:  # a method may import its base as users do
                own.setdefault(str(found.relative_to(PACKAGE)), where)
    assert graph["run/loop.py"].keys() >= {"run/logger.py", "errors.py"}
    found = cycles(graph)
    assert not found, "\n".join(found)


def test_rooms_within_the_report_import_downward_only() -> None:
    rooms: dict[str, dict[str, Where]] = {}
    for path in files(PACKAGE / "report"):
        room = path.relative_to(PACKAGE / "report").parts[0].removesuffix(".py")
        for name, where in imports(path):
            inner = name.removeprefix("genreg.report.").split(".")[0]
            if name.startswith("genreg.report.") and inner != room:
                rooms.setdefault(room, {}).setdefault(inner, where)
    assert {"judge", "output", "page"} <= rooms.keys()
    found = cycles(rooms)
    assert not found, "\n".join(found)


def test_a_cycle_is_seen() -> None:
    chain = {"a": {"b": "a.py:1"}, "b": {"c": "b.py:2"}, "c": {}}
    assert cycles(chain) == []
    assert cycles({**chain, "c": {"b": "c.py:3"}}) == ["b -> c (b.py:2), c -> b (c.py:3)"]
    assert len(cycles({**chain, "c": {"a": "c.py:3"}})) == 1
    assert len(cycles({**chain, "c": {"a": "c.py:3"}, "b": {"c": "b.py:2", "a": "b.py:4"}})) == 2


def test_the_graph_holds_imports_of_every_kind() -> None:
    assert "regularizer" in graph()["measure"]
    assert graph()["cli"]["study"].startswith("genreg/cli/")
    assert graph()["dataset"]["streams"].startswith("genreg/dataset/")
    assert {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"} <= set(graph())


def test_hydra_is_the_command_lines_own() -> None:
    found = [where for path in files() for name, where in imports(path) if within(name, {"hydra"})]
    assert [where for where in found if not where.startswith("genreg/cli/")] == []
    assert found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_nothing_that_it_must_not_know(room: str) -> None:
    found = [
        f"{where} {name}"
        for path in files(PACKAGE / room)
        for name, where in imports(path)
        if within(name, FORBIDDEN[room])
    ]
    assert not found, "\n".join(found)


def within(name: str, parents: set[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def test_hierarchies_are_at_most_two_deep() -> None:
    """A base and what inherits from it: behind a third class nobody sees which method runs."""
    found = [" > ".join(chain) for chain in map(ancestry, bases()) if len(chain) > 2]
    assert found == ["Task > Classify > Alternate"]  # the same update, then one of the unlabeled batch


@cache
def bases() -> dict[str, list[str]]:
    """The names that each class of genreg/ inherits from."""
    return {
        node.name: [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
        for path in files()
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
    }


def ancestry(name: str) -> list[str]:
    """The longest way from a class of genreg/ that inherits from none to this one."""
    above = (ancestry(base) for base in bases()[name] if base in bases() and base != name)
    return [*max(above, key=len, default=[]), name]
