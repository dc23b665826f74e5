from pydantic import ValidationError


def settings_advice(error: ValidationError) -> str:
    """What to set, by the names of the environment; never a value, which may be a password."""
    faults = []
    missing = False
    for fault in error.errors(include_input=False, include_url=False):
        field = str(fault["loc"][0]).upper() if fault["loc"] else "settings"
        name = field if field in {"DATABASE_URI", "REDIS_URI"} else f"OSTINATO_{field}"
        missing = missing or fault["type"] == "missing"
        reason = str(fault["msg"]).removeprefix("Value error, ")
        faults.append(f"{name} is not set" if fault["type"] == "missing" else f"{name}: {reason}")
    servers = ", or run `ostinato dev`, which brings its own servers" if missing else ""
    return f"{'; '.join(faults)}. Set it in the environment{servers}."
