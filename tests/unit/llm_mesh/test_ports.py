"""Choosing and checking ports."""

import socket

import pytest
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from llm_mesh.addresses import choose
from llm_mesh.children import Layout, listeners, provider_processes
from llm_mesh.order import Wishes
from llm_mesh.ports import Listener, check_free, dialled, free_addresses
from meshkit.errors import StartError

CATALOG = shipped()


def layout(wishes: Wishes, *, isolated: bool = False) -> Layout:
    processes = provider_processes(CATALOG.vendors, isolated=isolated)
    choice = choose(wishes, CATALOG, processes)
    mesh = load_mesh(None, choice.variables(list(CATALOG.vendors)))
    return Layout(mesh, None, processes, choice.provider_admins(processes, mesh), choice.simulator())


def ports(found: Layout) -> dict[str, int]:
    return {listener.purpose: int(listener.address.rpartition(":")[2]) for listener in listeners(found)}


def test_without_wishes_addresses_are_those_of_the_configuration() -> None:
    found = ports(layout(Wishes()))
    assert (found["router"], found["quota service"], found["HTTP edge"]) == (7400, 7401, 8080)
    assert (found["simulated vendors"], found["router's admin page"], found["admin page of providers"]) == (
        7490,
        9464,
        min(int(load_mesh(None, {}).provider_admin(vendor).rpartition(":")[2]) for vendor in CATALOG.vendors),
    )


def test_a_block_of_ports_holds_everything_and_nothing_twice() -> None:
    for isolated in (False, True):
        found = ports(layout(Wishes(port_base=20_000), isolated=isolated))
        assert (found["router"], found["quota service"], found["HTTP edge"], found["simulated vendors"]) == (
            20_000,
            20_001,
            20_002,
            20_003,
        )
        assert len(set(found.values())) == len(found)
        assert all(20_000 <= port < 20_100 for port in found.values())


def test_free_ports_are_all_different_and_can_be_listened_on() -> None:
    found = layout(Wishes(free_ports=True), isolated=True)
    assert len(set(ports(found).values())) == len(ports(found))
    check_free(listeners(found))


def test_a_named_address_beats_a_block_and_is_dialled_where_it_listens() -> None:
    found = layout(Wishes(router="0.0.0.0:9999", port_base=20_000))
    assert (found.mesh.router.listen, found.mesh.router.dial) == ("0.0.0.0:9999", "127.0.0.1:9999")
    assert found.mesh.quota.listen == "127.0.0.1:20001"


def test_what_the_command_line_says_beats_a_listen_variable_of_the_environment() -> None:
    choice = choose(Wishes(router="127.0.0.1:9999"), CATALOG, {})
    mesh = load_mesh(None, {"MESH_ROUTER_LISTEN": "0.0.0.0:1", **choice.variables([])})
    assert mesh.router.listen == "127.0.0.1:9999"


def test_a_port_in_use_is_told_with_who_needs_it_and_how_to_change_it() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError) as caught:
            check_free(listeners(layout(Wishes(router=f"127.0.0.1:{port}", port_base=free_block()))))
    line = str(caught.value)
    assert f"port {port} is in use" in line
    assert "the router needs it" in line
    assert "--router HOST:PORT" in line
    assert "MESH_ROUTER_ADDRESS" in line


def test_one_port_for_two_purposes_is_refused() -> None:
    address = free_addresses(1)[0]
    with pytest.raises(StartError, match="wanted by the router and by the quota service"):
        check_free([Listener(address, "router", "change"), Listener(address, "quota service", "change")])


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(StartError, match=r"cannot be opened on 192\.0\.2\.1"):
        check_free([Listener("192.0.2.1:7400", "router", "change")])


@pytest.mark.parametrize(
    ("listened", "wanted"), [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "127.0.0.1:1"), ("10.0.0.1:1", "10.0.0.1:1")]
)
def test_an_address_that_means_everywhere_is_dialled_on_loopback(listened: str, wanted: str) -> None:
    assert dialled(listened) == wanted


def free_block() -> int:
    """A base under which all hundred ports are very likely free."""
    return min(int(free_addresses(1)[0].rpartition(":")[2]), 60_000)
