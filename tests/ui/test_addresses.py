"""Where browsers of a room find the server: on every kind of machine, and as it was declared."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from core.ui import addresses as module
from core.ui.addresses import AddressError, addresses, declared, doubt, own_hosts

LOOPBACK = {"lo": ["127.0.0.1", "::1"]}
DOCKER = {"docker0": ["172.17.0.1"], "br-0123456789ab": ["172.18.0.1"], "vethab12": ["fe80::1%vethab12"]}
WIFI = {"wlan0": ["192.168.1.20", "2001:db8::20", "fe80::20%wlan0"]}
CABLE = {"eth0": ["10.20.0.5"]}


@pytest.fixture
def machine(monkeypatch):
    """`machine(interfaces, route="", down=())`: a machine with these interfaces and a route to the outside, or none."""

    def be(interfaces, route="", down=()):
        class Way(socket.socket):
            def connect(self, where):
                if (":" in route) != (self.family == socket.AF_INET6) or not route:
                    raise OSError("Network is unreachable")

            def getsockname(self):
                return (route, 9)

        monkeypatch.setattr(socket, "socket", Way)
        entries = {
            name: [
                SimpleNamespace(family=socket.AF_INET6 if ":" in host else socket.AF_INET, address=host)
                for host in hosts
            ]
            + [SimpleNamespace(family=17, address="02:fc:00:00:00:01")]
            for name, hosts in interfaces.items()
        }
        monkeypatch.setattr(psutil, "net_if_addrs", lambda: entries)
        up = {name: SimpleNamespace(isup=name not in down) for name in interfaces}
        monkeypatch.setattr(psutil, "net_if_stats", lambda: up)
        monkeypatch.setattr(module, "CONTAINERS", ())

    return be


@pytest.mark.parametrize(
    ("interfaces", "route", "hosts"),
    [
        (LOOPBACK, "", ["127.0.0.1"]),
        (LOOPBACK | DOCKER, "", ["127.0.0.1"]),
        (LOOPBACK | WIFI, "", ["192.168.1.20"]),
        (LOOPBACK | WIFI | DOCKER, "192.168.1.20", ["192.168.1.20"]),
        (LOOPBACK | CABLE | WIFI, "192.168.1.20", ["192.168.1.20", "10.20.0.5"]),
        (LOOPBACK | CABLE | WIFI, "", ["10.20.0.5", "192.168.1.20"]),
        ({"tun0": ["10.8.0.2"]} | WIFI, "", ["192.168.1.20", "10.8.0.2"]),
        ({"utun3": ["10.8.0.2"]} | WIFI, "10.8.0.2", ["10.8.0.2", "192.168.1.20"]),
        ({"eth0": ["169.254.7.7"]} | WIFI, "", ["192.168.1.20", "169.254.7.7"]),
        (LOOPBACK | {"eth0": ["169.254.7.7"]}, "", ["169.254.7.7"]),
        ({"Wi-Fi": ["192.168.0.9"], "vEthernet (WSL)": ["172.30.0.1"]}, "", ["192.168.0.9"]),
    ],
)
def test_a_machines_own_addresses_are_found_with_a_default_route_and_without(machine, interfaces, route, hosts):
    machine(interfaces, route)
    assert own_hosts() == hosts


def test_interfaces_that_are_down_count_for_nothing(machine):
    machine(LOOPBACK | CABLE | WIFI, down=["eth0"])
    assert own_hosts() == ["192.168.1.20"]


def test_addresses_of_ipv6_count_where_the_server_listens_at_them(machine):
    machine(WIFI | {"eth0": ["fd00::2", "10.0.0.2"]}, "2001:db8::20")
    assert own_hosts(ipv6=True) == ["192.168.1.20", "10.0.0.2", "2001:db8::20", "fd00::2"]
    assert addresses("0.0.0.0", 80) == ("http://192.168.1.20", "http://10.0.0.2")
    machine({"eth0": ["fd00::2"]})
    assert addresses("::", 8501) == ("http://[fd00::2]:8501",)
    assert addresses("0.0.0.0", 8501) == ("http://127.0.0.1:8501",)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", ""])
def test_a_server_on_all_addresses_is_found_at_this_machines_own(bound):
    for host in own_hosts(ipv6=bound != "0.0.0.0"):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as here:
            here.bind((host, 0))  # fails for an address of another machine
    assert addresses(bound, 8501)


def test_the_own_addresses_are_found_without_sending_anything(monkeypatch):
    class Quiet(socket.socket):
        kinds = ()

        def __init__(self, family, kind):
            super().__init__(family, kind)
            Quiet.kinds += (kind,)

        def send(self, *said):
            raise AssertionError("something was sent")

        sendto = sendmsg = sendall = send

    monkeypatch.setattr(socket, "socket", Quiet)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked: pytest.fail("a name server was asked"))
    own_hosts(ipv6=True)
    assert set(Quiet.kinds) == {socket.SOCK_DGRAM}, "a connected datagram socket sends nothing; a stream would"


@pytest.mark.parametrize(
    ("bound", "port", "tls", "base_path", "given", "found"),
    [
        ("192.168.1.20", 8501, False, "", "", "http://192.168.1.20:8501"),
        ("192.168.1.20", 80, False, "", "", "http://192.168.1.20"),
        ("192.168.1.20", 443, False, "", "", "http://192.168.1.20:443"),
        ("192.168.1.20", 8501, True, "", "", "https://192.168.1.20:8501"),
        ("192.168.1.20", 443, True, "", "", "https://192.168.1.20"),
        ("192.168.1.20", 80, True, "", "", "https://192.168.1.20:80"),
        ("192.168.1.20", 8501, False, "/lab", "", "http://192.168.1.20:8501/lab"),
        ("fd00::1", 8501, False, "", "", "http://[fd00::1]:8501"),
        ("fd00::1", 443, True, "/a/b", "", "https://[fd00::1]/a/b"),
        ("lab", 8501, False, "", "", "http://lab:8501"),
        ("0.0.0.0", 8501, False, "", "https://lab.school.example/", "https://lab.school.example"),
        ("0.0.0.0", 8501, True, "", "http://lab:8080", "http://lab:8080"),
        ("127.0.0.1", 8501, False, "/lab", "https://school.example", "https://school.example/lab"),
        ("127.0.0.1", 8501, False, "/lab", "https://school.example/x/", "https://school.example/x"),
        ("127.0.0.1", 8501, False, "", "https://school.example/lab", "https://school.example/lab"),
    ],
)
def test_the_address_is_the_one_at_which_the_server_answers(bound, port, tls, base_path, given, found):
    assert addresses(bound, port, tls, base_path, given) == (found,)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("", ""),
        ("  https://lab.school.example/ \n", "https://lab.school.example"),
        ("HTTPS://Lab.School.Example", "https://lab.school.example"),
        ("http://192.168.1.20:8501", "http://192.168.1.20:8501"),
        ("http://[fd00::1]:8501/", "http://[fd00::1]:8501"),
        ("https://schule-münchen.example", "https://schule-münchen.example"),
        ("https://school.example/Lab/one/", "https://school.example/Lab/one"),
        ("http://localhost:8501", "http://localhost:8501"),
    ],
)
def test_an_address_that_is_declared_is_the_one(given, address):
    assert declared(given) == address


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("lab", "does not begin with http"),
        ("lab.school.example:8501", "does not begin with http"),
        ("192.168.1.20:8501", "does not begin with http"),
        ("ftp://lab", "does not begin with http"),
        ("http:/lab", "does not begin with http"),
        ('"https://lab"', "does not begin with http"),
        ("https://", "names no host"),
        ("https:///lab", "names no host"),
        ("https://:8501", "names no host"),
        ("https://lab,school", "names no host"),
        ("https://a b", "has blanks"),
        ("https://lab\x07", "has blanks or signs"),
        ("http://lab:port", "its host or its port cannot be read"),
        ("http://lab:65536", "its host or its port cannot be read"),
        ("http://[", "its host or its port cannot be read"),
        ("http://lab:0", "port 0"),
        ("http://0.0.0.0:8501", "is what a server listens at"),
        ("http://[::]:8501", "is what a server listens at"),
        ("http://x?y", "more than a scheme"),
        ("http://x#y", "more than a scheme"),
        ("http://u@x", "more than a scheme"),
        ("http://u:p@x", "more than a scheme"),
    ],
)
def test_an_address_that_is_none_gets_a_sentence(given, words):
    with pytest.raises(AddressError, match=rf"^GRADIENT_LAB_ADDRESS = .*{words}.*\.$"):
        declared(given)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8501",
        "http://localhost",
        "https://[::1]:8501/lab",
        "http://LOCALHOST.:80",
        "http://a.localhost",
    ],
)
def test_an_address_that_leads_to_oneself_is_never_told_without_a_warning(machine, address):
    machine(LOOPBACK)
    for found in (True, False):
        assert "GRADIENT_LAB_ADDRESS" in doubt(address, found)
        assert "itself" in doubt(address, found)


def test_an_address_within_a_container_is_doubted_unless_somebody_declared_it(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "CONTAINERS", (tmp_path,))
    assert "container" in doubt("http://172.17.0.2:8501")
    assert doubt("http://172.17.0.2:8501", found=False) == ""
    monkeypatch.setattr(module, "CONTAINERS", (tmp_path / "none",))
    assert doubt("http://172.17.0.2:8501") == ""
