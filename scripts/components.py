"""Writes docs/components.cdx.json, what this project is made of, from its locks: `make docs`.

CycloneDX 1.6. A component is required when `pip install gan-denoise` brings it, optional when an extra does. Licences
are those that the installed packages name. The hashes of the Python packages' files stand in requirements.lock.
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


def document() -> dict[str, Any]:
    """The whole list, in the same order each time and without a date, so that it changes when the locks do."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "gan-denoise", "version": __version__}},
        "components": [*of_python(), *of_the_page()],
    }


def of_python() -> Iterator[dict[str, Any]]:
    """The packages of requirements.lock."""
    wanted_by = dict(locked())
    required = below({normal(NAME.match(line)[0]) for line in project()["dependencies"]}, wanted_by)  # type: ignore[index]
    for name, version in wanted_by:
        component = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        licences = [{"license": {"name": text}} for text in [licence(name)] if text]
        scope = "required" if name in required else "optional"
        yield {**component, "scope": scope, **({"licenses": licences} if licences else {})}


def locked() -> Iterator[tuple[tuple[str, str], set[str]]]:
    """Name and version of each package in the lock, and who wants it."""
    for entry in re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text()):
        if found := re.match(r"([\w.-]+)==([\w.+-]+)", entry):
            comments = entry.split("# via", 1)[1]
            yield (normal(found[1]), found[2]), {normal(name) for name in NAME.findall(comments)}


def below(names: set[str], wanted_by: dict[tuple[str, str], set[str]]) -> set[str]:
    """These packages and all that they want."""
    more = names | {name for (name, _), wanting in wanted_by.items() if wanting & names}
    return names if more == names else below(more, wanted_by)


def licence(name: str) -> str:
    """What an installed package says of itself, in a line; nothing where it is not installed or says nothing."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return ""
    classifiers = [line.split(" :: ")[-1] for line in found.get_all("Classifier", []) if line.startswith(LICENCE)]
    text = found.get("License-Expression") or ", ".join(classifiers) or found.get("License") or ""
    return text.strip().splitlines()[0] if text.strip() else ""


def of_the_page() -> Iterator[dict[str, Any]]:
    """onnxruntime for the browser, which the wheel carries, and what went into it."""
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


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def normal(name: str) -> str:
    return re.sub(r"[._-]+", "-", name).lower()


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1) + "\n")
