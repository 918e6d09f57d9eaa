"""Vendor calls and the outbound proxy: a provider process whose environment names one, and the proxy's own count."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from fixtures.customer import prompt
from fixtures.keyed_mesh import key_of
from fixtures.observation import program
from fixtures.sandbox_mesh import configured
from fixtures.wiretap import tapping
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc

from llm_mesh.children import provider_variable
from llm_mesh.ports import free_addresses

RESOURCE = "of-a-test"
PLAIN_HTTP = {"vendors": {"gemini": {"slots": {"2": {"endpoint": "http://vendor.test/gemini/v1beta"}}}}}


class Providers:
    """The provider services of all vendors, and the proxy they were told of."""

    def __init__(self, tap, addresses):
        self.tap = tap
        self.addresses = addresses

    def call(self, vendor, model, slot=1):
        """Call a vendor; return the answer, or the error's code."""
        request = provider_pb2.GenerateRequest(
            target=provider_pb2.Target(model=model, slot=slot), prompt=prompt("say: yes")
        )
        with grpc.insecure_channel(self.addresses[vendor]) as channel:
            try:
                stub = provider_pb2_grpc.ProviderServiceStub(channel)
                return stub.Generate(request, timeout=30, wait_for_ready=True)
            except grpc.RpcError as error:
                return error.code()


@pytest.fixture(scope="module")
def providers(tmp_path_factory, catalogue):
    directory = tmp_path_factory.mktemp("proxied")
    addresses = dict(zip([*catalogue.vendors, "admin"], free_addresses(len(catalogue.vendors) + 1), strict=True))
    with tapping() as tap:
        variables = configured(directory, PLAIN_HTTP) | {"HTTPS_PROXY": tap.url, "HTTP_PROXY": tap.url}
        for vendor in catalogue.vendors.values():
            variables[provider_variable(vendor.id)] = addresses[vendor.id]
            if vendor.key_env:
                variables |= {f"{vendor.key_env[0]}{end}": key_of(vendor.id, "prox") for end in ("", "_2")}
        port = urlsplit(tap.url).port
        variables["AZURE_RESOURCE_NAME"] = RESOURCE
        variables["OLLAMA_BASE_URL"] = f"http://localhost:{port}/ollama"
        command = [sys.executable, "-m", "llm_mesh", "serve", "provider", *catalogue.vendors]
        command += ["--admin", addresses["admin"]]
        with program(command, directory / "log", cwd=directory, env=variables):
            yield Providers(tap, addresses)


@pytest.mark.product("P-OPS-12", "P-VENDOR-23")
def test_every_call_to_a_vendor_goes_through_the_https_proxy_and_to_localhost_none(providers, living):
    abroad = [vendor for vendor in living if not vendor.local]
    for vendor in abroad:
        model = next(model.id for model in vendor.models.values() if model.status == "active")
        assert urlsplit(vendor.endpoint).scheme == "https"
        assert providers.call(vendor.id, model) is grpc.StatusCode.UNAVAILABLE  # the proxy opens no tunnel
    assert [heard.target for heard in providers.tap.heard] == [
        f"{urlsplit(vendor.endpoint).hostname}:443".replace("{resource}", RESOURCE) for vendor in abroad
    ]
    providers.tap.forget()
    assert providers.call("ollama", "llama3.1:8b").completion.choices
    assert [heard.proxied for heard in providers.tap.heard] == [False]


@pytest.mark.product("P-VENDOR-23")
def test_calls_over_plain_http_go_through_the_http_proxy(providers):
    providers.tap.forget()
    assert providers.call("gemini", "gemini-2.5-flash", slot=2).completion.choices
    assert [heard.target for heard in providers.tap.heard] == [
        "http://vendor.test/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    ]


@pytest.mark.product("P-OPS-15")
def test_keys_are_read_from_the_environment_or_from_the_env_file(providers, partial):
    providers.tap.forget()
    providers.call("gemini", "gemini-2.5-flash", slot=2)
    assert providers.tap.heard[0].headers["x-goog-api-key"] == key_of("gemini", "prox")
    partial.generate(model="gemini/gemini-2.5-flash")
    assert partial.keys["GEMINI_API_KEY"] in (partial.mesh.directory / ".env").read_text()
    assert partial.tap.chats[0].headers["x-goog-api-key"] == partial.keys["GEMINI_API_KEY"]


@pytest.mark.product("P-VENDOR-23")
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_the_caller_s_key_opens_the_mesh_by_either_header_and_goes_to_no_vendor(partial, header):
    word = f"Bearer {partial.key}" if header == "authorization" else partial.key
    body = {"model": "groq", "messages": [{"role": "user", "content": "say: yes"}]}
    reply = partial.http.post("/v1/chat/completions", json=body, headers={"authorization": "", header: word})
    assert reply.status_code == 200, reply.text
    assert partial.tap.chats
    for heard in partial.tap.heard:
        assert partial.key not in f"{heard}"


@pytest.mark.product("P-VENDOR-23")
def test_the_caller_s_key_is_in_no_process_of_a_vendor(partial):
    for name in partial.mesh.names:
        environment = Path(f"/proc/{partial.mesh.pid(name)}/environ").read_text()
        assert (partial.key in environment) == (name in ("router", "quota")), name  # each tells operators by it
