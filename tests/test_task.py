"""How a task is put together."""

from snakemake_executor_plugin_pbs_singularity.task import with_gpu_options


def test_a_job_that_asks_for_gpus_gets_the_option_for_nvidia() -> None:
    assert with_gpu_options(["--cleanenv"], ["--bind", "/a"], gpus=1) == ("--cleanenv", "--nv", "--bind", "/a")


def test_a_site_of_other_gpus_says_so_and_only_jobs_that_ask_for_one_get_it() -> None:
    assert with_gpu_options(["--rocm"], [], gpus=2) == ("--rocm",)
    assert with_gpu_options(["--rocm"], [], gpus=0) == ()


def test_what_a_rule_says_of_gpus_counts_whatever_it_asks_for() -> None:
    assert with_gpu_options(["--rocm"], ["--nv"], gpus=0) == ("--nv",)
    assert with_gpu_options([], ["--nvccli"], gpus=1) == ("--nvccli",)


def test_a_job_without_gpus_gets_no_option_for_them() -> None:
    assert with_gpu_options(["--cleanenv"], [], gpus=0) == ("--cleanenv",)
