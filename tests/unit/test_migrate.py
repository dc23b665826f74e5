from alembic.script import ScriptDirectory

from ostinato_shared import migrate


def test_head_is_what_alembic_takes_for_it() -> None:
    assert migrate.head() == ScriptDirectory(str(migrate.SCRIPTS)).get_current_head()
