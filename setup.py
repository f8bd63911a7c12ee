"""Shim: all metadata is in pyproject.toml. Only the copying of conf/ into a wheel needs code."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """An installed package finds its settings at interest_model/conf; a checkout has them beside the package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "interest_model", "conf")
            shutil.copytree(Path(__file__).parent / "conf", inside, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
