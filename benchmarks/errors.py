"""What ends a benchmark with one sentence."""


class BenchmarkError(Exception):
    """The message is for the user."""


class WrongResult(BenchmarkError):
    """A contestant does not compute what the others compute, so it is not timed."""


class DeadEngine(BenchmarkError):
    """The process of an engine ended before it answered."""

    def __init__(self, job: object, engine: str):
        super().__init__(f"the process of {job} ended before it answered; "
                         "it may have run out of memory")
        self.engine = engine
