"""What monitoring reads: figures made from Postgres and Redis when they are asked for, in Prometheus' text form."""
