"""Reads what a data set is made of from the text of its loader's module; nothing is imported.

    SOURCE = Source("svhn", 246.3, "non-commercial use", "http://...", {"train_32x32.mat": "md5:e26d..."})

holds for every loader of the module. Where they read different files, the module has
`SOURCES = (Source(...), Source(...))`: a loader reads the one that the key `name` of its YAML says, or that
of its own name. Values are literals; either constant may be imported from the module that has it.
"""

import ast
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from genreg.download import Source, by_name
from genreg.errors import InputError


def source_of(node: dict[str, Any]) -> Source | None:
    """The source that the loader of a node declares, None without; InputError for what is not literal."""
    module, _, function = str(node.get("_target_", "")).rpartition(".")
    module, loader = _home(module, function)
    if only := _declared(*_home(module, "SOURCE")):
        return only[0]
    several = by_name(_declared(*_home(module, "SOURCES")))
    return several.get(str(node.get("name"))) or several.get(loader)


def attribute_of(target: str, name: str) -> Any:
    """The literal that the class `target` assigns to `name` in its own body; None if it assigns none."""
    module, _, kind = target.rpartition(".")
    module, kind = _home(module, kind)
    for statement in _statements(module):
        if isinstance(statement, ast.ClassDef) and statement.name == kind:
            for line in statement.body:
                if isinstance(line, ast.Assign) and name in map(ast.unparse, line.targets):
                    return ast.literal_eval(line.value)
    return None


def module_file(module: str) -> Path | None:
    """The file of a dotted module, found without importing it or what it lies in."""
    name, *rest = module.split(".")
    try:
        spec = find_spec(name)
        for part in rest:
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations if spec else [])
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None


def _home(module: str, name: str) -> tuple[str, str]:
    """The module that defines what `module` calls `name`, and its name there; `from` imports are followed."""
    for statement in _statements(module):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if name == (alias.asname or alias.name):
                    return _home(_imported(statement, module), alias.name)
    return module, name


def _imported(statement: ast.ImportFrom, module: str) -> str:
    """The absolute name of the module from which a statement of `module` imports."""
    path = module_file(module)
    package = module if path and path.stem == "__init__" else module.rpartition(".")[0]
    return resolve_name("." * statement.level + (statement.module or ""), package)


def _declared(module: str, constant: str) -> list[Source]:
    """Every `Source(...)` in what `module` assigns to `constant`."""
    for statement in _statements(module):
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


def _statements(module: str) -> list[ast.stmt]:
    """The top level of a module; nothing of one without a file."""
    path = module_file(module)
    return _parsed(path, path.stat().st_mtime_ns) if path else []


@lru_cache(100)
def _parsed(path: Path, _changed: int) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        raise InputError(str(path), "a module of Python", error) from error
