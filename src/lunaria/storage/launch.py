"""Starts a program as an unprivileged account that dies with its parent.

Run as a script of its own, by a fresh interpreter: `subprocess`'s `preexec_fn` would run Python between fork and exec
in a process full of threads, which can deadlock. The interpreter replaces itself by the program, so the program is a
direct child of whoever started this script.

Usage: launch.py PARENT_PID UID GID PROGRAM [ARGUMENT...]   (UID and GID are "-" to stay who we are)
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drops privileges, ties itself to the parent, becomes the program. Does not return."""
    parent, uid, gid, program, *rest = arguments
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    os.umask(0o077)
    if sys.platform == "linux":
        # After setuid: a change of the user clears the setting. SIGINT is PostgreSQL's fast shutdown.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != int(parent):  # it died before the line above
            sys.exit("the parent is gone")
    os.execv(program, [program, *rest])  # noqa: S606  (no shell is the point)


if __name__ == "__main__":
    main(sys.argv[1:])
