from tests.api.conftest import account, client, new_account, platform, stranger, transport  # noqa: F401
