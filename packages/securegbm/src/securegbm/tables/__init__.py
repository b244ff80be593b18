"""A party's own columns: files into tables, rules of encoding, bin edges as LightGBM makes them."""
