"""Flower in this process. Its own command would run a `flowerconfig.py` that lies in the working directory."""

import atexit
import signal
import sys

from celery import Celery
from flower.app import Flower
from flower.urls import settings as pages
from flower.views.monitor import Metrics
from tornado.options import options
from tornado.web import authenticated

from ostinato_cli.flower import FlowerAccess
from ostinato_shared import logs
from ostinato_shared.settings import Settings

COLUMNS = "name,args,state,received,started,runtime,worker,uuid"


def run(settings: Settings, access: FlowerAccess) -> None:
    """Returns after SIGTERM or SIGINT."""
    logs.configure(level="ERROR", as_json=settings.log_json)
    options.address, options.port = access.host, access.port
    options.basic_auth = [f"{access.user}:{access.password}"]
    options.tasks_columns = COLUMNS
    options.persistent = False
    Metrics.get = authenticated(Metrics.get)  # Flower itself shows its figures, with workers' names, to everybody
    app = Celery("ostinato", broker=settings.redis_url, set_as_current=False)
    app.conf.accept_content = ["json"]
    web = Flower(capp=app, options=options, **{**pages, "cookie_secret": options.cookie_secret})
    atexit.register(web.stop)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    web.start_http_server()
    web.start()
