"""What a job asks a TORQUE for, as arguments of its ``qsub``. Pure.

A name such as qsub_functions.c is a file of the source of TORQUE 6.1.3.
"""

from .demand import demand_of
from .errors import ErrorKind, PbsError
from .request import Chunk, Request

_NODES_OF_THEIR_OWN = {"excl", "exclhost"}
_NOTHING_TO_SAY = {"free", "scatter", "vscatter", "shared"}
"""Ways to place chunks that TORQUE has without a word: each on a node of its own, beside other jobs."""


def request_arguments(request: Request, tasks: int = 1) -> tuple[str, ...]:
    """Give the arguments of ``qsub`` that ask for this, for so many tasks one after the other.

    A chunk is ``nodes=COUNT:ppn=NCPUS``, and ``ppn`` is all that TORQUE knows of cores and processes: PBS_NODEFILE
    lists a node ``ppn`` times, whatever ``mpiprocs`` is. ``mem`` is that of the whole job, so it stands beside a
    request's own ``nodes`` too. ``select``, ``ncpus`` and
    ``place`` would be taken, and mean nothing (transcript torque/22). Raises PbsError for what it cannot be asked.
    """
    walltime = request.walltime and request.walltime * tasks
    mem = sum(part.count * (part.mem or 0) for part in demand_of(request, torque=True).parts or ())
    options = [
        ("-l", f"nodes={nodes_of(request)}"),
        ("-l", mem and f"mem={mem}mb"),
        ("-l", walltime and f"walltime={walltime}"),
        *(("-l", f"{name}={value}") for name, value in request.site),
        ("-q", request.queue),
        ("-A", request.account),
    ]
    flags = ["-n"] if _wants_whole_nodes(request.place) else []
    words = (word for option, value in options if value for word in (option, str(value)))
    return (*words, *flags, *_project(request), *request.extra)


def nodes_of(request: Request) -> str:
    """Give the chunks of a request as the value of ``nodes``."""
    if request.nodes:
        return request.nodes
    if request.select:
        raise _cannot(
            f"pbs_select={request.select!r} is for OpenPBS: TORQUE takes it, gives one core and says nothing.",
            "Write it for TORQUE as pbs_nodes, such as pbs_nodes='1:ppn=4', or leave it out.",
        )
    return "+".join(_chunk(chunk, request) for chunk in request.chunks)


def _chunk(chunk: Chunk, request: Request) -> str:
    parts = [
        (True, f"{chunk.count}:ppn={chunk.ncpus}"),
        (chunk.ngpus, f"gpus={chunk.ngpus}"),
        (request.gpu_model and chunk.ngpus, request.gpu_model),
    ]
    return ":".join(str(text) for wanted, text in parts if wanted)


def _wants_whole_nodes(place: str | None) -> bool:
    """Tell whether ``qsub -n`` is wanted, with which no other job comes to the nodes (qsub_functions.c)."""
    words = set((place or "").split(":")) - {""}
    unknown = words - _NODES_OF_THEIR_OWN - _NOTHING_TO_SAY
    if unknown:
        raise _cannot(
            f"pbs_place={place!r}: TORQUE cannot place jobs like that ({', '.join(sorted(unknown))}).",
            "It knows excl (no other job on the nodes) and scatter (chunks on nodes of their own, as they are anyway); "
            "write anything else as pbs_nodes.",
        )
    return bool(words & _NODES_OF_THEIR_OWN)


def _project(request: Request) -> tuple[str, ...]:
    if request.project:
        raise _cannot(
            f"TORQUE has no projects (pbs_project={request.project!r}); its `qsub -P` submits for another user.",
            "Use pbs_account (qsub -A) if the site charges accounts, or pbs_extra='-W group_list=GROUP' for a group.",
        )
    return ()


def _cannot(problem: str, remedy: str) -> PbsError:
    return PbsError(ErrorKind.REFUSED, problem, remedy)
