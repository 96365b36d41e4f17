"""Functions for Snakefiles: `from snakemake_executor_plugin_pbs_singularity import image, pbs, grow, pbs_script`.

They work with every executor and in dry-runs: what they give are plain values of `container:` and `resources:`. All
problems are WorkflowErrors, to which Snakemake adds the file and line.
"""

from .container import image
from .growth import Growth, grow
from .old_script import OldScript, pbs_script
from .request import PbsResources, pbs

__all__ = ["Growth", "OldScript", "PbsResources", "grow", "image", "pbs", "pbs_script"]
