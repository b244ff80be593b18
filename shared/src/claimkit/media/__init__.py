"""Pictures and clips as people have them, read and written with their meaning; needs the extra ``media``.

``colour`` (ICC profiles), ``metadata``, ``picture``, ``deep`` (more than 8 bits), ``policy`` (names of files), ``clip`` and
``hdr`` (video). Needed by styleproj, photonet and avcurriculum.
"""
