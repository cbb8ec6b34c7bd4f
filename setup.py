"""What pyproject.toml cannot say: `configs/` stands beside the package, and travels inside it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tfpipeline*"]), "tfpipeline.configs"],
    package_dir={"tfpipeline.configs": "configs"},
)
