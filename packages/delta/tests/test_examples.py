"""The examples run, and add no forward pass of the student beyond the first."""

import importlib.util
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_loop_of_your_own():
    assert 0 < example("plain").main(4) < 10


@pytest.mark.slow
def test_lightning():
    pytest.importorskip("lightning")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about its dependencies and about loaders without workers
        assert example("with_lightning").main(3) == 3


@pytest.mark.slow
def test_a_trainer_of_hugging_face():
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about its dependencies
        assert example("with_transformers").main(3) == 3
