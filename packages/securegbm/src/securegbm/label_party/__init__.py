"""The label party A: its run and session, sums and decisions of both parties, checks, sampling and prediction."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"party": ["LabelParty", "TreeReport"], "predict": ["Predictor"]}
)
