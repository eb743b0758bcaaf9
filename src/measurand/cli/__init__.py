"""The command line: ``measurand VERB …``, or ``python -m measurand VERB …``.

Every verb takes ``--json``. Exit status: 0 all is well, 1 it is not, 2 the command was not understood, 3 nobody answered.
"""
