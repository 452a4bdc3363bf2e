# SPDX-License-Identifier: Apache-2.0
"""What drive.sh changes in the requests: nobody waits for a message that does not come."""
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    for name in ("timeout", "reply_timeout"):
        if str((case.query or {}).get(name, "")).isdigit():
            case.query[name] = 0
