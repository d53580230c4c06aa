"""Frames between organizations: certificates, streams, gRPC under mutual TLS."""

import os

# What goes wrong is told as an error by whoever called; gRPC's own lines about each attempt would flood a terminal.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
