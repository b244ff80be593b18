"""The feature party B: its columns, what it agrees to, a run after its greeting, its budgets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"party": ["FeatureParty"], "policy": ["FeaturePolicy"]}
)
