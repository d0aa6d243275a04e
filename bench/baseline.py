"""What the HTTP stack and the database cost by themselves: the same Litestar and uvicorn without the product.

`python -m bench.baseline PORT DATABASE_URL` serves POST /echo (a JSON object that is checked and returned) and
GET /one (SELECT 1 on a pooled connection).
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import uvicorn
from litestar import Litestar, get, post


class Record(msgspec.Struct):
    user_data: str = ""
    external_id: str = ""


def build(database_url: str) -> Litestar:
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def connected(_: Litestar) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=10) as pool:
            pools.append(pool)
            yield

    @post("/echo", status_code=200)
    async def echo(data: Record) -> Record:
        return data

    @get("/one")
    async def one() -> dict[str, int]:
        return {"one": await pools[0].fetchval("SELECT 1")}

    return Litestar([echo, one], lifespan=[connected], openapi_config=None)


def main() -> None:
    port, database_url = int(sys.argv[1]), sys.argv[2]
    uvicorn.run(build(database_url), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
