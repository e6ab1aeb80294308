"""Recognise an error that comes from a damaged installation instead of from this program."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import ModuleType

from gan_denoise.errors import InputError, one_line

OWN = __name__.partition(".")[0]
PROJECTS = {  # modules whose project on the package index has another name
    OWN: "gan-denoise",
    "PIL": "pillow",
    "google": "protobuf",
    "markdown_it": "markdown-it-py",
    "pywt": "PyWavelets",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def broken_dependency(error: Exception) -> InputError | None:
    """The error that names the package to install again, or None if `error` has another cause.

    A package is damaged if it cannot be imported, if the import of it fails with any error, or if it lacks a name that
    this program uses: a package whose files were removed is an empty namespace.
    """
    name = _hollow(error) or _importing(error) or _named(error)
    if not name or isinstance(error, MemoryError):
        return None
    module = name.partition(".")[0]
    project = PROJECTS.get(module, module)
    hint = f"pip install --force-reinstall {project}"
    if module in sys.stdlib_module_names:
        hint = f"install a Python that has the module {module}"
    got = f"{type(error).__name__} ({one_line(error)})"
    return InputError.expected(project, "a complete installation", got, hint)


def _hollow(error: Exception) -> str:
    """The package that lacks a name which another package looks for while that one is imported."""
    named = _named(error) if isinstance(error, AttributeError) else ""
    return "" if named.partition(".")[0] in sys.stdlib_module_names else named


def _importing(error: Exception) -> str:
    """The outermost module of another package that was being imported when the error was raised."""
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
        return ""  # such as too many open files
    trace = error.__traceback__
    while trace is not None:
        code, module = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", ""))
        if code.co_name == "<module>" and module.partition(".")[0] not in (OWN, "__main__", "__mp_main__"):
            return module
        trace = trace.tb_next
    return ""


def _named(error: Exception) -> str:
    """The module that an ImportError or AttributeError names; of this package, only a missing module."""
    match error:
        case ImportError():
            return error.name or ""
        case AttributeError(obj=ModuleType() as module) if module.__name__.partition(".")[0] != OWN:
            return module.__name__
        case SyntaxError(filename=str() as file) if os.path.isfile(file):  # a truncated file of a package
            path = Path(file)
            while (path.parent / "__init__.py").exists():
                path = path.parent
            return path.stem
        case _:
            return ""
