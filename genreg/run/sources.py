"""Reads what classes and loaders declare from the text of their modules; nothing is imported.

`neutral` finds the parameters that are marked by `Annotated[..., Neutral(...)]`, `source_of` the files of a
data set:

    SOURCE = Source("svhn", 246.3, "non-commercial use", "http://...", {"train_32x32.mat": "md5:e26d..."})

holds for every loader of the module. Where they read different files, the module has
`SOURCES = (Source(...), Source(...))`: a loader reads the one that the key `name` of its YAML says, or that
of its own name. Values are literals; either constant may be imported from the module that has it.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from genreg.download import Source, by_name
from genreg.errors import InputError

FOREIGN = frozenset({"torch", *sys.stdlib_module_names})
"""Packages that know nothing of `Neutral`, and are slow to read."""


def source_of(node: dict[str, Any]) -> Source | None:
    """The source that the loader of a node declares, None without; InputError for what is not literal."""
    module, _, function = str(node.get("_target_", "")).rpartition(".")
    module, loader = home_of(module, function)
    if only := _declared(*home_of(module, "SOURCE")):
        return only[0]
    several = by_name(_declared(*home_of(module, "SOURCES")))
    return several.get(str(node.get("name"))) or several.get(loader)


def neutral(target: Any) -> Mapping[str, tuple[Any, ...]]:
    """The values of each `Neutral` parameter of a class, its bases' too, or of a function.

    target: its dotted name; nothing is found of torch, of other objects, or without a source. InputError
    for values that are not literals.
    """
    return _neutral(str(target), tuple(sys.path))


@lru_cache(1000)
def _neutral(target: str, _path: tuple[str, ...]) -> Mapping[str, tuple[Any, ...]]:
    """`neutral` of a target where modules are looked for: changed code needs a new process anyway."""
    found: dict[str, tuple[Any, ...]] = {}
    try:
        module, name = home_of(*target.rpartition(".")[::2])
        text = "" if module.partition(".")[0] in FOREIGN else _text(module)
        if "Neutral" not in text and f"class {name}(" not in text:  # saves a skip a third of its parsing
            return found
        definition = next((s for s in _parsed(text, module) if getattr(s, "name", None) == name), None)
    except InputError:  # no Python: said where the module is imported
        return found
    if isinstance(definition, ast.ClassDef):
        for base in reversed(definition.bases):
            if (above := _absolute(ast.unparse(base), module)) != target:
                found |= neutral(above)
    for name, annotation in _parameters(definition) if "Neutral" in text else ():
        if (marks := _marks(annotation, module)) is not None:
            found[name] = marks
    return found


def _parameters(definition: ast.stmt | None) -> Iterator[tuple[str, ast.expr]]:
    """The annotated fields of a class and parameters of its constructor, or parameters of a function."""
    parts = definition.body if isinstance(definition, ast.ClassDef) else [definition]
    for part in parts:
        if isinstance(part, ast.AnnAssign):
            yield ast.unparse(part.target), part.annotation
        if isinstance(part, ast.FunctionDef) and (part is definition or part.name == "__init__"):
            for argument in (*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs):
                if argument.annotation:
                    yield argument.arg, argument.annotation


def _marks(annotation: ast.expr, module: str) -> tuple[Any, ...] | None:
    """The values of `Neutral(...)` in an annotation; None without."""
    for call in ast.walk(annotation):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "Neutral":
            try:
                return tuple(map(ast.literal_eval, call.args))
            except ValueError as error:
                place = f"{module_file(module)}:{call.lineno}"
                raise InputError(place, "Neutral(...) of literals", ast.unparse(call)) from error
    return None


def _absolute(name: str, module: str) -> str:
    """The dotted name of what a module calls `name`."""
    first, _, rest = name.partition(".")
    home = home_of(module, first)
    if rest and home == (module, first):  # import a.b
        return name
    return ".".join((*home, rest)).strip(".")


def attribute_of(target: str, name: str) -> Any:
    """The literal that the class `target` assigns to `name` in its own body; None if it assigns none."""
    module, _, kind = target.rpartition(".")
    module, kind = home_of(module, kind)
    for statement in _parsed(_text(module), module):
        if isinstance(statement, ast.ClassDef) and statement.name == kind:
            return _assigned(statement.body, name)
    return None


def constant_of(module: str, name: str) -> Any:
    """The literal that a module assigns to `name`; None if it assigns none."""
    return _assigned(_parsed(_text(module), module), name)


def _assigned(statements: Sequence[ast.stmt], name: str) -> Any:
    for line in statements:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value:
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            if name in map(ast.unparse, targets):
                return ast.literal_eval(line.value)
    return None


def module_file(module: str) -> Path | None:
    """The file of a dotted module, found without importing it or what it lies in."""
    name, *rest = module.split(".")
    try:
        spec = find_spec(name)
        for part in rest:
            name, inside = f"{name}.{part}", spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(name, inside or [])  # of no package None, which means sys.path
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None


def home_of(module: str, name: str) -> tuple[str, str]:
    """The module that defines what `module` calls `name`, and its name there; `from` imports are followed."""
    text = "" if module.partition(".")[0] in FOREIGN else _text(module)
    if not text or re.search(rf"^(class|def) {name}\b", text, re.M):
        return module, name
    for statement in _parsed(text, module):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if name == (alias.asname or alias.name) and (home := _imported(statement, module)) != module:
                    return home_of(home, alias.name)
    return module, name


def _imported(statement: ast.ImportFrom, module: str) -> str:
    """The absolute name of the module from which a statement of `module` imports."""
    path = module_file(module)
    package = module if path and path.stem == "__init__" else module.rpartition(".")[0]
    return resolve_name("." * statement.level + (statement.module or ""), package)


def _declared(module: str, constant: str) -> list[Source]:
    """Every `Source(...)` in what `module` assigns to `constant`."""
    for statement in _parsed(_text(module), module):
        if isinstance(statement, ast.Assign) and constant in map(ast.unparse, statement.targets):
            return [_source(call, module) for call in ast.walk(statement.value) if isinstance(call, ast.Call)]
    return []


def _source(call: ast.Call, module: str) -> Source:
    try:
        values = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        return Source(*map(ast.literal_eval, call.args), **values)
    except (ValueError, TypeError) as error:
        place = f"{module_file(module)}:{call.lineno}"
        expected = "Source(name, megabytes, licence, url, files) of literals"
        raise InputError(place, expected, ast.unparse(call)) from error


def _text(module: str) -> str:
    """The source of a module; empty without a file."""
    path = module_file(module)
    return path.read_text(encoding="utf-8", errors="ignore") if path else ""


@lru_cache(100)
def _parsed(text: str, module: str) -> list[ast.stmt]:
    """The top level of a module; InputError for what is no Python."""
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError) as error:
        raise InputError(str(module_file(module)), "a module of Python", error) from error
