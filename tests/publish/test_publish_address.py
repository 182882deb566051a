import socket

import pytest

from stream_avs.config import PublishConfig
from stream_avs.errors import PublishError
from stream_avs.publish.address import check_bind, parse
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.zeromq import Publisher


@pytest.mark.parametrize(
    "address",
    [
        "", "5557", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://:5557", "tcp://a:b:5557", "http://x:1",
        "inproc://x", "ipc://", "ipc://" + "x" * 108, "tcp://::1:5557",
    ],
)  # fmt: skip
def test_malformed_addresses_are_refused_with_examples(address):
    with pytest.raises(PublishError, match=r"Expected e\.g\. tcp://"):
        parse(address)
    with pytest.raises(PublishError, match=r"Expected e\.g\. tcp://"):
        Subscriber(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "lo", "localhost"])
def test_loopback_may_be_bound(host):
    check_bind(f"tcp://{host}:5557", insecure=False)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "192.168.1.5", "[::]", "eth0", "10.0.0.1", "robot.local"])
def test_what_others_can_reach_is_refused_unless_insecure(host):
    address = f"tcp://{host}:5557"
    with pytest.raises(PublishError, match=r"other machines.*--publish.key.*--insecure"):
        check_bind(address, insecure=False)
    assert check_bind(address, insecure=True).text == address


def test_all_interfaces_can_be_bound_on_request():
    with Publisher(PublishConfig(address="tcp://0.0.0.0:*", insecure=True), "cam0") as publisher:
        assert publisher.address.startswith("tcp://0.0.0.0:")


def test_an_ipc_folder_that_is_missing_comes_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(PublishError, match=f"does not exist. Run: mkdir -p -m 700 {tmp_path}/none"):
        check_bind(f"ipc://{tmp_path}/none/s", insecure=False)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_an_ipc_folder_that_others_write_to_is_refused_unless_insecure(tmp_path, mode):
    tmp_path.chmod(mode)
    address = f"ipc://{tmp_path}/s"
    with pytest.raises(PublishError, match="writable by other users"):
        check_bind(address, insecure=False)
    assert check_bind(address, insecure=True).path == tmp_path / "s"


def test_an_abstract_socket_is_refused_unless_insecure():
    with pytest.raises(PublishError, match="every user"):
        check_bind("ipc://@masks", insecure=False)
    with Publisher(PublishConfig(address="ipc://@stream-avs-test", insecure=True), "cam0") as publisher:
        assert publisher.address == "ipc://@stream-avs-test"


def test_an_ipc_socket_is_for_its_owner_alone_and_is_removed(tmp_path):
    path = tmp_path / "s"
    with Publisher(PublishConfig(address=f"ipc://{path}"), "cam0"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_an_ipc_path_in_use_is_not_taken_over(tmp_path):
    address = f"ipc://{tmp_path}/s"
    with Publisher(PublishConfig(address=address), "cam0"), pytest.raises(PublishError, match="in use"):
        Publisher(PublishConfig(address=address), "cam0")


def test_a_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    with Publisher(PublishConfig(address=f"ipc://{path}"), "cam0") as publisher:
        assert publisher.address == f"ipc://{path}"


def test_a_file_at_the_ipc_path_is_not_deleted(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("precious")
    with pytest.raises(PublishError, match="not a socket"):
        Publisher(PublishConfig(address=f"ipc://{path}"), "cam0")
    assert path.read_text() == "precious"


def test_an_address_of_no_interface_is_named():
    # 192.0.2.0/24 is kept for documentation (RFC 5737).
    with pytest.raises(PublishError, match="no interface of this machine"):
        Publisher(PublishConfig(address="tcp://192.0.2.1:5557", insecure=True), "cam0")
