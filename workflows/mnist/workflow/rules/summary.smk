# The table of all runs.


# On the login node: it takes no time. Without a container, with the Python of Snakemake.
rule summarise:
    input:
        histories=expand("results/runs/{run}/history.csv", run=RUNS),
        evaluations=expand("results/runs/{run}/evaluation.json", run=RUNS),
        pictures=PICTURES,
        script=workflow.source_path("../scripts/summarise.py"),
    output:
        tsv="results/summary.tsv",
        markdown="results/summary.md",
    log:
        "logs/summarise.log",
    localrule: True
    params:
        runs=RUNS,
    run:
        shell(
            "{sys.executable:q} {input.script:q}"
            " --runs {params.runs:q}"
            " --histories {input.histories:q}"
            " --evaluations {input.evaluations:q}"
            " --pictures {input.pictures:q}"
            " --tsv {output.tsv:q}"
            " --markdown {output.markdown:q}"
            " > {log:q} 2>&1"
        )
