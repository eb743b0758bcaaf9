"""Builds the C core; everything else about the package stands in pyproject.toml.

The extension is optional: without a compiler the installation succeeds and the pure-Python core serves.
``MEASURAND_REQUIRE_NATIVE=1`` turns a failed build into an error.
"""

import os
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

FAILURES = (BaseError, CCompilerError, OSError)  # the compilers' errors are no BaseErrors
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # has no stable ABI before 3.15
STABLE_ABI = not FREE_THREADED and sys.implementation.name == "cpython"
REQUIRED = os.environ.get("MEASURAND_REQUIRE_NATIVE") == "1"

WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter"]

native = Extension(
    "measurand.core._native",
    sources=sorted(glob("src/measurand/core/native/*.c")),
    depends=sorted(glob("src/measurand/core/native/*.h")),
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
    extra_compile_args=[] if sys.platform == "win32" else ["-std=c11", "-O3", "-fvisibility=hidden", *WARNINGS],
    py_limited_api=STABLE_ABI,
)


guard = Extension(
    "measurand.core._guard",
    sources=["src/measurand/core/guard/guard.c"],
    define_macros=native.define_macros,
    extra_compile_args=native.extra_compile_args,
    py_limited_api=STABLE_ABI,
    optional=True,  # without it a process does not survive that somebody truncates its files
)


class BuildOrFallBack(build_ext):
    """Build the extension, or say once what its absence means and go on."""

    def run(self):
        try:
            super().run()
        except FAILURES as reason:
            self._fall_back(reason)

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except FAILURES as reason:
            if REQUIRED or not ext.optional:
                self._fall_back(reason)

    def _fall_back(self, reason):
        if REQUIRED:
            raise reason
        self.extensions = []
        print(
            "measurand: the C core was not built; the pure-Python core is used, with the same behaviour and less speed.\n"
            f"measurand: reason: {reason}\n"
            "measurand: install a C compiler and the Python headers, then reinstall, to get the C core.",
            file=sys.stderr,
        )


setup(
    ext_modules=[native] if sys.platform == "win32" else [native, guard],  # Windows has no such signal, and no families
    cmdclass={"build_ext": BuildOrFallBack},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
