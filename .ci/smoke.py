"""What has to work wherever the package is installed: import, record, expose. The argument names the core that has to be in use."""

import platform
import sys
import warnings
from importlib.metadata import requires, version

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from measurand import Counter, Histogram, generate_latest
    from measurand.core import Instrument

core = "c" if Instrument.__module__.endswith("_native") else "python"
assert core == sys.argv[1], f"the {core} core is in use"
assert ["pure-Python core" in str(warning.message) for warning in said] == [True] * (core == "python"), said
assert all("extra ==" in requirement for requirement in requires("measurand") or ()), "the package itself depends on nothing"

ORDERS = Counter("orders_total", "Orders accepted", ["channel"])
VALUE = Histogram("order_value_euros", "Value of an order", buckets=(5, 20))
ORDERS.labels("web").inc()
VALUE.observe(30)
page = generate_latest().decode()
assert 'orders_total{channel="web"} 1.0\n' in page, page
assert 'order_value_euros_bucket{le="+Inf"} 1.0\n' in page, page

interpreter = f"{platform.python_implementation()} {platform.python_version()}"
print(f"measurand {version('measurand')} records and exposes on the {core} core, {interpreter}")
