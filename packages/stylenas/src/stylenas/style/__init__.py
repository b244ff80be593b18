"""The search spaces of style transfer, on photonet's networks; the rest of the package does not know them."""
