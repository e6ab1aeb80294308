"""onnxruntime's execution providers beside the CPU: which are installed, and sessions that really use one.

onnxruntime takes the CPU in silence where it cannot make the provider that it was asked for. Nothing here does.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from dataclasses import dataclass

from gan_denoise.console import print_warning
from gan_denoise.errors import InputError
from gan_denoise.machine import RUNTIMES, installed_versions, runtimes_warning
from gan_denoise.options import Provider

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported
import onnxruntime as ort

CPU = "CPUExecutionProvider"  # as onnxruntime calls it
RECORD = "session.record_ep_graph_assignment_info"  # a setting of sessions, from onnxruntime 1.24 on
DEFAULT_LEVEL, SILENT = 2, 4  # of what onnxruntime logs; SILENT: what stops the process


@dataclass(frozen=True, slots=True)
class Kind:
    """A provider: onnxruntime's name of it, the package on the index that has it, what it needs, its settings."""

    name: str
    package: str
    needs: str
    settings: dict[str, str]


KINDS = {
    Provider.cuda: Kind(
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        'an NVIDIA GPU with its driver, and CUDA and cuDNN: pip install "onnxruntime-gpu[cuda,cudnn]"',
        {"use_tf32": "0"},  # else convolutions round to 10 bits of mantissa
    ),
    Provider.dml: Kind("DmlExecutionProvider", "onnxruntime-directml", "Windows and a GPU with DirectX 12", {}),
    Provider.coreml: Kind("CoreMLExecutionProvider", "onnxruntime", "macOS", {}),
    # FP32: OpenVINO's own choice is bfloat16 on processors that have it, in which pixels differ by 0.03.
    Provider.openvino: Kind(
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "an x86-64 processor",
        {"device_type": "CPU", "precision": "FP32"},
    ),
}


@functools.cache
def warn_of_packages() -> None:
    """Print on stderr, once in a process, if several packages of onnxruntime are installed."""
    if warning := runtimes_warning():
        print_warning(warning)


def installed_providers() -> list[Provider]:
    """Those of KINDS that the installed onnxruntime was built with, whether they work here or not."""
    there = ort.get_available_providers()
    return [provider for provider, kind in KINDS.items() if kind.name in there]


def check_installed(provider: Provider) -> None:
    """Raise InputError if the installed onnxruntime lacks the provider; its hint names the package that has it."""
    if provider not in KINDS or provider in installed_providers():
        return
    kind = KINDS[provider]
    got = ", ".join([str(Provider.cpu), *map(str, installed_providers())])
    raise InputError.expected(
        f"--provider {provider}", f"an onnxruntime that has it ({runtime_version()})", got, _install_hint(kind.package)
    )


def create_session(
    provider: Provider, model: bytes, options: ort.SessionOptions, name: str, threads: int
) -> ort.InferenceSession:
    """A session of `provider`, which gives the nodes that it cannot run to the CPU.

    Raises InputError if the installed onnxruntime lacks the provider, cannot make it here, or it takes no node, and
    what onnxruntime raises.
    """
    check_installed(provider)
    kind = KINDS[provider]
    settings = kind.settings | ({"num_of_threads": str(threads)} if provider is Provider.openvino else {})
    if provider is Provider.dml:
        options.enable_mem_pattern = False  # which it does not support
    options.add_session_config_entry(RECORD, "1")
    session = _create(model, options, [(kind.name, settings), CPU])
    check_used(session, provider, name)
    return session


def check_used(session: ort.InferenceSession, provider: Provider, name: str) -> None:
    """Raise InputError if the session of the model `name` was made without the provider, or it took no node."""
    what, kind, hint = f"--provider {provider}", KINDS[provider], "--provider cpu runs it"
    if kind.name not in session.get_providers():
        got = f"{kind.package} that cannot make it here"
        raise InputError.expected(what, kind.needs, got, hint)
    nodes = count_nodes(session)
    if nodes and not nodes.get(kind.name):
        raise InputError.expected(what, f"nodes of {name} that it can run", "none", hint)


def count_nodes(session: ort.InferenceSession) -> dict[str, int]:
    """How many nodes each provider, by onnxruntime's name, was given; empty before onnxruntime 1.24."""
    counts: dict[str, int] = {}
    if hasattr(session, "get_provider_graph_assignment_info"):
        for part in session.get_provider_graph_assignment_info():
            counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return counts


def runtime_version() -> str:
    """The version of onnxruntime that runs, with the names of its packages if they are others than `onnxruntime`."""
    packages = [name for name in RUNTIMES if name in installed_versions(RUNTIMES)]
    version = str(ort.__version__)
    return version if packages == ["onnxruntime"] else f"{' and '.join(packages) or 'no package'} {version}"


def _create(
    model: bytes, options: ort.SessionOptions, providers: list[str | tuple[str, dict[str, str]]]
) -> ort.InferenceSession:
    """The session, without onnxruntime's lines about a provider that it cannot make, which `check_used` finds."""
    ort.set_default_logger_severity(SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    finally:
        ort.set_default_logger_severity(DEFAULT_LEVEL)


def _install_hint(package: str) -> str:
    """How to get the package: all of them install the same module, so the others have to go first."""
    if package == "onnxruntime":
        return f"it is part of {package} on macOS; this is {sys.platform}"
    others = " ".join(name for name in RUNTIMES if name in installed_versions(RUNTIMES)) or "onnxruntime"
    return f"in an environment of its own: pip uninstall -y {others}, then pip install {package}"
