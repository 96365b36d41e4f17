"""The one error of this package: what is wrong with an image, and what to do about it."""


class ImageError(Exception):
    """An image cannot be had or cannot be used.

    The text does not name the rule that wants the image; whoever knows the rule puts it in front.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        """What is wrong, in whole sentences, naming the image, folder or URI."""
        self.remedy = remedy
        """What to write or do instead, in whole sentences; empty if nothing is known."""

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".rstrip()
