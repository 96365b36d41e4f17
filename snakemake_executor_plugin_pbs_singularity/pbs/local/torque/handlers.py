"""The commands of TORQUE by their names."""

from __future__ import annotations

from collections.abc import Callable

from ..call import Answer, Call
from ..cluster import Cluster
from . import others, qstat, qsub

HANDLERS: dict[str, Callable[[Call, Cluster], Answer]] = {
    "qsub": qsub.answer,
    "qstat": qstat.answer,
    "qdel": others.delete,
    "qhold": others.hold,
    "qrls": others.hold,
    "qselect": others.select,
    "pbsnodes": others.nodes,
}
