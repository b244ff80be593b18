"""The examples run, each where its framework is installed."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {"plain_loop": "torchvision", "lora": "torch", "lightning_module": "lightning", "hf_trainer": "transformers"}
NEEDS |= {"timm_script": "timm", "llm_recipe": "torch"}


@pytest.mark.filterwarnings("default")  # the frameworks' own
@pytest.mark.parametrize("name", NEEDS)
def test_an_example_runs(name):
    if importlib.util.find_spec(NEEDS[name]) is None or (
        name == "hf_trainer" and not importlib.util.find_spec("accelerate")
    ):
        pytest.skip(f"needs {NEEDS[name]}: pip install ./packages/dtnh[examples]")
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    conflicts = module.main()
    assert len(conflicts) >= 3 and 0 <= conflicts.rate <= 1


def test_every_example_is_tested():
    assert {p.stem for p in EXAMPLES.glob("*.py")} == set(NEEDS)
