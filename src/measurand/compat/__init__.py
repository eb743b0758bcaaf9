"""Living together with ``prometheus_client``.

* A program that changes its imports to ``measurand`` needs nothing from here: the API is the same.
* :func:`install` makes third-party packages that import ``prometheus_client`` run on this core, unchanged.
* :func:`share` makes our metrics appear in the real library's ``generate_latest()``. The other direction needs no call: what other
  packages registered with the real library appears in our exposition of the default registry.
* :mod:`multiprocess` takes what programs do for its multi-process mode, which is not needed here.
"""

from measurand.compat import multiprocess
from measurand.compat.install import install
from measurand.compat.share import share

__all__ = ["install", "multiprocess", "share"]
