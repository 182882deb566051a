"""Key files and folders of them: what is written, what is read, what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq
import zmq.auth
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.errors import ConfigError, PublishError
from stream_avs.publish.allowed_keys import AllowedKeys
from stream_avs.publish.curve import CONTROLLERS, READERS, SERVERS, client_of, server_of
from stream_avs.publish.key_files import Role, load_listed, load_public, load_secret, make_keys


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("role", list(Role))
def test_keys_read_back_here_and_in_pyzmq(tmp_path: Path, role: Role) -> None:
    public, secret = make_keys(tmp_path / "new", "robot", role)
    assert mode_of(tmp_path / "new") == 0o700
    assert (mode_of(public), mode_of(secret)) == (0o644, 0o600)
    pair = load_secret(secret, frozenset({role}))
    assert load_public(public, frozenset({role})) == pair.public
    assert zmq.auth.load_certificate(secret) == (pair.public, pair.secret)
    assert zmq.auth.load_certificate(public) == (pair.public, None)
    assert zmq.curve_public(pair.secret) == pair.public
    assert pair.secret not in public.read_bytes()


def test_secret_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        public, secret = make_keys(tmp_path, "a")
    finally:
        os.umask(before)
    assert (mode_of(public), mode_of(secret)) == (0o644, 0o600)


def test_keys_of_pyzmq_are_read(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "old")
    os.chmod(secret, 0o600)
    assert load_secret(Path(secret), SERVERS).public == load_public(Path(public), READERS)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_secret_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    _, secret = make_keys(tmp_path, "robot")
    secret.chmod(mode)
    with pytest.raises(PublishError, match=f"mode {mode:04o}.*chmod 600"):
        load_secret(secret)
    with pytest.raises(PublishError, match="chmod 600"):
        client_of(str(secret), str(tmp_path / "robot.key"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no public key"),
        ("public-key", "no public key"),
        ('public-key = ""', "40 characters"),
        ('public-key = "abc"', "40 characters"),
        (f'public-key = "{"#" * 40}"', "40 characters"),
        (f'public-key = "{"é" * 40}"', "40 characters"),
        (f'public-key = "{"a" * 40}"\nrole = root', "role is 'root'"),
        (f'public-key = "{"a" * 40}"\nsecret-key = "{"b" * 40}"', "do not belong together"),
        (f'public-key = "{"a" * 40}"\nsecret-key = "short"', "secret key is not 40"),
        ("x" * 5000, "larger than 4096"),
        ("\x00" * 10, "no public key"),
    ],
)
def test_damaged_files_are_refused_without_telling_keys(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "bad.key"
    path.write_text(text)
    path.chmod(0o600)
    for load in (load_public, load_secret, lambda p: load_listed(p, READERS)):
        with pytest.raises(PublishError, match=what) as refused:
            load(path)
        assert "short" not in str(refused.value)
        assert "b" * 40 not in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_no_key(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.key"
    path.write_bytes(b"curve\n public-key = " + data)
    path.chmod(0o600)
    with pytest.raises(PublishError):
        load_public(path)


def test_names_and_files_that_are_there_are_refused(tmp_path: Path) -> None:
    for name in ("", "../x", "a/b", "a.b", "a b"):
        with pytest.raises(PublishError, match="name"):
            make_keys(tmp_path, name)
    make_keys(tmp_path, "a")
    with pytest.raises(PublishError, match="exists"):
        make_keys(tmp_path, "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match="cannot be written"):
        make_keys(tmp_path / "file", "a")


@pytest.mark.parametrize(
    ("role", "server", "reader", "controller"),
    [
        (Role.ANY, True, True, False),
        (Role.PUBLISHER, True, False, False),
        (Role.SUBSCRIBER, False, True, False),
        (Role.CONTROL, False, False, True),
    ],
)
def test_a_key_opens_what_its_role_says(
    tmp_path: Path, role: Role, server: bool, reader: bool, controller: bool
) -> None:
    folder = tmp_path / "allowed"
    public, secret = make_keys(folder, "k", role)
    secret.rename(tmp_path / "k.key_secret")
    secret = tmp_path / "k.key_secret"
    for roles, may in ((SERVERS, server), (READERS, reader), (CONTROLLERS, controller)):
        if may:
            assert load_secret(secret, roles).public in AllowedKeys(folder, roles)
            assert AllowedKeys(folder, roles).name_of(load_public(public)) == "k"
        else:
            with pytest.raises(PublishError, match=r"Expected .*--role"):
                load_secret(secret, roles)
            with pytest.raises(PublishError, match=r"k\.key is of"):
                AllowedKeys(folder, roles)


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Path, bytes]:
    """A folder with one key in it."""
    public, _ = make_keys(tmp_path, "friend")
    folder = tmp_path / "readers"
    folder.mkdir(mode=0o700)
    (folder / "friend.key").write_bytes(public.read_bytes())
    return folder, load_public(public)


def test_files_come_and_go(tmp_path: Path, listed: tuple[Path, bytes]) -> None:
    folder, friend = listed
    allowed = AllowedKeys(folder, READERS)
    assert friend in allowed
    other_path, _ = make_keys(tmp_path, "other")
    other = load_public(other_path)
    assert other not in allowed
    (folder / "other.key").write_bytes(other_path.read_bytes())
    assert other in allowed
    (folder / "friend.key").unlink()
    assert friend not in allowed
    (folder / "other.key").unlink()
    folder.rmdir()
    assert other not in allowed


def test_a_file_that_goes_bad_later_is_left_out_and_told(tmp_path: Path, listed: tuple[Path, bytes]) -> None:
    folder, friend = listed
    allowed = AllowedKeys(folder, READERS)
    operator, _ = make_keys(tmp_path, "operator", Role.CONTROL)
    (folder / "operator.key").write_bytes(operator.read_bytes())
    (folder / "noise.key").write_bytes(b"\xff\x00")
    (folder / "folder.key").mkdir()
    assert friend in allowed
    assert load_public(operator) not in allowed
    assert len(allowed.problems) == 3
    (folder / "friend.key").chmod(0o666)
    assert friend not in allowed


def test_folders_and_files_that_others_may_change_are_refused(listed: tuple[Path, bytes]) -> None:
    folder, _ = listed
    folder.chmod(0o777)
    with pytest.raises(PublishError, match=r"let themselves in.*chmod go-w"):
        AllowedKeys(folder, READERS)
    folder.chmod(0o755)
    (folder / "friend.key").chmod(0o664)
    with pytest.raises(PublishError, match="may be changed by other users"):
        AllowedKeys(folder, READERS)


def test_a_clients_secret_key_does_not_belong_to_the_server(
    tmp_path: Path, listed: tuple[Path, bytes]
) -> None:
    folder, _ = listed
    _, secret = make_keys(tmp_path, "leaked")
    (folder / "leaked.key").write_bytes(secret.read_bytes())
    with pytest.raises(PublishError, match="secret key, which must not leave"):
        AllowedKeys(folder, READERS)


def test_half_a_set_of_keys_is_refused(tmp_path: Path, listed: tuple[Path, bytes]) -> None:
    secret = str(tmp_path / "friend.key_secret")
    with pytest.raises(ConfigError, match=r"--x\.key is given without --x\.clients"):
        server_of(secret, "", "--x")
    with pytest.raises(ConfigError, match=r"--x\.clients is given without --x\.key"):
        server_of("", str(listed[0]), "--x")
    with pytest.raises(ConfigError, match="go together"):
        client_of(secret, "")
    with pytest.raises(ConfigError, match="go together"):
        client_of("", str(tmp_path / "friend.key"))
    assert server_of("", "", "--x") is None
    assert client_of("", "") is None
