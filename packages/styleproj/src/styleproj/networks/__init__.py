"""The networks: encoder and decoder, their weights as files, the networks they learn from, pieces of pictures, export."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["network"])
