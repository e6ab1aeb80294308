"""One self-contained HTML page from markdown: images and a small script are embedded, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gan_denoise.errors import importing
from gan_denoise.export import demo

if TYPE_CHECKING:
    from markdown_it.token import Token


STYLES = Path(demo.__file__).with_name("base.css"), Path(__file__).parent / "report.css"
SCRIPT = Path(__file__).parent / "report.js"
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

# Even if the markdown brought in an image or a link, the page could not fetch it, and it runs this one script only.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Contents">
<ol>
{contents}
</ol>
</nav>
<main>
{body}</main>
<script>{script}</script>
</body>
</html>
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'"


def to_html(markdown: str, title: str, folder: Path) -> str:
    """The page for markdown whose images are in `folder`; HTML in the markdown is shown as text.

    A paragraph that starts with an image becomes a figure, and its emphasised text the caption. The script adds a
    comparison handle to `before.png` and `after.png` in one paragraph, a slider to several `epoch-NNN.png`, and
    sorting to tables. Raises InputError if markdown-it-py is not installed.
    """
    with importing("markdown-it-py", "train", "markdown_it"):
        from markdown_it import MarkdownIt
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    headings = _name_headings(tokens)
    _make_figures(tokens)
    _forbid_breaks(tokens)
    for image in (child for token in tokens for child in token.children or [] if child.type == "image"):
        image.attrSet("src", data_uri(folder / str(image.attrGet("src"))))
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    script = SCRIPT.read_text("utf-8")
    return PAGE.format(
        policy=POLICY.format(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        title=html.escape(title),
        style="".join(path.read_text("utf-8") for path in STYLES),
        contents="\n".join(f'<li><a href="#{anchor}">{html.escape(text)}</a></li>' for anchor, text in headings),
        body=body,
        script=script,
    )


def data_uri(path: Path) -> str:
    """The image file as a data URI."""
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Give each heading below the title an anchor, in place; returns the (anchor, text) pairs of sections."""
    headings = []
    for opening, inside in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag in ("h2", "h3"):
            anchor = re.sub(r"\W+", "-", inside.content.lower()).strip("-")
            opening.attrSet("id", anchor)
            headings += [(anchor, inside.content)] if opening.tag == "h2" else []
    return headings


def _make_figures(tokens: Sequence[Token]) -> None:
    """Turn paragraphs that start with an image into figures, in place."""
    for opening, inside, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = inside.children or []
        if opening.type != "paragraph_open" or not children or children[0].type != "image":
            continue
        opening.tag = closing.tag = "figure"
        for child in children:
            child.tag = "figcaption" if child.type in ("em_open", "em_close") else child.tag
        images = [Path(str(child.attrGet("src"))).name for child in children if child.type == "image"]
        if figure_class := _figure_class(images):
            opening.attrSet("class", figure_class)


def _forbid_breaks(tokens: Sequence[Token]) -> None:
    """Allow a line break in table cells that start with a number only before a bracket, in place."""
    for cell, inside in pairwise(tokens):
        if cell.type == "td_open" and re.match(r"[*+-]*\d", inside.content):
            for child in inside.children or []:
                child.content = re.sub(r" (?!\()", "\u00a0", child.content)


def _figure_class(images: Sequence[str]) -> str:
    """The CSS class of a figure, from its image names; the script looks for it."""
    if images == ["before.png", "after.png"]:
        return "pair"
    return "series" if len(images) > 1 and all(re.fullmatch(r"epoch-\d+\.png", name) for name in images) else ""
