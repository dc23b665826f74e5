"""The worker's transport on a real Redis, without a worker."""

from contextlib import suppress

from kombu import Connection, Consumer, Queue
from redis import Redis

from ostinato_shared import broker
from ostinato_shared.ids import new_id
from ostinato_shared.task_names import QUEUE
from ostinato_worker.transport import HintTransport


def test_a_message_that_comes_to_a_worker_while_it_stops_is_given_back(redis_uri: str) -> None:
    run_id = new_id()
    with Connection(redis_uri, transport=HintTransport) as connection, Redis.from_url(redis_uri) as client:
        channel = connection.channel()
        consumer = Consumer(channel, [Queue(QUEUE)], auto_declare=False)
        consumer.consume()
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)  # leaves a question to Redis open
        consumer.cancel()

        client.lpush(QUEUE, broker.run_message(run_id))
        channel.close()

        [message] = client.lrange(QUEUE, 0, -1)
        assert str(run_id) in message.decode()
        client.delete(QUEUE)
