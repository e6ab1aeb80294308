"""Markdown of figures: where a figure is written, its image, its caption, and the line in place of a missing one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_denoise.markdown import escape_markdown
from gan_denoise.study.report.results import Study


def figure_path(study: Study, file: str) -> Path:
    """Where the file of a figure is written."""
    return study.run.figures / file


def figure_markdown(path: Path, alt: str, label: str, caption: str) -> str:
    """A figure of one image; `alt` is plain text, `caption` is markdown."""
    return captioned_figure([image_markdown(path, alt)], label, caption)


def captioned_figure(images: Sequence[str], label: str, caption: str) -> str:
    """Images that share a caption."""
    return "\n".join([*images, f"*Figure{'s' if ' ' in label else ''} {label}. {caption}*"])


def image_markdown(path: Path, alt: str) -> str:
    """An image without caption; the HTML page uses the part of `alt` before the colon as its name."""
    return f"![{escape_markdown(alt)}]({path.parent.name}/{path.name})"


def missing_figure(label: str, content: str, reason: str) -> str:
    """The line in place of a figure, with the reason why it is missing."""
    return f"Figure{'s' if ' ' in label else ''} {label} ({content}): not available; {reason}."
