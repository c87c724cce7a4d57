"""Where setuptools works: its folders build/ and whence.egg-info would lie in the source, which may be read-only and has a
script called `build`."""
import atexit
import shutil
import tempfile

from setuptools import setup

place = tempfile.mkdtemp(prefix="whence-pip-")
atexit.register(shutil.rmtree, place, ignore_errors=True)
setup(options={"build": {"build_base": place}, "egg_info": {"egg_base": place}})
