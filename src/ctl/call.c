/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <errno.h>
#include <stdio.h>

int call_open(const struct ctl *ctl, struct connection *c)
{
    struct failure why = { 0 };
    int r = endpoint_connect(c, ctl->choice, false, NULL, &why);
    if (r < 0 && r != -ENOTCONN)
        complain("%s", why.why);
    return r;
}

int call_check(const struct reply *reply, const char *network)
{
    if (reply->error == STATUS_SUCCESS)
        return 0;
    const char *why = reply_why(reply);
    if (!why[0])
        why = status_text((int)reply->error);
    if (network)
        complain_network(network, why);
    else
        complain("%s", why);
    return -EREMOTEIO;
}

int call_broker(struct connection *c, const char *method, json_t *parameters, const char *network,
                struct reply *ret)
{
    int r = connection_call(c, method, parameters, ret);
    if (r == 0)
        return call_check(ret, network);
    complain("%s", r == -EPROTO   ? "the broker's answer makes no sense"
                   : r == -ENOMEM ? "out of memory"
                   : r == -E2BIG  ? "that is too long for a request"
                                  : "the connection to the broker broke");
    return r;
}

int call_about(const struct ctl *ctl, const char *method, const char *network, struct reply *ret)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    json_t *parameters = json_pack("{s:s*}", "network_name", network);

    if (!parameters) {
        complain("the network's name is not UTF-8 text");
        return -EILSEQ;
    }
    int r = call_open(ctl, &c);
    if (r < 0) {
        json_decref(parameters);
        return r;
    }
    return call_broker(&c, method, parameters, network, ret);
}

/* One network a reply; a reply without one, when there is none. */
int call_list(struct connection *c, json_t *networks)
{
    bool more = true;
    int r = connection_send(c, "List", NULL, true);
    while (r == 0 && more) {
        AUTO_REPLY reply = REPLY_INIT;
        r = connection_receive(c, &reply);
        if (r < 0)
            break;
        if (call_check(&reply, NULL) < 0)
            return -EREMOTEIO;
        json_t *network = json_object_get(reply.parameters, "network");
        if (json_is_object(network))
            r = json_array_append(networks, network);
        more = reply.continues;
    }
    if (r < 0)
        complain("the connection to the broker broke");
    return r;
}

int say_not_running(const struct ctl *ctl)
{
    if (ctl->choice == ENDPOINT_SYSTEM) {
        complain("the system's broker is not running");
        return EXIT_FAILED;
    }
    fputs("no broker is running; acquiring a network starts one\n", stderr);
    return EXIT_OK;
}
