"""no_grad as a block and as a decorator, of functions and of generators."""
import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor, no_grad


def leaf(values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def test_no_grad_records_nothing():
    x = leaf([1, 2])
    with no_grad():
        y = x * 2
    assert not y.requires_grad and y.creator is None and (x * 2).requires_grad
    for decorate in (no_grad(), no_grad):
        decorated = decorate(lambda: x * 2)
        assert not decorated().requires_grad and not decorated().requires_grad


def test_a_generator_under_no_grad_records_nothing_and_its_consumer_does():
    x = leaf([1, 2])

    @no_grad()
    def doubled():
        for _ in range(2):
            yield x * 2
        return "end"
    for y in doubled():
        assert not y.requires_grad and (x * 2).requires_grad


def test_blocks_of_no_grad_may_end_in_any_order():
    def paused():
        with no_grad():
            yield
    first, second = paused(), paused()
    next(first), next(second)
    assert not mt.is_grad_enabled()
    first.close()
    assert not mt.is_grad_enabled()
    second.close()
    assert mt.is_grad_enabled()


def test_recording_resumes_after_an_error():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (leaf(1.0) * 2).requires_grad


def test_what_is_sent_and_thrown_into_a_generator_under_no_grad_arrives():
    heard = []

    @no_grad
    def listening():
        try:
            heard.append((yield mt.is_grad_enabled()))
            yield "second"
        except KeyError:
            heard.append(mt.is_grad_enabled())
            yield "caught"
        finally:
            heard.append(mt.is_grad_enabled())
    values = listening()
    assert next(values) is False and mt.is_grad_enabled()
    assert values.send("word") == "second" and values.throw(KeyError()) == "caught"
    values.close()
    assert heard == ["word", False, False] and mt.is_grad_enabled()
    with pytest.raises(StopIteration):
        next(values)


def test_a_generator_under_no_grad_can_be_delegated_to():
    @no_grad()
    def inner():
        yield mt.is_grad_enabled()
        return "end"

    def outer():
        assert (yield from inner()) == "end"
        yield mt.is_grad_enabled()
    assert list(outer()) == [False, True]
