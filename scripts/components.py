"""Write docs/components.cdx.json, the list of this project's components, from its lock files: `make docs`.

CycloneDX 1.6. A component is required if `pip install gan-denoise` installs it, optional if an extra does. Licences
come from the installed packages. The hashes of the Python packages' files are in requirements.lock.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from gan_denoise import __version__

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs/components.cdx.json"
NAME = re.compile(r"[A-Za-z0-9._-]+")
LICENCE = "License :: "


def list_components() -> dict[str, Any]:
    """The whole list, in a fixed order and without a date, so that it changes only if a lock file changes."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "gan-denoise", "version": __version__}},
        "components": [*_python_components(), *_npm_components()],
    }


def _python_components() -> Iterator[dict[str, Any]]:
    """The packages of requirements.lock."""
    dependants = dict(_locked_packages())
    direct = {_normalise(NAME.match(line)[0]) for line in _project()["dependencies"]}  # type: ignore[index]
    required = _with_dependencies(direct, dependants)
    for name, version in dependants:
        component = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        licences = [{"license": {"name": text}} for text in [_licence(name)] if text]
        scope = "required" if name in required else "optional"
        yield {**component, "scope": scope, **({"licenses": licences} if licences else {})}


def _locked_packages() -> Iterator[tuple[tuple[str, str], set[str]]]:
    """Name and version of each package in the lock file, and the packages that depend on it."""
    for entry in re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text()):
        if package := re.match(r"([\w.-]+)==([\w.+-]+)", entry):
            comments = entry.split("# via", 1)[1]
            yield (_normalise(package[1]), package[2]), {_normalise(name) for name in NAME.findall(comments)}


def _with_dependencies(names: set[str], dependants: dict[tuple[str, str], set[str]]) -> set[str]:
    """These packages and all their dependencies."""
    more = names | {name for (name, _), users in dependants.items() if users & names}
    return names if more == names else _with_dependencies(more, dependants)


def _licence(name: str) -> str:
    """The licence in an installed package's metadata, in one line; empty if there is none or it is not installed."""
    try:
        package = metadata(name)
    except PackageNotFoundError:
        return ""
    classifiers = [line.split(" :: ")[-1] for line in package.get_all("Classifier", []) if line.startswith(LICENCE)]
    expression, text = ("".join(package.get_all(key, [])[:1]) for key in ("License-Expression", "License"))
    text = expression or ", ".join(classifiers) or text
    return text.strip().splitlines()[0] if text.strip() else ""


def _npm_components() -> Iterator[dict[str, Any]]:
    """onnxruntime-web, which the wheel contains, and its dependencies."""
    content = json.loads((ROOT / "export/demo/package-lock.json").read_text())
    for path, entry in content["packages"].items():
        if path:
            name = path.removeprefix("node_modules/")
            yield {
                "type": "library",
                "name": name,
                "version": entry["version"],
                "purl": f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}",
                "scope": "required",
                "licenses": [{"license": {"name": entry["license"]}}],
                "hashes": [{"alg": "SHA-512", "content": base64.b64decode(entry["integrity"][7:]).hex()}],
            }


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _normalise(name: str) -> str:
    return re.sub(r"[._-]+", "-", name).lower()


if __name__ == "__main__":
    FILE.write_text(json.dumps(list_components(), indent=1) + "\n")
