"""An endpoint of FastAPI that answers when its record has arrived. `pip install fastapi`, then:

    STREAM=orders fastapi run examples/python/web.py        # on AWS
    python examples/python/web.py                           # asks itself, on a Kinesis within this process; needs httpx2
"""

import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request

import shardflow

CLIENT: dict[str, object] = {}


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One producer for all requests. It is made here, so in each worker by itself if the server forks."""
    async with shardflow.AsyncProducer(os.environ.get("STREAM", "orders"), linger=0.02, **CLIENT) as producer:
        app.state.producer = producer
        yield
    # Leaving the block sends what is left.


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{customer}")
async def order(customer: str, request: Request) -> dict[str, str]:
    try:
        receipt = await app.state.producer.send(await request.body(), customer)
    except shardflow.RecordTooLargeError as error:
        raise HTTPException(413, str(error)) from None
    except shardflow.RecordError as error:
        raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
    return {"shard": receipt.shard_id, "sequence_number": receipt.sequence_number}


@app.post("/clicks/{visitor}", status_code=202)
async def click(visitor: str, request: Request) -> None:
    """Waits for room only: a failure goes to `on_failure` and the log."""
    await app.state.producer.put(await request.body(), visitor)


if __name__ == "__main__":
    from fastapi.testclient import TestClient

    with shardflow.LocalKinesis() as kinesis:
        kinesis.create_stream("orders", shards=2)
        CLIENT.update(kinesis.client)
        with TestClient(app) as client:
            print(client.post("/orders/ada", content=b"tea").json())
            print(client.post("/clicks/ada", content=b"/").status_code)
        print(f"{len(kinesis.records('orders'))} records are in the stream")
