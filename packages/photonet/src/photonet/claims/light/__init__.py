"""Claims about the colours and the light that a picture is given."""
