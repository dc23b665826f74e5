# One image for all of Ostinato's processes: each is a command of it (`ostinato api`, `ostinato beat`, ...).
# Run it by docker-compose.yml; how to put your own project and its packages in: docs/compose.md.

FROM python:3.11.14-slim-bookworm AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/ostinato
WORKDIR /src
# What the lock file names changes seldom: a layer of its own.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --group examples --no-install-project
COPY README.md LICENSE ./
COPY shared shared
COPY api api
COPY beat beat
COPY worker worker
COPY cli cli
RUN uv sync --locked --no-dev --group examples --no-editable

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home ostinato
COPY --from=build /opt/ostinato /opt/ostinato
ENV PATH=/opt/ostinato/bin:$PATH PYTHONUNBUFFERED=1 OSTINATO_CONFIG=/project/langgraph.json
WORKDIR /project
USER 10001
CMD ["ostinato", "--help"]
