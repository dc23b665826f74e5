from ostinato_cli.main import app

app()
