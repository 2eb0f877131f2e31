"""A network here and its twin in PyTorch: the same state, gradients and logits, in float64."""
import numpy as np

from minitensor import Tensor, nn, no_grad


def given_the_same_state(torch, ours, theirs, names):
    """Both, after theirs got all of ours by name, strictly; names: theirs by ours.

    Biases and scales are drawn first, so that none is 0 or 1.
    """
    rng = np.random.default_rng(0)
    for parameter in ours.parameters():
        if parameter.ndim == 1:
            parameter.data[...] = rng.uniform(0.5, 1.5, parameter.shape)
    theirs.load_state_dict({names[own]: torch.tensor(np.asarray(array, order="C"))
                            for own, array in ours.state_dict().items()}, strict=True)
    return ours.to(dtype=np.float64), theirs


def assert_learned_alike(ours, theirs, names):
    """The same gradients, and buffers such as running statistics."""
    expected = dict(theirs.named_parameters())
    largest = max(p.grad.abs().max().item() for p in expected.values())
    for own, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected[names[own]].grad.numpy(), rtol=1e-7,
                                   atol=1e-8 * largest)
    state = theirs.state_dict()
    for own, array in ours.state_dict().items():
        np.testing.assert_allclose(array, state[names[own]].numpy(), rtol=1e-8, atol=1e-8)


def assert_evaluates_alike(torch, ours, theirs, x):
    """In evaluation mode, folded and not."""
    ours.eval(), theirs.eval()
    logits = theirs(torch.tensor(x)).detach().numpy()
    with no_grad():
        np.testing.assert_allclose(ours(Tensor(x)).data, logits, atol=1e-9 * logits.std())
        with nn.folding(False):
            np.testing.assert_allclose(ours(Tensor(x)).data, logits, atol=1e-9 * logits.std())
