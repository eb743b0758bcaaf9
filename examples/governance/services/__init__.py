"""The four applications. Each module builds one from the parts that it needs; ``serve.py`` decides which parts these are."""
