"""A worker of a sweep: `gan-denoise ARGUMENTS`, which stops as by Ctrl-C when the sweep closes its stdin, or dies.

    python -m gan_denoise.study.sweep.worker study run --preset quick --out runs/quick

So no worker outlives its sweep, however that ends, and a batch system that signals all processes does no harm.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading


def main() -> None:
    """Run the command line of the package; a thread waits for the end of stdin."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts a sweep by `&` ignores it
    threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    runpy.run_module("gan_denoise", run_name="__main__", alter_sys=True)


def _stop_at_end_of_stdin() -> None:
    while os.read(0, 1024):
        pass
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    signal.pthread_kill(main_thread, signal.SIGINT)


if __name__ == "__main__":
    main()
