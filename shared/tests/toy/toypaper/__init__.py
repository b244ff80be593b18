"""A package as small as a package of this house can be, for paperkit's own tests."""
