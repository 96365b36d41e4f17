# Pictures: three of every run, and one that compares the learning rates.


rule plot_learning:
    input:
        history="results/runs/{run}/history.csv",
        script=workflow.source_path("../scripts/plot_learning.py"),
        plotstyle=workflow.source_path("../scripts/plotstyle.py"),
    output:
        report(
            "results/plots/{run}/learning.png",
            category="Runs",
            labels={"run": "{run}", "picture": "learning curves"},
        ),
    log:
        "logs/plot_learning/{run}.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    shell:
        "python {input.script:q}"
        " --history {input.history:q}"
        " --output {output:q}"
        " > {log:q} 2>&1"


rule plot_confusion:
    input:
        evaluation="results/runs/{run}/evaluation.json",
        script=workflow.source_path("../scripts/plot_confusion.py"),
        plotstyle=workflow.source_path("../scripts/plotstyle.py"),
    output:
        report(
            "results/plots/{run}/confusion.png",
            category="Runs",
            labels={"run": "{run}", "picture": "confusion matrix"},
        ),
    log:
        "logs/plot_confusion/{run}.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    shell:
        "python {input.script:q}"
        " --evaluation {input.evaluation:q}"
        " --output {output:q}"
        " > {log:q} 2>&1"


rule plot_wrong:
    input:
        data="results/data/mnist.npz",
        evaluation="results/runs/{run}/evaluation.json",
        script=workflow.source_path("../scripts/plot_wrong.py"),
        plotstyle=workflow.source_path("../scripts/plotstyle.py"),
    output:
        report(
            "results/plots/{run}/wrong.png",
            category="Runs",
            labels={"run": "{run}", "picture": "wrong digits"},
        ),
    log:
        "logs/plot_wrong/{run}.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    shell:
        "python {input.script:q}"
        " --data {input.data:q}"
        " --evaluation {input.evaluation:q}"
        " --output {output:q}"
        " > {log:q} 2>&1"


rule plot_comparison:
    input:
        histories=expand("results/runs/{run}/history.csv", run=RUNS),
        evaluations=expand("results/runs/{run}/evaluation.json", run=RUNS),
        script=workflow.source_path("../scripts/plot_comparison.py"),
        plotstyle=workflow.source_path("../scripts/plotstyle.py"),
        summarise=workflow.source_path("../scripts/summarise.py"),
    output:
        report(
            "results/plots/comparison.png",
            category="Comparison",
            labels={"picture": "learning rates"},
        ),
    log:
        "logs/plot_comparison.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    params:
        runs=RUNS,
    shell:
        "python {input.script:q}"
        " --runs {params.runs:q}"
        " --histories {input.histories:q}"
        " --evaluations {input.evaluations:q}"
        " --output {output:q}"
        " > {log:q} 2>&1"
