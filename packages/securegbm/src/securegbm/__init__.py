"""SecureGBM: two parties train one LightGBM and neither sees the other's columns (arXiv 1911.11997)."""
