"""Cells one after another or at once: what is finished is looked up, what fails does not stop the rest."""

from cutlayer.sweeping.sweep import audit

__all__ = ["audit"]
