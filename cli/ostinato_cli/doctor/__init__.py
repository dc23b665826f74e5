"""What an operator would look at first, with advice for each fault."""

from ostinato_cli.doctor.examination import examine
from ostinato_cli.doctor.servers import reach_database

__all__ = ["examine", "reach_database"]
