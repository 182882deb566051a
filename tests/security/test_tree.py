"""What must not be in the tree: unpickling, evaluation of text, shells, unsafe loaders.

Looks at syntax trees, not at text, so that names in strings and comments do not count. Every exception
stands here with its reason, and one that is no longer needed fails.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("stream_avs", "nodes", "launch", "calib", "tests")

MODULES = {
    "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle",
    "multiprocessing.connection", "multiprocessing.managers", "xmlrpc", "telnetlib", "ftplib",
    "xml.dom.minidom", "xml.sax", "lxml",
}  # fmt: skip
"""Modules that run what they read, or read what they should not."""
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "yaml.load",
    "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.Loader", "yaml.UnsafeLoader",
    "yaml.FullLoader", "numpy.fromregex", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter",
    "ssl._create_unverified_context", "ssl._create_default_https_context",
}  # fmt: skip
"""Calls that run what they are given, or trust whom they should not."""
METHODS = {"recv_pyobj", "send_pyobj", "recv_serialized"}
"""Methods that unpickle what a socket brings."""

ALLOWED = {
    (
        "stream_avs/datasets/scenes/write.py",
        "import pickle",
    ): "writes log-mels as the releases do; reads none",
    ("stream_avs/datasets/pickle_machine.py", "import pickletools"): "lists instructions, runs none",
    ("stream_avs/models/convert.py", "import pickle"): "names the error torch raises",
    ("stream_avs/models/pretrained.py", "import pickle"): "names the error torch raises",
    ("stream_avs/models/convert.py", "torch.load"): "published files to safetensors, once; tensors only",
    ("stream_avs/models/pretrained.py", "torch.load"): "published encoders for training; tensors only",
    ("stream_avs/benchmarks/live.py", "import multiprocessing.connection"): "type of a pipe to its own child",
    ("stream_avs/yaml_input.py", "yaml.load"): "with the safe loader, after counting what is in the file",
    ("stream_avs/training/nano/fit.py", "torch.load"): "its own state, to go on with training; tensors only",
}
"""(file, what): why. Tests may do what it takes to build hostile files, but not read them."""
TESTS_MAY = {"import pickle", "exec", "eval", "compile", "shell=True"}
"""Hostile pickles are written in tests; what is run there is their own text, or that of our documents."""


def python_files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name_of(node: ast.expr, aliases: dict[str, str]) -> str:
    """Dotted name of what is called, import aliases resolved; "" if it is no name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = name_of(node.value, aliases)
        return f"{before}.{node.attr}" if before else f".{node.attr}"
    return ""


def dangers(tree: ast.AST) -> Iterator[str]:
    """Name each dangerous thing in a module."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                if is_bad_module(alias.name):
                    yield f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            if is_bad_module(node.module):
                yield f"import {node.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from dangers_of_call(node, name_of(node.func, aliases))


def is_bad_module(name: str) -> bool:
    return name == "pickletools" or any(name == bad or name.startswith(bad + ".") for bad in MODULES)


def dangers_of_call(call: ast.Call, name: str) -> Iterator[str]:
    given = {k.arg: k.value.value if isinstance(k.value, ast.Constant) else ... for k in call.keywords}
    if name in CALLS or name.rpartition(".")[2] in METHODS:
        yield name
    if name == "torch.load":
        yield "torch.load" if given.get("weights_only") is True else "torch.load without weights_only=True"
    if (
        name in ("numpy.load", "numpy.lib.format.read_array")
        and given.get("allow_pickle", False) is not False
    ):
        yield "numpy.load with allow_pickle"
    if given.get("shell", False) is not False:
        yield "shell=True"
    if given.get("verify", True) is False:
        yield "verify=False"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import pickle", "import pickle"),
        ("from pickle import loads", "import pickle"),
        ("import torch as t\nt.load(x)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load(x, weights_only=False)", "torch.load without weights_only=True"),
        ("from torch import load\nload(x, weights_only=flag)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load(x, weights_only=True)", "torch.load"),
        ("import numpy as np\nnp.load(x, allow_pickle=True)", "numpy.load with allow_pickle"),
        ("import yaml\nyaml.load(x)", "yaml.load"),
        ("eval(x)", "eval"),
        ("import subprocess\nsubprocess.run(x, shell=True)", "shell=True"),
        ("import os\nos.system(x)", "os.system"),
        ("socket.recv_pyobj()", "socket.recv_pyobj"),
        ("import requests\nrequests.get(x, verify=False)", "verify=False"),
        ("import numpy as np\nnp.load(x)", None),
        ("model.eval()", None),
        ("re.compile('x')", None),
        ("'import pickle; eval(x)'", None),
    ],
)
def test_the_search_finds_what_it_should(code: str, what: str | None) -> None:
    assert list(dangers(ast.parse(code))) == ([] if what is None else [what])


def test_nothing_in_the_tree_runs_what_it_reads() -> None:
    files = list(python_files())
    assert len(files) > 300
    found: dict[tuple[str, str], None] = {}
    for path in files:
        where = path.relative_to(ROOT).as_posix()
        for what in dangers(ast.parse(path.read_text("utf-8"))):
            if not (where.startswith("tests/") and what in TESTS_MAY):
                found[where, what] = None
    unexpected = [f"{where}: {what}" for where, what in found if (where, what) not in ALLOWED]
    assert not unexpected, "say why in ALLOWED, or do without: " + "; ".join(unexpected)
    assert not [key for key in ALLOWED if key not in found], "no longer there: take it out of ALLOWED"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_pickled_file_is_kept() -> None:
    bad = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz", ".bin"}
    assert not [path for path in tracked() if path.suffix in bad]
    for path in tracked():
        if path.relative_to(ROOT).parts[0] == "tests":
            continue  # hostile ones to try decoders with
        with path.open("rb") as file:
            head = file.read(2)
        assert not (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"), f"{path} looks pickled"


def test_the_page_never_makes_code_or_markup_of_data() -> None:
    scripts = list((ROOT / "stream_avs" / "publish" / "web").glob("*.js"))
    assert len(scripts) >= 4
    for path in scripts:
        text = path.read_text("utf-8")
        for bad in (
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
        ):
            assert bad not in text, f"{path.name}: {bad}"
