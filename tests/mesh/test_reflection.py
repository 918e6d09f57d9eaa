"""A client without any generated code finds the services by reflection and calls them."""

from typing import Any

import grpc
from fixtures.mesh_callers import ANSWERED, DEADLINE
from fixtures.sandbox_mesh import SandboxMesh
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from llmmesh.router.v1 import router_pb2

ROUTER = "llmmesh.router.v1.RouterService"
CONTRACT = router_pb2.DESCRIPTOR.services_by_name["RouterService"]


def test_a_generic_client_lists_the_services_by_reflection_and_calls_generate(shared: SandboxMesh) -> None:
    with grpc.insecure_channel(shared.router) as channel:
        told = ProtoReflectionDescriptorDatabase(channel)
        assert {ROUTER, "grpc.health.v1.Health"} <= set(told.get_services())
        service = DescriptorPool(told).FindServiceByName(ROUTER)
        assert set(service.methods_by_name) == set(CONTRACT.methods_by_name)
        request = {
            "intent": {"useCase": "plain"},
            "prompt": {"messages": [{"role": "ROLE_USER", "parts": [{"text": {"text": f"say: {ANSWERED}"}}]}]},
        }
        answer = _call(channel, service.methods_by_name["Generate"], request)
    (choice,) = answer["completion"]["choices"]
    assert choice["parts"] == [{"text": {"text": ANSWERED}}]
    assert answer["route"]["offer"] == "openai/gpt-4o-mini#1"


def test_reflection_and_health_are_offered_by_every_grpc_service(shared: SandboxMesh) -> None:
    with grpc.insecure_channel(shared.quota) as channel:
        assert "llmmesh.quota.v1.QuotaService" in ProtoReflectionDescriptorDatabase(channel).get_services()
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        check = pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
        assert _call(channel, check, {"service": "llmmesh.quota.v1.QuotaService"}) == {"status": "SERVING"}


def _call(channel: grpc.Channel, method: Any, request: dict[str, Any]) -> dict[str, Any]:
    call: Any = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    answer = call(ParseDict(request, GetMessageClass(method.input_type)()), timeout=DEADLINE)
    return dict(MessageToDict(answer))
