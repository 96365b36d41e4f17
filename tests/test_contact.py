"""That PBS is away is said once, and that it is back once, whoever notices."""

from itertools import groupby
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.contact import Contact
from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, PbsError

AWAY = PbsError(ErrorKind.UNREACHABLE, "It hangs.", "Try again later.")


def test_the_warning_says_what_it_means_and_why() -> None:
    said: list[str] = []
    contact = Contact(said.append, said.append)
    contact.lose(AWAY)
    contact.lose(AWAY)
    contact.regain()
    assert said == [
        "PBS does not answer: its jobs count as running, new ones wait until it does. It hangs. Try again later.",
        "PBS answers again.",
    ]


@given(st.lists(st.booleans()))
def test_only_what_happens_twice_in_a_row_is_said_and_once_each(answers: list[bool]) -> None:
    said: list[bool] = []
    contact = Contact(lambda text: said.append(True), lambda text: said.append(False))
    for answered in answers:
        if answered:
            contact.regain()
        else:
            contact.lose(AWAY)
    runs = [(answered, len(list(run))) for answered, run in groupby(answers)]
    outages = [length > 1 for answered, length in runs if not answered]
    ended = bool(answers) and answers[-1]
    expected = [word for is_said in outages if is_said for word in (False, True)]
    assert said == (expected if ended or not outages or not outages[-1] else expected[:-1])


def test_threads_that_lose_it_together_say_it_once() -> None:
    said: list[str] = []
    contact = Contact(said.append, said.append)
    threads = [Thread(target=contact.lose, args=[AWAY]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
