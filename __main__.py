"""`python -m gan_denoise`: the same as the command `gan-denoise`."""

from __future__ import annotations

from gan_denoise.cli import main

if __name__ == "__main__":
    main()
