"""Where ROS drivers look for a camera_info file: `camera_info_url` as `camera_info_manager` has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.errors import nearest

DEFAULT_URL = "file://${ROS_HOME}/camera_info/${NAME}.yaml"


def camera_info_path(url: str, camera_name: str, environment: Mapping[str, str] | None = None) -> Path:
    """Turn a camera_info URL into a path; the file need not exist.

    Args:
        url: file:///path, package://package/path, or a plain path; ${NAME} and ${ROS_HOME} in it are
            replaced; "" stands for `DEFAULT_URL`.
        camera_name: what ${NAME} stands for.
        environment: ROS's variables ROS_HOME and AMENT_PREFIX_PATH are read from it; None for those
            of this process.

    Raises:
        CalibrationFileError: another scheme or ${variable}, or a package that is not installed.
    """
    variables = os.environ if environment is None else environment
    ros_home = variables.get("ROS_HOME") or str(Path.home() / ".ros")
    text = (url or DEFAULT_URL).replace("${NAME}", camera_name).replace("${ROS_HOME}", ros_home)
    if "${" in text:
        raise CalibrationFileError(
            f"camera_info URL {url!r} holds an unknown variable", "Valid: ${NAME}, ${ROS_HOME}"
        )
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    if scheme == "file":
        return Path(rest)
    if scheme == "package":
        return _in_package(url, rest, variables.get("AMENT_PREFIX_PATH", ""))
    raise CalibrationFileError(
        f"camera_info URL {url!r} has scheme {scheme!r}", nearest(scheme, ("file", "package"))
    )


def _in_package(url: str, rest: str, prefixes: str) -> Path:
    package, _, inside = rest.partition("/")
    for prefix in prefixes.split(os.pathsep) if prefixes else ():
        share = Path(prefix) / "share" / package
        if package and share.is_dir():
            return share / inside
    raise CalibrationFileError(
        f"camera_info URL {url!r}: package {package!r} is not installed", "Source the workspace that has it"
    )
