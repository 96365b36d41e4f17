"""The subcommands of ``pbs-singularity``. They import what they need when they run, so that ``--help`` is quick."""
