"""Batches are the same for any number of workers, and whatever befalls a worker is told."""
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from loader_cases import (Deadly, Failing, Numbered, WithUnreadable, channels_first, process_id,
                          sized_by_its_number)

from data import (BuiltinPictures, Compose, DataLoader, DeadWorker, Normalize, PCANoise,
                  RandomCrop, RandomHorizontalFlip, Subset, TenCrop, UnreadableImage)

ROOT = Path(__file__).parents[2]
NORMALIZE = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
TRAINING = Compose([RandomCrop(24), RandomHorizontalFlip(), PCANoise(), NORMALIZE])


def numbers(batches):
    """The picture numbers in each batch of a Numbered dataset, read from the pixels."""
    return [images[:, 0, 0, 0].astype(int).tolist() for images, _ in batches]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for (images, labels), (other_images, other_labels) in zip(batches, others):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_batches_by_hand():
    dataset = BuiltinPictures(10, 24)
    batches = list(DataLoader(dataset, 4, NORMALIZE))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    images, labels = batches[1]
    assert images.dtype == np.float32 and images.shape == (4, 3, 24, 24)
    assert labels.dtype == np.int64
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous         # channels last in memory
    assert labels.tolist() == [4, 5, 6, 7]
    for i in range(4):
        np.testing.assert_array_equal(images[i], NORMALIZE(dataset[4 + i][0], None))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_same_batches_for_any_number_of_workers(workers):
    dataset = BuiltinPictures(50, 28)
    options = {"shuffle": True, "seed": 3}
    alone = DataLoader(dataset, 8, TRAINING, **options)
    with DataLoader(dataset, 8, TRAINING, num_workers=workers, **options) as loader:
        for epoch in (0, 1):
            assert_same(list(loader.epoch(epoch)), list(alone.epoch(epoch)))
        assert_same(list(loader.epoch(1, start=5)), list(alone.epoch(1))[5:])
        assert list(loader.epoch(1, start=7)) == []


def test_start_resumes_bit_for_bit():
    loader = DataLoader(BuiltinPictures(30, 28), 4, TRAINING, shuffle=True)
    assert_same(list(loader.epoch(2, start=3)), list(loader.epoch(2))[3:])
    assert_same(list(loader), list(loader.epoch(0)))
    assert_same(list(loader), list(loader.epoch(1)))        # each `for` is the next epoch
    assert_same(list(loader), list(loader.epoch(2)))


def test_order():
    loader = DataLoader(Numbered(100), 10, channels_first, shuffle=True, seed=1)
    orders = [sum(numbers(loader.epoch(epoch)), []) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(100)) != order for order in orders)
    assert orders[0] != orders[1]
    other_seed = DataLoader(Numbered(100), 10, channels_first, shuffle=True, seed=2)
    assert sum(numbers(other_seed), []) != orders[0]
    assert sum(numbers(DataLoader(Numbered(100), 10, channels_first)), []) == list(range(100))


def test_each_epoch_draws_anew():
    loader = DataLoader(BuiltinPictures(4, 28), 4, TRAINING)
    images = [next(loader.epoch(epoch))[0] for epoch in (0, 1)]
    assert not np.array_equal(*images)


@pytest.mark.parametrize("drop_last, count", [(False, 4), (True, 3)])
def test_drop_last(drop_last, count):
    loader = DataLoader(Numbered(10), 3, channels_first, drop_last=drop_last)
    assert len(loader) == len(list(loader)) == count


def test_ten_crops():
    images, _ = next(iter(DataLoader(BuiltinPictures(6, 28), 3, Compose([TenCrop(24), NORMALIZE]))))
    assert images.shape == (3, 10, 3, 24, 24)


def test_batches_do_not_share_memory():
    with DataLoader(Numbered(40), 2, channels_first, num_workers=1) as loader:
        assert numbers(list(loader)) == [[i, i + 1] for i in range(0, 40, 2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_pictures_raise(workers):
    with DataLoader(WithUnreadable(12), 3, channels_first, num_workers=workers) as loader:
        batches = iter(loader)
        assert numbers([next(batches)]) == [[0, 1, 2]]
        message = "picture-3.jpg cannot be read as a picture: it is text"
        with pytest.raises(UnreadableImage, match=message):
            next(batches)
    assert loader.skipped == []


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_pictures_are_skipped(workers):
    with DataLoader(WithUnreadable(12), 3, channels_first, num_workers=workers,
                    on_error="skip") as loader:
        for _ in range(2):
            assert numbers(loader) == [[0, 1, 2], [5], [6, 7, 8], [10, 11]]
    assert loader.skipped == [(f"picture-{i}.jpg", "it is text") for i in (3, 4, 9)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size, whole", [(1, {3, 4, 9}), (2, set()), (9, {1})])
def test_a_batch_of_unreadable_pictures_alone_is_passed_over(batch_size, whole, workers):
    with DataLoader(WithUnreadable(10), batch_size, channels_first, on_error="skip",
                    num_workers=workers) as loader:
        for epoch in (0, 1):            # the second with the same workers
            numbered = list(loader.numbered(epoch))
            assert [number for number, _, _ in numbered] == [
                number for number in range(len(loader)) if number not in whole]
            seen = [int(image[0, 0, 0]) for _, images, _ in numbered for image in images]
            assert seen == [0, 1, 2, 5, 6, 7, 8]
            assert [len(labels) for _, labels in loader.epoch(epoch)] == [
                len(labels) for _, _, labels in numbered]
        assert [path for path, _ in loader.skipped] == [f"picture-{i}.jpg" for i in (3, 4, 9)]
        assert list(loader.numbered(0, start=9 // batch_size + 1)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_of_unreadable_pictures_alone_raises_one_sentence(workers):
    alone = Subset(WithUnreadable(10), [3, 4, 9])
    with DataLoader(alone, 2, channels_first, on_error="skip", num_workers=workers) as loader:
        with pytest.raises(UnreadableImage) as caught:
            list(loader)
        assert str(caught.value) == ("picture-9.jpg cannot be read as a picture: it is text; "
                                     "nor can any other of 3")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_worker_is_reported_with_its_picture(workers):
    with DataLoader(Deadly(12), 3, channels_first, num_workers=workers) as loader:
        message = "was killed by SIGKILL while working on picture-7.jpg"
        with pytest.raises(DeadWorker, match=message):
            list(loader)
        with pytest.raises(DeadWorker):         # new workers meet the same end
            list(loader)


@pytest.mark.parametrize("workers", [0, 1])
def test_any_other_error_arrives_as_it_is(workers):
    with DataLoader(Failing(4), 2, channels_first, num_workers=workers) as loader:
        with pytest.raises(KeyError, match="a mistake in the dataset"):
            list(loader)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_error_names_the_picture(workers):
    with DataLoader(Numbered(4), 2, RandomCrop(9), num_workers=workers) as loader:
        message = r"picture-0.jpg: RandomCrop\(9.*has only 5 x 5 pixels"
        with pytest.raises(ValueError, match=message):
            list(loader)


def test_pictures_of_several_sizes_need_a_crop():
    message = ("picture-1.jpg became 2 x 2 pixels, others of its batch 1 x 2: "
               "the transform needs a crop")
    with pytest.raises(ValueError, match=message):
        list(DataLoader(Numbered(4), 2, sized_by_its_number))


def test_a_transform_without_normalize():
    with pytest.raises(ValueError, match=r"the transform must give \(3, H, W\)"):
        list(DataLoader(Numbered(4), 2, RandomCrop(4)))


def process_ids(batches):
    return {int(images.flat[0]) for images, _ in batches}


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_stay_between_epochs_and_leave_at_the_end():
    with DataLoader(Numbered(12), 2, process_id, num_workers=2) as loader:
        first, second = process_ids(loader.epoch(0)), process_ids(loader.epoch(1))
        assert first == second and len(first) == 2 and os.getpid() not in first
        assert all(map(is_running, first))
    assert not any(map(is_running, first))
    # closed, not finished: a new epoch starts new ones
    assert process_ids(loader).isdisjoint(first)
    loader.close()


def test_workers_leave_with_an_epoch_that_is_left_early_or_a_loader_that_is_dropped():
    loader = DataLoader(Numbered(12), 2, process_id, num_workers=2)
    batches = iter(loader)
    pids = process_ids([next(batches), next(batches)])
    batches.close()
    assert not any(map(is_running, pids))
    pids = process_ids(loader)
    del loader, batches
    assert not any(map(is_running, pids))


def test_two_epochs_at_once_do_not_mix():
    with DataLoader(Numbered(12), 2, channels_first, num_workers=1) as loader:
        pairs = list(zip(loader.epoch(0), loader.epoch(0)))
    assert_same(*map(list, zip(*pairs)))
    assert len(pairs) == 6


def run_script(tmp_path, text, **options):
    """Runs a script without a __main__ guard to its end and that of all its workers.

    They hold its output open.
    """
    header = """
        import os, signal, sys
        from data import DataLoader
        from loader_cases import Numbered, channels_first, process_id
        """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(header) + textwrap.dedent(text))
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": path}, **options)


def test_a_script_needs_no_main_guard(tmp_path):
    done = run_script(tmp_path, """
        loader = DataLoader(Numbered(8), 2, channels_first, num_workers=2)
        print(len(list(loader)))
        """)
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)


def test_workers_leave_when_the_parent_is_killed(tmp_path):
    done = run_script(tmp_path, """
        batches = iter(DataLoader(Numbered(8), 2, process_id, num_workers=2))
        next(batches)
        os.kill(os.getpid(), signal.SIGKILL)
        """)
    assert (done.stderr, done.returncode) == ("", -signal.SIGKILL)


def test_an_interrupt_of_the_whole_group_leaves_one_traceback(tmp_path):
    done = run_script(tmp_path, """
        # a job started in the background inherits that it is ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        batches = iter(DataLoader(Numbered(8), 2, process_id, num_workers=2))
        next(batches)
        os.killpg(0, signal.SIGINT)
        """, start_new_session=True)
    assert done.returncode == -signal.SIGINT and len(re.findall("Traceback", done.stderr)) == 1
    assert done.stderr.endswith("KeyboardInterrupt\n")


def test_a_transform_of_the_script_itself_is_explained(tmp_path):
    done = run_script(tmp_path, """
        def mine(image, rng):
            return channels_first(image, rng)
        list(DataLoader(Numbered(8), 2, mine, num_workers=1))
        """)
    last = done.stderr.splitlines()[-1]
    assert "define their classes in a module that can be imported" in last and done.returncode == 1


def test_a_lambda_is_explained():
    message = "num_workers=1 needs a dataset and a transform that can be pickled"
    with pytest.raises(TypeError, match=message):
        list(DataLoader(Numbered(4), 2, lambda image, rng: image, num_workers=1))


@pytest.mark.parametrize("arguments, options, message", [
    ((0, channels_first), {}, "batch_size must be at least 1, not 0"),
    ((2.5, channels_first), {}, "batch_size must be a whole number, not 2.5"),
    ((2, None), {}, "transform must be callable, not None"),
    ((2, channels_first), {"num_workers": -1}, "num_workers must be at least 0, not -1"),
    ((2, channels_first), {"seed": "a"}, "seed must be a whole number, not 'a'"),
    ((2, channels_first), {"on_error": "ignore"},
     'on_error must be "raise" or "skip", not \'ignore\''),
    ((9, channels_first), {"drop_last": True}, "has 4 pictures, too few for a batch of 9"),
])
def test_bad_arguments(arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        DataLoader(Numbered(4), *arguments, **options)


def test_bad_epochs():
    loader = DataLoader(Numbered(4), 2, channels_first)
    with pytest.raises(ValueError, match="epoch must be at least 0, not -1"):
        loader.epoch(-1)
    with pytest.raises(ValueError, match="start must be at least 0, not -2"):
        loader.epoch(0, start=-2)
