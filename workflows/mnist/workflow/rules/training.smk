# Train and test: one job for each learning rate and seed.


rule train:
    input:
        data="results/data/mnist.npz",
        script=workflow.source_path("../scripts/train.py"),
        network=workflow.source_path("../scripts/network.py"),
    output:
        model="results/runs/lr{lr}_seed{seed}/model.npz",
        history="results/runs/lr{lr}_seed{seed}/history.csv",
    log:
        "logs/train/lr{lr}_seed{seed}.log",
    container:
        config["container"]
    threads: config["resources"]["train"]["threads"]
    resources:
        mem_mb=memory_of("train"),
        runtime=config["resources"]["train"]["runtime"],
        gpu=config["resources"]["train"].get("gpu", 0),
    params:
        epochs=config["training"]["epochs"],
        batch_size=config["training"]["batch_size"],
        decay=config["training"]["decay"],
        momentum=config["training"]["momentum"],
        l2=config["training"]["l2"],
        report_every=config["training"]["report_every"],
        monitor_images=config["training"]["monitor_images"],
    shell:
        "python {input.script:q}"
        " --data {input.data:q}"
        " --learning-rate {wildcards.lr}"
        " --seed {wildcards.seed}"
        " --epochs {params.epochs}"
        " --batch-size {params.batch_size}"
        " --decay {params.decay}"
        " --momentum {params.momentum}"
        " --l2 {params.l2}"
        " --report-every {params.report_every}"
        " --monitor-images {params.monitor_images}"
        " --threads {threads}"
        " --model {output.model:q}"
        " --history {output.history:q}"
        " > {log:q} 2>&1"


rule evaluate:
    input:
        data="results/data/mnist.npz",
        model="results/runs/{run}/model.npz",
        script=workflow.source_path("../scripts/evaluate.py"),
        network=workflow.source_path("../scripts/network.py"),
    output:
        "results/runs/{run}/evaluation.json",
    log:
        "logs/evaluate/{run}.log",
    container:
        config["container"]
    threads: config["resources"]["light"]["threads"]
    resources:
        mem_mb=memory_of("light"),
        runtime=config["resources"]["light"]["runtime"],
    shell:
        "python {input.script:q}"
        " --data {input.data:q}"
        " --model {input.model:q}"
        " --threads {threads}"
        " --output {output:q}"
        " > {log:q} 2>&1"
