"""Commands for people: they talk to the api over HTTP, and to nothing else."""
