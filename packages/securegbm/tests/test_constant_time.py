"""The threat model says that arithmetic on keys, errors, gradients and residues has no branch and no address of a secret."""

import ast
import inspect

import pytest

from securegbm.ring import label, modular, residues, sanitising, stream

KERNELS = [
    *(getattr(modular, name) for name in ("high", "exact_high", "times", "reduced")),
    *(getattr(label, name) for name in ("_hide", "_scaled", "_decrypt")),
    *(getattr(residues, name) for name in ("_encode", "_drop", "_round")),
    *(getattr(stream, name) for name in ("_ternary", "_errors")),
    sanitising.sanitise,
]
SECRET = {"used", "error", "error_at", "size", "small", "negative", "words", "product", "message", "s", "x", "u"}
"""Names of secret numbers in these kernels."""


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.py_func.__name__)
def test_no_branch_and_no_address_depends_on_a_secret(kernel):
    tree = ast.parse(inspect.getsource(kernel.py_func))
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While | ast.BoolOp)]
    assert not branches
    for place in (node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)):
        assert not {node.id for node in ast.walk(place) if isinstance(node, ast.Name)} & SECRET
