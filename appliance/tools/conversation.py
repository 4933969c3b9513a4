"""create_order, transfer_to_human, end_call and log_note."""

from __future__ import annotations

from appliance.calls.tables import CallNote
from appliance.database.identifiers import uuid7
from appliance.scheduling.speech import sentence, spoken_day, spoken_list, spoken_time
from appliance.scheduling.tables import Order
from appliance.telephony.opening import OpeningTimes
from appliance.telephony.service import opening_times
from appliance.tools.arguments import CreateOrder, EndCall, LogNote, TransferToHuman
from appliance.tools.outcome import CannotDo, Done, ToolSetting


async def create_order(setting: ToolSetting, wanted: CreateOrder) -> Done:
    """Writes the order down."""
    order_id = uuid7()
    items = [{"name": item.name, "quantity": item.quantity} for item in wanted.items]
    call = setting.call
    own_number = call.caller if call.direction == "inbound" else call.called
    setting.uow.session.add(
        Order(
            id=order_id,
            organization_id=call.organization_id,
            items=items,
            name=wanted.name,
            phone=wanted.phone or own_number,
            call_id=call.id,
        )
    )
    await setting.uow.session.flush()
    said = spoken_list([f"{item.quantity} {item.name}" for item in wanted.items], setting.language)
    return Done(
        result={"order_id": str(order_id), "items": items, "name": wanted.name},
        say=setting.pick(sentence(f"I have noted your order: {said}"), sentence(f"Ich habe notiert: {said}")),
    )


async def transfer_to_human(setting: ToolSetting, _wanted: TransferToHuman) -> Done:
    """Who takes the call, when somebody does; the worker then asks the bridge for the transfer."""
    escalation = setting.snapshot.escalation
    if not escalation.target:
        raise CannotDo(
            "nobody_there",
            setting.pick(
                "I am sorry, there is nobody I could put you through to. Shall I take a message?",
                "Es tut mir leid, ich kann Sie mit niemandem verbinden. Soll ich etwas ausrichten?",
            ),
            {"target": None, "reachable": False},
        )
    opening = await opening_times(setting.uow, setting.timezone)
    if escalation.opening_hours_only and not opening.is_open(setting.now):
        raise CannotDo("closed", _closed(setting, opening), {"target": None, "reachable": False})
    return Done(
        result={"target": escalation.target, "reachable": True, "mode": "attended"},
        say=setting.snapshot.sentences.transfer,
    )


async def end_call(setting: ToolSetting, _wanted: EndCall) -> Done:
    """Nothing is done here: the worker ends the call after it has said goodbye."""
    return Done(result={}, say=setting.snapshot.sentences.goodbye)


async def log_note(setting: ToolSetting, wanted: LogNote) -> Done:
    """Writes a message down."""
    note_id = uuid7()
    setting.uow.session.add(
        CallNote(
            id=note_id,
            organization_id=setting.call.organization_id,
            call_id=setting.call.id,
            text=wanted.text,
        )
    )
    await setting.uow.session.flush()
    return Done(
        result={"note_id": str(note_id)},
        say=setting.pick("I have written that down.", "Das habe ich notiert."),
    )


def _closed(setting: ToolSetting, opening: OpeningTimes) -> str:
    """When somebody will be there again, as far as the hours tell."""
    today = opening.local(setting.now).date()
    day = opening.next_open_day(today)
    later = None
    if day is not None:
        spans = [span for span in opening.spans_of(day) if span.starts > setting.now]
        if not spans:
            day = opening.next_open_day(day.fromordinal(day.toordinal() + 1))
            spans = list(opening.spans_of(day)) if day is not None else []
        later = opening.local(spans[0].starts) if spans else None
    if later is None:
        return setting.pick(
            "I am sorry, nobody is there at the moment. Shall I take a message?",
            "Es tut mir leid, im Moment ist niemand da. Soll ich etwas ausrichten?",
        )
    when = spoken_day(later.date(), setting.language)
    at = spoken_time(later, setting.language)
    return setting.pick(
        f"I am sorry, nobody is there now; we open again on {when} at {at}. Shall I take a message?",
        f"Es tut mir leid, jetzt ist niemand da; wir öffnen wieder am {when} um {at}. "
        "Soll ich etwas ausrichten?",
    )
