"""Claims of the 2012 paper and of its code, put to the test: `python -m models reproduce NAME`."""
