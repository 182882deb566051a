"""The ROS package without ROS: manifest, executables, launch files and parameter files fit the code."""

from __future__ import annotations

import ast
import os
import py_compile
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from stream_avs.errors import ConfigError
from stream_avs.ros2.parameters import config_from, parameters_of
from stream_avs.ros2.rcl.main import NODES, SETTINGS, read_assignments, run

ROOT = Path(__file__).parents[2]
LAUNCH = sorted((ROOT / "launch").glob("*.launch.py"))
PARAMETERS = sorted((ROOT / "launch" / "parameters").glob("*.yaml"))
ROS_IMPORTS = {"rclpy", "launch", "launch_ros", "rcl_interfaces", "std_srvs"}


def imports_of(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def test_the_manifest_is_of_format_3_and_names_what_is_imported() -> None:
    root = ET.parse(ROOT / "package.xml").getroot()
    assert root.get("format") == "3"
    assert root.findtext("name") == "stream_avs"
    assert root.findtext("export/build_type") == "ament_python"
    for required in ("version", "description", "maintainer", "license"):
        assert root.findtext(required)
    depends = {e.text for e in root if e.tag.endswith("depend")}
    used = {
        name
        for path in [*(ROOT / "stream_avs" / "ros2" / "rcl").glob("*.py"), *LAUNCH]
        for name in imports_of(path) & ROS_IMPORTS
    }
    messages = set()
    for path in (ROOT / "stream_avs" / "ros2").rglob("*.py"):
        messages |= set(re.findall(r'"(\w+)/msg/', path.read_text()))
    optional = {"audio_common_msgs", "audio_utils_msgs", "rmw_dds_common", "package"}
    assert used | (messages - optional) <= depends


def test_its_version_is_that_of_the_project() -> None:
    version = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()


def test_ros_libraries_are_imported_in_their_rooms_alone() -> None:
    for path in (ROOT / "stream_avs").rglob("*.py"):
        room = path.relative_to(ROOT / "stream_avs").as_posix()
        if not room.startswith("ros2/rcl/"):
            assert not imports_of(path) & ROS_IMPORTS, room
        if not room.startswith("ros2/dds/"):
            assert not imports_of(path) & {"cyclonedds", "rosbags"}, room


@pytest.mark.parametrize("name", ["capture", "segmenter", "overlay", "together"])
def test_ros2_run_finds_an_executable(name: str) -> None:
    script = ROOT / "nodes" / "bin" / name
    assert os.access(script, os.X_OK)
    tree = ast.parse(script.read_text())
    assert script.read_text().startswith("#!/usr/bin/env python3\n")
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert imported.module is not None
    module = ROOT / (imported.module.replace(".", "/") + ".py")
    defined = {n.name for n in ast.parse(module.read_text()).body if isinstance(n, ast.FunctionDef)}
    assert {alias.name for alias in imported.names} <= defined


def test_every_node_has_a_class() -> None:
    for target in NODES.values():
        module, cls = target.split(":")
        tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
        assert cls in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_colcon_gets_every_file_ros_needs() -> None:
    text = (ROOT / "setup.py").read_text()
    for needed in (
        "resource_index/packages",
        "package.xml",
        "launch/*.launch.py",
        "parameters",
        "nodes/bin/*",
    ):
        assert needed in text
    assert (ROOT / "resource" / "stream_avs").exists()
    assert "install_scripts=$base/lib/stream_avs" in (ROOT / "setup.cfg").read_text()


@pytest.mark.parametrize("path", LAUNCH, ids=lambda p: p.name)
def test_launch_files_compile_and_describe_every_argument(path: Path, tmp_path: Path) -> None:
    py_compile.compile(str(path), str(tmp_path / "compiled.pyc"), doraise=True)
    tree = ast.parse(path.read_text())
    assert "generate_launch_description" in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    (table,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS"
    ]
    assert isinstance(table, ast.Dict)
    declared = {key.value for key in table.keys if isinstance(key, ast.Constant)}
    for value in table.values:
        assert isinstance(value, ast.Tuple)
        assert len(ast.literal_eval(value.elts[1])) > 8
    used = set(re.findall(r'LaunchConfiguration\("(\w+)"\)', path.read_text()))
    if path.name == "split.launch.py":
        used |= {"autostart", "use_sim_time"}
    assert used == declared
    assert {"namespace", "autostart", "use_sim_time", "parameters"} <= declared


@pytest.mark.parametrize("path", PARAMETERS, ids=lambda p: p.name)
def test_parameter_files_hold_real_parameters(path: Path) -> None:
    for key, content in yaml.safe_load(path.read_text()).items():
        node = key.removeprefix("/**/")
        values = dict(_flatten(content["ros__parameters"]))
        specs = {p.name: p for p in parameters_of(SETTINGS[node])}
        for name, value in values.items():
            # ROS does not take 1 for 1.0.
            assert type(value) is specs[name].kind, f"{node}.{name}"
        config_from(SETTINGS[node], values)


def test_there_is_a_parameter_file_for_each_launch_file() -> None:
    assert [p.name.split(".")[0] for p in LAUNCH] == [p.stem for p in PARAMETERS]


def _flatten(content: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found = []
    for key, value in content.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def test_assignments_are_read_by_type() -> None:
    found = read_assignments(
        ["capture.source:=synthetic", "segmenter.window.frames:=4", "segmenter.ros.overlay_opacity:=0.25"]
    )
    assert found == {
        "capture": {"source": "synthetic"},
        "segmenter": {"window.frames": 4, "ros.overlay_opacity": 0.25},
    }
    for wrong in ("captur.source:=x", "capture.sorce:=x", "segmenter.window.frames:=four"):
        with pytest.raises(ConfigError):
            read_assignments([wrong])


def test_an_unknown_node_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["captur"]) == 2
    assert "Did you mean 'capture'" in capsys.readouterr().err


def test_service_and_compose_name_commands_that_exist() -> None:
    unit = (ROOT / "launch" / "stream-avs.service").read_text()
    assert "stream-avs run --config" in unit
    assert {"Type=notify", "WatchdogSec=30", "Restart=on-failure", "NoNewPrivileges=yes"} <= set(
        unit.split("\n")
    )
    compose = yaml.safe_load((ROOT / "launch" / "compose.yaml").read_text())
    command = compose["services"]["segmenter"]["command"]
    from stream_avs.nodes.segmenter import SegmenterNode

    from stream_avs.commands.arguments import parse_arguments

    config = parse_arguments(SegmenterNode, "node segmenter", command[3:], None)
    assert config.link.address.startswith("ipc://")


def test_the_workflow_skips_nothing() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ros2.yml").read_text())
    job = workflow["jobs"]["nodes"]
    assert job["env"]["REQUIRE_ROS2"] == "1"
    assert {entry["distro"] for entry in job["strategy"]["matrix"]["include"]} == {"jazzy", "lyrical"}
