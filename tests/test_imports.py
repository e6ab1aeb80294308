"""Imports between packages point one way, and the runtime needs no torch."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gan_denoise

ROOT = Path(gan_denoise.__file__).parent
LEAVES = {
    "console",
    "errors",
    "files",
    "locks",
    "machine",
    "markdown",
    "options",
    "paths",
    "ray_cluster",
    "rng",
    "spawn",
    "streams",
    "__version__",
}
MAY_IMPORT = {
    "models": {"models"},
    "data": {"data"} | LEAVES,
    "export": {"export", "models", "data"} | LEAVES,
    "eval": {"eval", "export", "models", "data"} | LEAVES,
    "study": {"study", "eval", "export", "models", "data"} | LEAVES,
}
API_MAY_IMPORT = (
    "gan_denoise.data",
    "gan_denoise.export",
    "gan_denoise.eval.metrics",
    "gan_denoise.errors",
    "gan_denoise.options",
)
# Inside a package: each folder or module imports from itself and from those after it alone.
ORDER: dict[str, list[str | tuple[str, ...]]] = {
    "eval": ["commands", "generation", "denoising", "bench", "metrics"],
    "study": [
        "commands",
        ("pipeline", "sweep"),
        ("train", "report"),
        ("compare", "experiments"),
        ("run", "presets"),
        ("config", "rows"),
    ],
}
TORCH_FOLDERS = {"models", "study/run", "study/train", "study/compare", "export/convert"}
TORCH_MODULES = {"study/options.py", "eval/bench/third_party.py"}  # inside functions


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    return ".".join(("gan_denoise", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("gan_denoise.")}
        assert rooms <= MAY_IMPORT[room], path


def test_the_api_imports_data_export_and_metrics_and_nothing_imports_it() -> None:
    uses = {name for name in imported(ROOT / "api.py") if name.startswith("gan_denoise.")}
    assert uses
    assert all(name.startswith(API_MAY_IMPORT) for name in uses), uses
    assert not uses & {"gan_denoise.export.convert", "gan_denoise.export.demo", "gan_denoise.export.package"}
    for path in [*ROOT.glob("*.py"), *(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))]:
        if path.name != "__init__.py" or path.parent != ROOT:  # it imports the public names when they are used
            assert not any(name.startswith("gan_denoise.api") for name in imported(path)), path


@pytest.mark.parametrize("package", ORDER)
def test_imports_inside_a_package_point_one_way(package: str) -> None:
    ranks = {
        name: i for i, names in enumerate(ORDER[package]) for name in ([names] if isinstance(names, str) else names)
    }
    for path in (ROOT / package).rglob("*.py"):
        place = path.relative_to(ROOT / package)
        if (mine := ranks.get(place.parts[0].removesuffix(".py"))) is None:
            continue  # a module that everything in the package may use, or that uses everything
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["gan_denoise", package] and len(parts) > 2 and parts[2] in ranks:
                same = parts[2] == place.parts[0].removesuffix(".py")
                assert same or ranks[parts[2]] > mine, f"{path} imports {name}"


def test_modules_import_each_other_in_no_circle() -> None:
    names = {module_name(path): path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py")}
    graph = {
        name: {other for other in imported(path) if other in names and other != name} for name, path in names.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_torch_is_imported_where_it_may_be() -> None:
    for folder in MAY_IMPORT:
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT)
            allowed = str(place) in TORCH_MODULES or any(str(place).startswith(f"{name}/") for name in TORCH_FOLDERS)
            users = {name.split(".")[0] for name in imported(path)} & {"torch", "torchvision", "safetensors"}
            assert allowed or not users, path


def test_the_packages_of_the_server_are_imported_by_the_server_alone() -> None:
    packages, users = {"starlette", "uvicorn", "prometheus_client", "httptools", "uvloop"}, set()
    for path in [*ROOT.glob("*.py"), *(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))]:
        if {name.split(".")[0] for name in imported(path)} & packages:
            users.add(str(path.relative_to(ROOT).parent))
    assert users == {"export/serve"}


def test_ray_is_imported_by_two_modules_inside_functions() -> None:
    users = set()
    for path in [*ROOT.glob("*.py"), *(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))]:
        if "ray" in {name.split(".")[0] for name in imported(path)}:
            users.add(str(path.relative_to(ROOT)))
            top = {type(node) for node in ast.parse(path.read_text()).body if "import ray" in ast.unparse(node)}
            assert not top & {ast.Import, ast.ImportFrom}
    assert users == {"ray_cluster.py", "export/serve/deployment.py"}


def test_the_command_line_starts_without_torch_and_other_heavy_packages() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "numpy", "scipy", "matplotlib", "skimage", "pywt", "PIL", "uvicorn")
    code = f"import sys, gan_denoise.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_runtime_works_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'safetensors', 'onnxscript')));"
        "from gan_denoise.cli import main; main()"
    )
    subprocess.run(
        [sys.executable, "-c", f"{code.split(';from')[0]}; import gan_denoise.export.serve.server"], check=True
    )
    for arguments in (["generate", "-n", "3", "--out", "out"], ["denoise", "out/image/000000.png", "--out", "clean"]):
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, check=True)
    assert (tmp_path / "clean/000000.png").exists()
    done = subprocess.run([sys.executable, "-c", code, "train", "gan"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == 'error: torch: not installed\nhint: pip install "gan-denoise[train]"\n'


def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    code = "import os, gan_denoise.export.runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
