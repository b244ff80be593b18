"""A package as small as a package of this house can be, for claimkit's own tests."""
