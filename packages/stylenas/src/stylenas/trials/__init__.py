"""The trials of a search: where they live, what each is, and who may touch it."""
