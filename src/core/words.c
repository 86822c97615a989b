/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include "broker_state.h"
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void refuse(struct peer *peer, struct call *call, enum status status, const char *fmt, ...)
{
    char message[768];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    log_user(peer->cred.uid, LOG_LEVEL_INFO, "%s refused: %s", peer->tag, message);
    peer->broker->transport->answer_error(call, status, message);
}

void refuse_no_memory(struct peer *peer, struct call *call)
{
    refuse(peer, call, status_from_errno(-ENOMEM), "the broker is short of memory: try again");
}

const char *quote(const char *text, char out[static QUOTED_SIZE])
{
    size_t n = 0;
    for (; text[n] != '\0' && n < QUOTED_SIZE - 4; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    (void)snprintf(out + n, 4, "%s", text[n] != '\0' ? "..." : "");
    return out;
}
