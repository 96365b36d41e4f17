"""A PBS of one machine, for trying out and for tests: no root, nothing to configure.

``provide`` makes a folder with qsub, qstat, qdel, qhold, qrls, qselect and pbsnodes. Each is a thin client
of one server process, which the first of them starts and which ends by itself when there is nothing to do.
Outputs, exit codes and messages are those of OpenPBS 23.06 (``tests/transcripts/openpbs``).

It is small and plain: one user, one machine, first come first served. It guards nothing against its own
user, sends no mail and stages no files. It is no production batch system.

The commands load this folder by itself, as the package ``local``: importing all of the plugin, or of
``pbs``, would cost each of them more than it does itself. So nothing in here imports anything but the
standard library and its own siblings.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["provide"]


def provide(environment: Mapping[str, str]) -> Path:
    """Give a folder with the PBS commands, to be put first on PATH. Starts nothing.

    The folder belongs to a home (see ``home.home_folder``), which is made if it is not there. Raises
    HomeError if the home is somebody else's, open to others, or not on a disk of this machine.
    """
    from .home import install_commands, prepare_home

    return install_commands(prepare_home(environment))
