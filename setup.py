"""What pyproject.toml cannot say: the mapped package, and the files ROS 2 looks for.

`nodes/` is installed as `stream_avs.nodes`, never as a top-level module. The data files make this an
ament_python package: `colcon build`, `ros2 run stream_avs segmenter`, `ros2 launch stream_avs ...`.
"""

from glob import glob

from setuptools import Distribution, find_packages, setup

PACKAGE = "stream_avs"


class PlainDistribution(Distribution):
    """colcon prints all settings and reads them back as literals, which a SpecifierSet is not."""

    def parse_config_files(self, *args, **kwargs):
        super().parse_config_files(*args, **kwargs)
        self.python_requires = self.metadata.python_requires = str(self.python_requires)


setup(
    distclass=PlainDistribution,
    packages=[*find_packages(include=[PACKAGE, f"{PACKAGE}.*"]), f"{PACKAGE}.nodes"],
    package_dir={f"{PACKAGE}.nodes": "nodes"},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{PACKAGE}/parameters", sorted(glob("launch/parameters/*.yaml"))),
        (f"share/{PACKAGE}/calib", sorted(glob("calib/*.yaml"))),
        (f"lib/{PACKAGE}", sorted(glob("nodes/bin/*"))),
    ],
)
