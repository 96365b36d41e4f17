"""What Snakemake looks for in an executor plugin.

The names are looked up when they are asked for, not when the package is imported: the commands of the local
PBS and `pbs-singularity` live in this package too, and importing Snakemake would cost each of them a second.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executor import Executor, common_settings
    from .helpers import grow, image, pbs, pbs_script
    from .settings import ExecutorSettings

__all__ = ["Executor", "ExecutorSettings", "common_settings", "grow", "image", "pbs", "pbs_script"]


def __getattr__(name: str) -> Any:
    if name in ("Executor", "common_settings"):
        from . import executor

        return getattr(executor, name)
    if name == "ExecutorSettings":
        from .settings import ExecutorSettings

        return ExecutorSettings
    if name in ("grow", "image", "pbs", "pbs_script"):
        from . import helpers

        return getattr(helpers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallablePbs(ModuleType):
    def __call__(self, **request: Any) -> Any:
        from . import helpers

        return helpers.pbs(**request)


class _Package(ModuleType):
    """Python makes the subpackage `pbs` an attribute here, under the name of the helper: let it be called like it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "pbs" and isinstance(value, ModuleType):
            value.__class__ = _CallablePbs
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
