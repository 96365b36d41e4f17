# From the web to one file of arrays.


# On the login node, because compute nodes have no Internet; so without a container, with the Python of Snakemake.
rule fetch:
    input:
        script=ancient(workflow.source_path("../scripts/fetch.py")),
    output:
        expand("resources/mnist/{name}.gz", name=config["data"]["sha256"]),
    log:
        "logs/fetch.log",
    localrule: True
    params:
        sources=config["data"]["sources"],
        sha256=[f"{name}={sum}" for name, sum in config["data"]["sha256"].items()],
        timeout=config["data"]["timeout"],
        cache=config["data"]["cache"],
        folder=subpath(output[0], parent=True),
    run:
        shell(
            "{sys.executable:q} {input.script:q}"
            " --sources {params.sources:q}"
            " --sha256 {params.sha256:q}"
            " --timeout {params.timeout}"
            " --cache={params.cache:q}"
            " --output {params.folder:q}"
            " 2>&1 | tee {log:q}"
        )


rule prepare:
    input:
        train_images="resources/mnist/train-images-idx3-ubyte.gz",
        train_labels="resources/mnist/train-labels-idx1-ubyte.gz",
        test_images="resources/mnist/t10k-images-idx3-ubyte.gz",
        test_labels="resources/mnist/t10k-labels-idx1-ubyte.gz",
        script=workflow.source_path("../scripts/prepare.py"),
    output:
        "results/data/mnist.npz",
    log:
        "logs/prepare.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    params:
        validation_size=config["data"]["validation_size"],
        train_limit=config["data"]["train_limit"],
        test_limit=config["data"]["test_limit"],
    shell:
        "python {input.script:q}"
        " --train-images {input.train_images:q}"
        " --train-labels {input.train_labels:q}"
        " --test-images {input.test_images:q}"
        " --test-labels {input.test_labels:q}"
        " --validation-size {params.validation_size}"
        " --train-limit {params.train_limit}"
        " --test-limit {params.test_limit}"
        " --output {output:q}"
        " > {log:q} 2>&1"
