"""Files into tables: dialects, encodings, serving rows."""
