"""What pyproject.toml cannot say: `configs/` and the trained detector travel inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["tfpipeline*"]),
        "tfpipeline.configs",
        "tfpipeline.pretrained",
    ],
    package_dir={
        "tfpipeline.configs": "configs",
        "tfpipeline.pretrained": "saved_models/pretrained",
    },
)
