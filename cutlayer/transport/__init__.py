"""Frames between organizations: certificates, streams, gRPC under mutual TLS."""
