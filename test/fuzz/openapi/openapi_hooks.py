"""What Schemathesis cannot know of the native API: rules that no schema can say, and what a run must not do to itself."""

import json
import os

import schemathesis

# The account, token, team, channel and hook that the run works with.
OWN_IDS = frozenset(os.environ["FUZZ_OWN_IDS"].split(","))

# Refusals of bodies that fit the schema, because of what there is besides the body: pointer and words of the fault, each as
# the contract's answer tells it. A refusal with any other fault is a failure.
RULES_OF_STATE = {
    ("/bot_id", "there is no such bot in the team"),
    ("/email", "must be empty for a bot"),
    ("/expires_at", "must be in the future"),
    ("/is_system_admin", "must be false for a bot"),
    ("/name", "must have 1 to 255 characters"),  # of a hook that is there, where its dialect needs one
    ("/owner_id", "there is no such user"),
    ("/owner_id", "may not have hooks in this channel"),
    ("/password", "is easy to guess: choose one that is no common password, no pattern and not the name; three random words will do"),
    ("/password", "must be absent for a bot"),
    ("/role", "must be guest or member for a bot"),
    ("/root_id", "must be a message of the channel that is no reply"),
    ("/target", "must hold channel_id for chat_message"),  # of a hook that is there, whose action stays
    ("/target", "must hold user_id for direct_message"),
    ("/target/channel_id", "there is no such channel"),
    ("/target/channel_id", "is archived"),
    ("/target/channel_id", "must be in the team of the hook"),
    ("/target/user_id", "there is no such person"),
    ("/target/user_id", "shares no team with the owner of the hook"),
    ("/team_id", "there is no such team"),
    ("/user_id", "must be oneself or an own bot"),
    ("/zone", "must be an IANA time zone"),  # the machine's list of zones, which changes with the years
}
# U+0000 is refused at any depth of a free object, and a schema without recursion reaches the first.
FAULT_OF_PROPS = ("/props", "must not hold U+0000")
# The same for whole requests, by the last part of the problem's type.
REASONS_OF_STATE = {"idempotency_key_reused", "writer_gone"}  # the run may deactivate the bot of its own hook


@schemathesis.hook
def filter_case(context, case):
    """Keeps the run from taking its own rights away: what it works with is read, and written to, but not changed."""
    values = {str(value) for value in (case.path_parameters or {}).values()}
    return case.method.upper() in ("GET", "POST") or not (values & OWN_IDS)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Leaves out refusals of good bodies that the state explains; all other failures count."""
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code not in (400, 410, 422):
        return True
    problem = json.loads(response.content)
    if problem["type"].rpartition("/")[2] in REASONS_OF_STATE:
        return False
    faults = problem.get("errors", [])
    return not faults or not all(map(_is_of_state, faults))


def _is_of_state(fault):
    place, words = fault["pointer"], fault["detail"]
    of_props = place.startswith(FAULT_OF_PROPS[0]) and words.startswith(FAULT_OF_PROPS[1])
    return of_props or (place, words) in RULES_OF_STATE
