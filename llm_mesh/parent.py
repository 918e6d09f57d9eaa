"""Ties a process to the one that started it: when the supervisor dies, even by kill -9, its children die too."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
LOOK_EVERY = 0.5


def die_with(parent: int) -> None:
    """End this process as soon as its parent is gone.

    On Linux the kernel does it, also for the program this process may become by exec; elsewhere a thread looks. The
    signal is SIGKILL: nobody is left to see a slow end through, and what a hold may have spent is charged anyway.

    Args:
        parent: its process id; 0 means that nobody looks after this process.
    """
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_look, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)  # it died before we could ask to be told


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)
