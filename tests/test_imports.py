from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer.main
from pictures import csv_table, mnist, write_number

import edge_digits
import edge_digits_models
from edge_digits import cli

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "edge_digits_models": ROOT / "models" / "edge_digits_models",
    "edge_digits": ROOT / "edge" / "edge_digits",
    "edge_digits_train": ROOT / "train" / "edge_digits_train",
    "edge_digits_export": ROOT / "export" / "edge_digits_export",
}
"""The packages, each of which may import itself and those before it."""
HEAVY = {"onnxruntime", "cv2", "pandas", "tensorflow", "keras", "matplotlib", "onnx", "sklearn"}


def loaded_after(code: str) -> set[str]:
    """The top-level names of all modules that are loaded once `code` has run in a process of its own."""
    code += "\nimport sys; print('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.rpartition("loaded: ")[2].split())


def command(*arguments: str) -> str:
    """Code that runs a command of the CLI."""
    return f"""
import sys
sys.argv = ["edge-digits", *{arguments!r}]
from edge_digits.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


# ---- what is loaded


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import edge_digits") & {*HEAVY, "numpy", "typer"}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("classify", "--help"), ("models", "list")])
def test_help_and_lists_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not loaded_after(command(*arguments)) & {*HEAVY, "numpy"}


def test_a_command_is_built_alone() -> None:
    every = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for name in set(every) - {"models"}:
        assert list(typer.main.get_command(cli._only([name])).commands) == [name]  # type: ignore[attr-defined]
    for asked in ([], ["models"], ["--version"], ["classifi"]):
        assert cli._only(asked) is cli.app


def test_the_program_ends_with_all_that_is_to_be_done_at_its_end() -> None:
    code = "import atexit, sys; atexit.register(print, 'the end', flush=True); sys.argv = ['edge-digits', {argument!r}]"
    code += "; from edge_digits.__main__ import run; run()"
    for argument, exit_code in (("--version", 0), ("--nothing", 2)):
        done = subprocess.run([sys.executable, "-c", code.format(argument=argument)], capture_output=True, text=True)
        assert done.returncode == exit_code
        assert done.stdout.endswith("the end\n")
        assert bool(done.stderr) == bool(exit_code)


def test_csv_commands_never_load_opencv(tmp_path: Path) -> None:
    tiles, labels = mnist()
    (tmp_path / "test.csv").write_bytes(csv_table(tiles[:3]))
    (tmp_path / "train.csv").write_bytes(csv_table(tiles[:3], labels[:3]))
    for arguments in (
        ("submit", str(tmp_path / "test.csv"), "-o", str(tmp_path / "out.csv")),
        ("evaluate", str(tmp_path / "train.csv")),
    ):
        loaded = loaded_after(command(*arguments))
        assert "onnxruntime" in loaded
        assert not loaded & (HEAVY - {"onnxruntime"})


@pytest.mark.parametrize("what", ["lines", "wide digits", "a sheet on a desk"])
def test_reading_a_picture_loads_no_masked_arrays(what: str, tmp_path: Path) -> None:
    """np.median, np.percentile and np.unique would load them, for 10 ms at each start; numpy 1 always does."""
    import cv2

    path = ROOT / "docs" / "pictures" / "number.jpg"
    if what != "lines":
        path = tmp_path / "picture.png"
        image = write_number("4017", height=60, size=(240, 320)).image
        cv2.imwrite(str(path), image if what == "wide digits" else np.pad(image, 60, constant_values=30))
    before = "import numpy, sys\nbefore = 'numpy.ma' in sys.modules\n"
    after = "\nassert before or 'numpy.ma' not in sys.modules"
    loaded_after(before + command("classify", str(path)) + after)


def test_reading_pictures_needs_no_training_package(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), mnist()[0][0])
    loaded = loaded_after(command("classify", str(tmp_path / "a.png")))
    assert {"cv2", "onnxruntime"} <= loaded
    assert not loaded & (HEAVY - {"cv2", "onnxruntime"})


# ---- who may import whom


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(imported module, whether inside a function) for every import in a file."""

    def walk(node: ast.AST, late: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                yield child.module or "", inside
                yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def modules() -> list[tuple[str, Path]]:
    """(package, file) of every module of the four packages."""
    return [(package, path) for package, folder in FOLDERS.items() for path in sorted(folder.rglob("*.py"))]


def test_the_packages_are_where_they_are_looked_for() -> None:
    counts = {package: sum(1 for other, _ in modules() if other == package) for package in FOLDERS}
    assert min(counts.values()) >= 1
    assert counts["edge_digits"] > 15


@pytest.mark.parametrize(("package", "path"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_a_module_imports_only_its_own_package_and_those_below(package: str, path: Path) -> None:
    order = list(FOLDERS)
    allowed = set(order[: order.index(package) + 1])
    for name, late in imports_of(path):
        top = name.partition(".")[0]
        by_name = package == "edge_digits" and path.name == "cli.py" and late  # the commands that train and export
        assert top not in order or top in allowed or by_name, f"{path.name} imports {name}"


def test_the_exception_is_used_so_the_walk_sees_late_imports() -> None:
    seen = {name.partition(".")[0] for name, late in imports_of(FOLDERS["edge_digits"] / "cli.py") if late}
    assert {"edge_digits_train", "edge_digits_export"} <= seen


def test_the_runtime_needs_only_its_dependencies() -> None:
    ours = {"edge_digits", "edge_digits_models", "edge_digits_train", "edge_digits_export"}
    allowed = {*sys.stdlib_module_names, *ours, "numpy", "onnxruntime", "cv2", "typer", ""}
    for package, path in modules():
        if package in ("edge_digits", "edge_digits_models"):
            for name, _ in imports_of(path):
                assert name.partition(".")[0] in allowed, f"{path.name} imports {name}"


def test_cv2_is_imported_in_one_place_alone() -> None:
    for package, path in modules():
        if package == "edge_digits" and path.name != "opencv.py":
            direct = [name for name, _ in imports_of(path) if name == "cv2" or name.startswith("cv2.")]
            assert not direct, f"{path.name} imports {direct}"


# ---- what a package shows


def test_all_is_exactly_what_is_exported() -> None:
    assert edge_digits.__all__ == sorted(edge_digits.__all__, key=lambda name: (name.startswith("_"), name))
    assert sorted(dir(edge_digits)) == sorted(edge_digits.__all__)
    for name in edge_digits.__all__:
        assert getattr(edge_digits, name) is not None
    tree = ast.parse((FOLDERS["edge_digits"] / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert imported - {"TYPE_CHECKING"} == set(edge_digits.__all__) - {"__version__"}  # what type checkers see


def test_star_import_gives_all_of_it() -> None:
    space: dict[str, object] = {}
    exec("from edge_digits import *", space)
    assert set(edge_digits.__all__) <= set(space)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classifer'"):
        _ = edge_digits.Classifer  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", FOLDERS)
def test_nothing_shown_is_named_as_a_module(package: str) -> None:
    """Else the name would be the function or the module by what was imported before."""
    folder = FOLDERS[package]
    names = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    shown = getattr(importlib.import_module(package), "__all__", [])
    assert not names & set(shown)


@pytest.mark.parametrize("package", FOLDERS)
def test_every_package_is_typed(package: str) -> None:
    assert (FOLDERS[package] / "py.typed").is_file()


def test_the_models_package_holds_what_the_wheel_ships() -> None:
    folder = Path(edge_digits_models.__file__).parent
    assert {path.suffix for path in folder.iterdir() if path.is_file()} >= {".onnx", ".json", ".md"}


def test_every_runtime_module_can_be_imported() -> None:
    for module in pkgutil.iter_modules(edge_digits.__path__):
        if module.name != "__main__":
            assert inspect.ismodule(importlib.import_module(f"edge_digits.{module.name}"))


def undocumented(path: Path) -> list[str]:
    """The public functions, classes and methods of a file that have no docstring, and the file itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            overload = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
            if not ast.get_docstring(node) and not overload:
                missing.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")

    look(tree.body, "")
    return missing


@pytest.mark.parametrize(("package", "path"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_everything_public_has_a_docstring(package: str, path: Path) -> None:
    if path.name != "__main__.py":
        assert undocumented(path) == []
