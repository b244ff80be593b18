"""The wire: every message and its form, channels, gRPC over mutual TLS, certificates, the record of what was said."""
