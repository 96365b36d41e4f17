"""A Snakemake job becomes a task: what to run, in which image, with which request. No PBS, no subprocess."""
