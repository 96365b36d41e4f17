# Names and functions that the rules share.

# Numbers of the configuration as they stand in file names: 0.010 is 0.01.
LEARNING_RATES = [f"{rate:g}" for rate in config["training"]["learning_rates"]]
RUNS = expand("lr{lr}_seed{seed}", lr=LEARNING_RATES, seed=config["training"]["seeds"])
PICTURES = [
    "results/plots/comparison.png",
    *expand(
        "results/plots/{run}/{picture}.png",
        run=RUNS,
        picture=["learning", "confusion", "wrong"],
    ),
]


wildcard_constraints:
    lr=r"\d[\d.]*(e-?\d+)?",
    seed=r"\d+",
    run=r"lr[\d.e-]+_seed\d+",


def memory_of(kind):
    """Return the memory of a kind of job: a retry asks for as much again."""
    return lambda wildcards, attempt: attempt * config["resources"][kind]["mem_mb"]
