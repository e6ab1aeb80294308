"""Write photograph_licences.md beside the shipped weights: `make docs`. tests/test_docs.py checks it."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.data.photograph_tables import count_licences, photographs_markdown
from gan_denoise.data.photographs import HELD_OUT, list_photographs
from gan_denoise.markdown import bullets

FILE = Path(__file__).resolve().parents[1] / "export/shipped/photograph_licences.md"
LICENCES = {
    "CC0-1.0": "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/): the author gives up all rights.",
    "CC-BY-4.0": "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/): name the author.",
    "CC-BY-SA-3.0": "[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/): name the author; adaptations "
    "that are shared have the same licence.",
    "CC-BY-SA-4.0": "[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/): the same.",
    "GPL-2.0-or-later": "[GNU GPL 2 or later](https://www.gnu.org/licenses/old-licenses/gpl-2.0.html): works based on "
    "it that are distributed have the same licence.",
    "LGPL-3.0-only": "[GNU LGPL 3](https://www.gnu.org/licenses/lgpl-3.0.html): the same, with an exception for what "
    "only uses it.",
    "public domain": "Public domain: no rights are claimed.",
}
PAGE = """# Licences of the photographs

Whose are the photographs that the photo denoiser was trained on, and what do their licences mean for its weights?
Written by `make docs` from [photographs.json](../../data/photographs.json), which also has their files and SHA-256.

There are {n}: {n_train} were trained on, {n_held_out} were held out; choices were made on these, and the documents
show some of them. Authors and licences are those that the packages state. Where a package states two, the one beside
the picture is listed: for plasma-workspace-wallpapers that of each wallpaper's metadata (Debian's copyright file says
GPL 2 or later), for lxqt-themes that of the folder's file `License` (Debian's says LGPL 2.1 or later). By licence:

{licences}

## What this means for the weights

- This project does not distribute the photographs, whole or as tiles. `data fetch --dataset photos` copies them from
  Debian's packages and from scikit-image to your machine. The documents show excerpts of held-out photographs, before
  and after denoising, with their authors; these excerpts keep the licences of the photographs.
- All of these licences permit copying and changing the photographs for any purpose, also a commercial one. None
  mentions training. Sets whose licences forbid commercial use, such as Berkeley's, were used to measure and not to
  train.
- The weights are published under this project's licence, with this list as attribution.
- Whether weights are an adaptation of the works that a network was trained on is not settled; courts and legislators
  differ by country. If they were, the conditions of the share-alike licences (CC BY-SA, GPL, LGPL) could apply to them.
  This is a statement of facts, not legal advice. If the question matters to you, train on the photographs under CC0 and
  CC BY and in the public domain alone: delete the others from `photographs.json`.

## The photographs

{table}
"""


def render_page() -> str:
    """The whole of export/shipped/photograph_licences.md."""
    photographs = list_photographs()
    n_held_out = sum(photo.split == HELD_OUT for photo in photographs)
    licences = [f"{count} {LICENCES[licence]}" for licence, count in count_licences().items()]
    return PAGE.format(
        n=len(photographs),
        n_train=len(photographs) - n_held_out,
        n_held_out=n_held_out,
        licences=bullets(licences),
        table=photographs_markdown(),
    )


if __name__ == "__main__":
    FILE.write_text(render_page())
