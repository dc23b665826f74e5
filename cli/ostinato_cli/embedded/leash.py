"""A child never outlives its parent, even when the parent is killed with kill -9.

On Linux the kernel sees to it (PR_SET_PDEATHSIG); elsewhere a watchdog reads a pipe that only the parent holds open.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_WATCHDOG = "import os, sys; sys.stdin.buffer.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"


def bind_to_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `death_signal` when the parent dies; None where no kernel does.

    Popen runs it after the change of user, which would clear the setting. The kernel watches the *thread* that forked:
    a child started from a short-lived thread would die with it.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("child processes are started from the main thread: they die with the thread that made them")
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return arm


class Watchdog:
    """Sends `death_signal` to `pid` when this process ends. Release it once the child has been reaped."""

    def __init__(self, pid: int, death_signal: signal.Signals) -> None:
        command = [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(pid), str(int(death_signal))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own one-liner

    def release(self) -> None:
        self._process.kill()
        self._process.communicate()


def watch(pid: int, death_signal: signal.Signals) -> Watchdog | None:
    """A watchdog for a child that the kernel does not bind to us; None on Linux."""
    return None if sys.platform == "linux" else Watchdog(pid, death_signal)
