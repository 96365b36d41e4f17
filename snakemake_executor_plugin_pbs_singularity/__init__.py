"""What Snakemake looks for in an executor plugin.

The names are looked up when they are asked for, not when the package is imported: the commands of the local
PBS and `pbs-singularity` live in this package too, and importing Snakemake would cost each of them a second.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executor import Executor, common_settings
    from .settings import ExecutorSettings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


def __getattr__(name: str) -> Any:
    if name in ("Executor", "common_settings"):
        from . import executor

        return getattr(executor, name)
    if name == "ExecutorSettings":
        from .settings import ExecutorSettings

        return ExecutorSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
