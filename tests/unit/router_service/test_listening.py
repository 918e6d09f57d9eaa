"""How long the router listens to a provider service that says nothing, over a real socket."""

import asyncio
import time
from contextlib import asynccontextmanager

import grpc
import pytest

from router_service.listening import Listener


class Speaker:
    """Says what it is told to; the pauses between the words are in seconds."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    async def speak(self, _request: bytes, context: grpc.aio.ServicerContext) -> None:
        self.came.set()
        try:
            for pause in self.pauses:
                await asyncio.sleep(pause)
                await context.write(b"word")
        finally:
            self.left.set()


@asynccontextmanager
async def calling(speaker: Speaker):
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(speaker.speak)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Speaker", {"Speak": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        listener = Listener(channel.unary_stream("/test.Speaker/Speak")(b"", timeout=100))
        try:
            yield listener
        finally:
            listener.close()
    await server.stop(None)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


async def test_every_event_is_heard_and_the_end_is_none(speaker):
    speaker.pauses = [0, 0.01, 0]
    async with calling(speaker) as listener:
        assert [await listener.next(1.0) for _ in range(4)] == [b"word", b"word", b"word", None]


async def test_silence_ends_the_call_in_time(speaker):
    speaker.pauses = [0, 30]
    async with calling(speaker) as listener:
        assert await listener.next(1.0) == b"word"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await listener.next(0.1)
        assert 0.09 < time.monotonic() - began < 5
        await asyncio.wait_for(speaker.left.wait(), 30)


async def test_patience_counts_anew_for_every_event(speaker):
    speaker.pauses = [0.5] * 5
    async with calling(speaker) as listener:
        assert [await listener.next(2.4) for _ in range(5)] == [b"word"] * 5


async def test_a_shorter_patience_takes_the_place_of_a_longer_one(speaker):
    speaker.pauses = [0, 30]
    async with calling(speaker) as listener:
        await listener.next(60.0)
        with pytest.raises(TimeoutError):
            await listener.next(0.05)


async def test_time_in_which_nobody_listens_is_no_silence(speaker):
    speaker.pauses = [0, 0, 0.05]
    async with calling(speaker) as listener:
        await listener.next(2.0)
        await asyncio.sleep(2.5)
        assert await listener.next(2.0) == b"word"
        assert await listener.next(2.0) == b"word"


async def test_whoever_is_cancelled_while_listening_stays_cancelled(speaker):
    speaker.pauses = [30]
    async with calling(speaker) as listener:
        task = asyncio.create_task(listener.next(60.0))
        await asyncio.wait_for(speaker.came.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(speaker.left.wait(), 30)
