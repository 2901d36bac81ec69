"""What the Discord for tests knows, and what it refuses to take."""

import re
import time

EPOCH = 1420070400000

state = {
    "messages": {}, "threads": {}, "calls": [], "presses": {}, "violations": [], "fails": [], "files": {},
    "commands": [], "made": {}, "may_make": True, "counting": False, "counted": {}, "refused": 0, "arrived": 0.0, "down": False, "last_id": 0, "nonces": {}, "port": 0,
}


def violate(what):
    state["violations"].append(str(what)[:400])


class Refused(Exception):
    def __init__(self, status, code, message, body=None):
        super().__init__(message)
        self.status, self.body = status, body or {"code": code, "message": message}


def new_id(later=0):
    made = (int((time.time() + later) * 1000) - EPOCH) << 22
    if later:
        return str(made + 1)
    state["last_id"] = max(made, state["last_id"] + 1)
    return str(state["last_id"])


def only(body, allowed, what):
    unknown = set(body) - set(allowed)
    if unknown:
        violate(f"unknown fields of {what}: {sorted(unknown)}")
        raise Refused(400, 50035, "Invalid Form Body")


def invalid(field, message):
    violate(f"{field}: {message}")
    errors = {field: {"_errors": [{"code": "BASE_TYPE", "message": message}]}}
    raise Refused(400, 50035, "", {"code": 50035, "message": "Invalid Form Body", "errors": errors})


def check_components(rows):
    if len(rows) > 5:
        invalid("components", "Must be 5 or fewer in length.")
    seen = set()
    for row in rows:
        only(row, {"type", "components"}, "a row")
        inside = row["components"]
        menus = [one for one in inside if one["type"] == 3]
        if row["type"] != 1 or not 1 <= len(inside) <= (1 if menus else 5):
            invalid("components", "a row has 1 to 5 buttons or one menu")
        for one in inside:
            custom = one.get("custom_id", "")
            if not 1 <= len(custom) <= 100 or custom in seen:
                invalid("custom_id", f"Component custom id cannot be duplicated or long: {custom}")
            seen.add(custom)
            if one["type"] == 2:
                only(one, {"type", "custom_id", "label", "style", "disabled"}, "a button")
                if not 1 <= len(one["label"]) <= 80 or one["style"] not in (1, 2, 3, 4):
                    invalid("label", "Must be between 1 and 80 in length.")
            elif one["type"] == 3:
                if not 1 <= len(one["options"]) <= 25:
                    invalid("options", "Must be between 1 and 25 in length.")
            else:
                invalid("type", "no such component")


def check_mentions(body):
    if body.get("allowed_mentions", {}).get("parse") != []:
        violate(f"it may mention somebody: {body}")


def check_message(body, fields, has_file=False):
    only(body, fields, "a message")
    content = body.get("content", "")
    if len(content) > 2000:
        invalid("content", "Must be 2000 or fewer in length.")
    if not content.strip() and not has_file:
        raise Refused(400, 50006, "Cannot send an empty message")
    outside = re.sub(r"```.*?```|``.*?``|`[^`]*`", "", content, flags=re.S)
    if re.search(r"@(everyone|here)\b|(?<!\\)<[@#]|(?<!\\)</", outside):
        violate(f"it would mention somebody: {content}")
    check_components(body.get("components") or [])
    check_mentions(body)
