"""Videos as people have them: reading, localising and separating a clip, and folders of clips to train on."""

from avcurriculum.video import apply, media

__all__ = ["apply", "media"]
