"""One cell, settled: all that an experiment names, found, built and checked before anything is trained."""
