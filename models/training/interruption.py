"""Ctrl-C without loss: the program is told, and stops when it is ready."""
import signal


class Interruption:
    """Inside the with-block the first Ctrl-C or SIGTERM only sets `signal`; a second one acts as always."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number, frame):
        self.signal = number
        self.__exit__()

    def __exit__(self, *exception):
        while self._before:
            signal.signal(*self._before.popitem())
