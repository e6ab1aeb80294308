"""One HTML page from markdown: pictures inside it, no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gan_denoise.errors import missing_extra

if TYPE_CHECKING:
    from markdown_it.token import Token

STYLE = Path(__file__).parent / "report.css"
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

# The policy holds even if a picture or a link should slip in: the page can reach nothing but itself.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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
</body>
</html>
"""


def to_page(markdown: str, title: str, folder: Path) -> str:
    """The page for markdown whose pictures lie in `folder`; HTML in the markdown shows as text."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise missing_extra("markdown-it-py", "train") from error
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    headings = _name_headings(tokens)
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                child.attrSet("src", data_uri(folder / str(child.attrGet("src"))))
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>')
    body = body.replace("</table>", "</table></div>")
    contents = "\n".join(f'<li><a href="#{name}">{html.escape(text)}</a></li>' for name, text in headings)
    return PAGE.format(title=html.escape(title), style=STYLE.read_text(), contents=contents, body=body)


def data_uri(path: Path) -> str:
    """The picture as an address that holds the picture."""
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Give each section's heading an anchor; returns anchors and texts."""
    named = []
    for heading, inside in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h2":
            name = re.sub(r"\W+", "-", inside.content.lower()).strip("-")
            heading.attrSet("id", name)
            named.append((name, inside.content))
    return named
