"""User Data service (181C): scales that know their users tell nothing before one of them has given consent."""

from __future__ import annotations

from gatepost.drivers.ble.gatt import user_data
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.reading import Reading, Reply

CONTROL, CHANGED = uuid(0x2A9F), uuid(0x2A99)
ANSWER_LIMIT = 10.0  # seconds: some show the user on their display first
SUCCESS = 1


class UserDataProfile(GattProfile):
    """User data profile: gives the consent of a user."""

    service = uuid(0x181C)
    title = "scale with users"
    driver = "ble-weight-scale"
    streams = (CONTROL, CHANGED)
    helper = True

    def decode(self, value: GattValue) -> Items:
        if value.uuid != CONTROL:
            return []
        response = user_data.decode(value.data)
        if response.op != user_data.UserDataOp.RESPONSE:
            return []
        fields = {"op": response.request_op, "code": response.response_code, "text": response.text}
        return [Reply("user-control", fields)]

    async def begin(self, session: ProfileSession) -> None:
        """CommandFailed `no-consent` when the scale does not accept the user."""
        index = getattr(self.memory.options, "user_index", None)
        code = getattr(self.memory.options, "consent", "")
        control = session.find(CONTROL, self.service)
        if control is None:
            return
        if index is None or code == "":
            self.memory.faults.add("no-consent", "the scale requires a user: set `user_index` and `consent`")
            return
        await session.write(control, user_data.give_consent(index, int(code)))
        try:
            answer = await session.io.wait(_consented, ANSWER_LIMIT)
        except TimeoutError:
            raise CommandFailed("no-consent", f"the scale did not answer the consent of user {index}") from None
        if answer["code"] != SUCCESS:
            raise CommandFailed("no-consent", f"the scale does not accept user {index}: {answer['text']}")


def _consented(item: Reading | Reply) -> dict[str, object] | None:
    if isinstance(item, Reply) and item.kind == "user-control" and item.fields["op"] == user_data.UserDataOp.CONSENT:
        return item.fields
    return None
