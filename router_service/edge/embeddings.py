"""Serves POST /v1/embeddings: texts in, vectors of one model out."""

from aiohttp import web

from meshkit.errors import MeshError
from router_service.edge import extension, openai_embeddings
from router_service.edge import headers as header
from router_service.edge.exchange import KEY, check_provider, json_response, read_body, within
from router_service.edge.waits import Waits
from router_service.interface import Router


class Embeddings:
    """The endpoint."""

    def __init__(self, router: Router, waits: Waits) -> None:
        self._router = router
        self._waits = waits

    async def serve(self, request: web.Request) -> web.Response:
        """Serve one request."""
        exchange = request[KEY]
        deadline = header.deadline(exchange.headers, self._waits.deadline)
        wanted = openai_embeddings.read_embeddings(await read_body(request), exchange.headers, exchange.request_id)
        check_provider(self._router, wanted.provider)
        try:
            async with within(deadline + self._waits.grace):
                response = await self._router.embed(wanted.asked, exchange.caller, deadline)
        except MeshError as error:
            raise wanted.said.put(error) from None
        headers = {
            header.OFFER: response.route.offer,
            header.COST: extension.usd_text(response.usage.cost_nanos),
        }
        return json_response(openai_embeddings.reply(wanted, response), headers=headers)
