"""ONNX's own node tests, in the engine's public ops, on the textbook's and the CPU's kernels."""
import warnings

import pytest

from suite import Tally


@pytest.fixture(scope="module")
def cases():
    pytest.importorskip("onnx", reason="the package onnx, whose tests these are, is not installed")
    from onnx.backend.test.loader import load_model_tests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # NumPy's, where the cases are computed
        found = load_model_tests(kind="node")
    if not all(case.model for case in found):
        pytest.skip("this onnx keeps its node tests elsewhere")
    return found


@pytest.mark.parametrize("kernels", ("reference", "cpu"), indirect=True)
def test_every_node_test_that_can_be_expressed_passes(kernels, cases, record_property):
    from onnx_graph import check
    tally = Tally()
    for case in cases:
        tally.case(case.name, lambda: check(case))
    tally.done(f"ONNX's node tests on {kernels}", record_property)
    assert tally.passed > len(cases) / 2


def test_every_operator_of_the_adapter_passes_a_node_test(cases):
    from onnx_graph import check
    from onnx_operators import OPERATORS
    there, passed = set(), set()
    for case in cases:
        operators = {node.op_type for node in case.model.graph.node}
        tally = Tally()
        if not operators <= passed:
            tally.case(case.name, lambda: check(case))
        there |= operators
        passed |= operators if tally.passed else set()
    assert there & OPERATORS.keys() - passed == set()
