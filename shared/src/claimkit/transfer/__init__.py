"""Fine-tuning on small image sets, with one hook where a regulariser enters (extra ``transfer``).

The modules are imported one by one, and need torch: ``data``, ``networks``, ``tasks``, ``regularizers`` and ``loop``.
"""
