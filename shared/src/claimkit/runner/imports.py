"""The code and the libraries that a measurement really uses: what must be the same for its values to be taken up.

Our own modules count by their syntax trees, so that a comment or a docstring changes nothing; libraries count by version.
Followed are import statements anywhere in a module, the stubs of lazily loaded packages, and modules named in text
(``"photonet.networks"``, ``-m securegbm.worker``). What is imported under a name made at run time is not seen.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from claimkit.files import sha256

INSTALLED = ("site-packages", "dist-packages")
DOTTED = re.compile(r"\.?[a-z_]\w*(?:\.\w+)+(?::\w+)?")
IN_CODE = re.compile(r"(?:from|import|-m)\s+([a-z_][\w.]*)")


def code_digest(module: str) -> str:
    """sha256 over the syntax trees of a module and of all of ours that it imports, and over the data in their wheels."""
    total = hashlib.sha256()
    files = closure(module)
    for name in sorted(files):
        total.update(f"{name}\0{_tree(files[name])}\n".encode())
    for top in sorted({name.split(".")[0] for name in files}):
        for file in sorted(p for p in (_home(top) or Path("none")).glob("data/**/*") if p.is_file()):
            total.update(f"{top}/{file.name}\0{sha256(file)}\n".encode())
    return total.hexdigest()


def closure(module: str) -> dict[str, Path]:
    """Our modules that ``module`` imports, directly or not, itself included: name to file.

    Of a package of which only submodules are used, ``__init__`` counts but is not followed; that of ``claims``, which
    lists all claims, does not count.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = locate(name)
        if file is None or name in found:
            continue
        found[name] = file
        waiting += _imports(name, file)
    for name in list(found):
        parts = name.split(".")
        for parent in (".".join(parts[:i]) for i in range(1, len(parts))):
            if not parent.endswith(".claims") and (file := locate(parent)):
                found.setdefault(parent, file)
    return found


def libraries(module: str) -> dict[str, str]:
    """Versions of the distributions that our modules behind ``module`` import, and of those that these require."""
    known = _distributions()
    tops = {n.split(".")[0] for name, file in closure(module).items() for n in _imports(name, file)}
    waiting = ["numpy", *(d for top in tops if _home(top) is None for d in known.get(top, []))]  # seeded by every run
    found: dict[str, str] = {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = importlib.metadata.requires(name) or []
        waiting += [re.split(r"[^\w.-]", r, maxsplit=1)[0] for r in needed if "extra ==" not in r]
    return dict(sorted(found.items()))


def locate(module: str) -> Path | None:
    """File of one of our modules, found without importing it; None for libraries and for what is no module."""
    top, *rest = module.split(".")
    home = _home(top)
    if home is None:
        return None
    if home.is_file():
        return None if rest else home
    path = home.joinpath(*rest)
    return next((p for p in (path / "__init__.py", path.with_name(f"{path.name}.py")) if p.is_file()), None)


def _home(top: str) -> Path | None:
    """Folder (or file) of a top-level name that is ours: outside of the installed libraries, or with claims of its own."""
    if top in sys.stdlib_module_names or top == "__main__":
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    path = Path(places[0] if places else spec.origin or "")
    if not path.exists() or path.suffix not in ("", ".py"):
        return None
    claims = top == "claimkit" or (path / "claims.py").exists() or (path / "claims").is_dir()
    return path if claims or not set(INSTALLED) & set(path.parts) else None


def _imports(name: str, file: Path) -> list[str]:
    """Names of the modules that a module of ours imports, ours or not."""
    stamp = file.stat()
    return _read(name, file, stamp.st_mtime_ns, stamp.st_size)[1]


def _tree(file: Path) -> str:
    stamp = file.stat()
    return _read("", file, stamp.st_mtime_ns, stamp.st_size)[0]


@functools.lru_cache(maxsize=4096)
def _read(name: str, file: Path, _changed: int, _size: int) -> tuple[str, list[str]]:
    """Digest of the syntax tree without docstrings, and the imports in it."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = [m for node in ast.walk(tree) for m in _named(node, package)]
    stub = file.with_suffix(".pyi")
    if file.name == "__init__.py" and stub.exists():
        found += [m for node in ast.walk(ast.parse(stub.read_bytes())) for m in _named(node, package)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), list(dict.fromkeys(found))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    """Modules that one node of a syntax tree names."""
    if isinstance(node, ast.Import):
        yield from (a.name for a in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        base = (
            ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])]) if node.level else ""
        )
        base = base or node.module or ""
        inner = [f"{base}.{a.name}" for a in node.names]
        lazy = _lazy(base)
        yield from (lazy.get(a.name, i) for a, i in zip(node.names, inner, strict=True))
        if any(locate(i) is None and a.name not in lazy for a, i in zip(node.names, inner, strict=True)):
            yield base
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
        named = [text.partition(":")[0].lstrip(".")] if len(text) < 100 and DOTTED.fullmatch(text) else IN_CODE.findall(text)
        yield from (m for n in named for m in (n, f"{package.split('.')[0]}.{n}") if locate(m))


def _lazy(package: str) -> dict[str, str]:
    """Names that a package of ours loads when first used, to the modules that hold them, from its stub."""
    file = locate(package)
    stub = file.with_suffix(".pyi") if file and file.name == "__init__.py" else None
    if stub is None or not stub.exists():
        return {}
    nodes = [n for n in ast.walk(ast.parse(stub.read_bytes())) if isinstance(n, ast.ImportFrom)]
    return {
        a.asname or a.name: f"{package}.{n.module}" if n.module else f"{package}.{a.name}" for n in nodes for a in n.names
    }


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
