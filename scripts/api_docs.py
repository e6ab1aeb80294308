"""Write docs/api.md from the signatures and docstrings of the public names: `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import gan_denoise

FILE = Path(__file__).resolve().parents[1] / "docs/api.md"
SECTIONS = {
    "Models": ("load_model", "Model", "GeneratedImages", "generate", "denoise"),
    "Metrics": ("psnr", "ssim", "ffd", "extract_features", "frechet_distance", "kid", "prdc"),
    "Errors": ("GanDenoiseError", "InputError", "UsageError", "GateError"),
}
OPENING = """# Python API

How do I use the model and the metrics from Python? This page is written from the docstrings by `make docs`.

```python
import gan_denoise

model = gan_denoise.load_model()  # the shipped one
image, denoised = model.generate(16, seed=0, label="sneaker")  # float32 (16, 1, 28, 28) in [0, 1]
clean = model.denoise(image)  # arrays or Pillow images
print(gan_denoise.psnr(image, clean).mean())
```

The names on this page are public: a change that breaks them is listed under Changed or Removed in
[CHANGELOG.md](../CHANGELOG.md). Everything else may change without notice. Each name is imported from `gan_denoise`
when it is first used, is typed, and needs no PyTorch.
"""


def render_page() -> str:
    """The whole of docs/api.md. Raises AssertionError unless every public name has its section."""
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(gan_denoise.__all__)
    parts = [OPENING]
    for title, section in SECTIONS.items():
        parts += [f"## {title}\n", *(part for name in section for part in _entries(name, getattr(gan_denoise, name)))]
    return "\n".join(parts)


def _entries(name: str, member: object) -> Iterator[str]:
    """The entry of a function or class, and those of a class's public methods."""
    title = f"class {name}" if inspect.isclass(member) else f"{name}{_signature(member)}"
    yield f"### `{title}`\n\n{inspect.getdoc(member)}\n"
    if inspect.isclass(member):
        for method_name, method in vars(member).items():
            if inspect.isfunction(method) and not method_name.startswith("_"):
                yield from _entries(f"{name}.{method_name}", method)


def _signature(function: object) -> str:
    """Parameters with their types as they are written, without `self`."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    kept = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    text = str(signature.replace(parameters=kept))
    return re.sub(r"'([^']+)'(?=[,)= ]|$)", r"\1", text)


if __name__ == "__main__":
    FILE.write_text(render_page())
