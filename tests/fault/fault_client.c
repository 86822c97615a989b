/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of a call, when memory or the socket fails: the caller gets a network,
 * an interface, or an error; never half of one, and no descriptor is left. */
#include "connection.h"
#include "fault.h"
#include "fault_memory.h"
#include "fd.h"
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char network_reply[] = "{\"parameters\":{\"network\":{\"name\":\"shared\",\"id\":"
                                    "\"1\",\"mode\":\"shared\",\"mtu\":1500,"
                                    "\"ipv4_subnet\":\"192.168.64.0/24\",\"uplink\":\"ok\"}}}";
static const char interface_reply[] =
    "{\"parameters\":{\"interface\":{\"id\":\"1\",\"network_name\":\"shared\",\"mac_address\":"
    "\"52:54:00:00:00:01\",\"mtu\":1500,\"max_packet_size\":1514,\"fds\":[1,0]}}}";

/* A TAP's device that is no TAP yet is enough for the library; -1 where there is none. */
static int tun = -1;

static void answer(int sock, const char *text, size_t len, size_t n_fds)
{
    int fds[2] = { tun, tun };
    union {
        char buf[CMSG_SPACE(sizeof fds)];
        struct cmsghdr align;
    } control = { { 0 } };
    struct iovec iov = { (void *)(uintptr_t)text, len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = sizeof control.buf;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof fds);
    }
    assert_int_equal(sendmsg(sock, &hdr, MSG_NOSIGNAL), len);
}

static int call(struct connection *c, const char *method, struct reply *ret)
{
    json_t *parameters = json_pack("{s:s}", "network_name", "shared");

    return parameters ? connection_call(c, method, parameters, ret) : -ENOMEM;
}

static int acquire(struct connection *c)
{
    AUTO_REPLY reply = REPLY_INIT;
    vmnet_broker_network_ref net = NULL;
    int r = call(c, "Acquire", &reply);

    if (r == 0)
        r = network_from_reply(&reply, &net);
    assert_true((r == 0) == (net != NULL));
    /* Not what it is: jansson 2.14 overlooks a failure to lengthen the buffer of a token, and
     * then cuts a text of more than 15 bytes. Nothing short of reading twice would notice. */
    if (net)
        assert_non_null(vmnet_broker_network_ipv4_subnet(net));
    vmnet_broker_network_free(net);
    return r;
}

static int start(struct connection *c)
{
    const vmnet_broker_interface_options asked = { .queues = 2 };
    AUTO_REPLY reply = REPLY_INIT;
    vmnet_broker_interface_ref iface = NULL;
    int r = call(c, "StartInterface", &reply);

    if (r == 0)
        r = interface_from_reply(&reply, &asked, &iface);
    assert_true((r == 0) == (iface != NULL));
    if (iface) { /* one is taken, the other goes with the object */
        AUTO_FD fd = vmnet_broker_interface_take_fd(iface, 0);
        assert_true(fd >= 0);
    }
    vmnet_broker_interface_free(iface);
    return r;
}

/* A connection whose broker has answered before it was asked. */
static int talk(void)
{
    static const struct varlink_limits limits = { 65536, 65536, VARLINK_FDS_MAX };
    struct connection c = CONNECTION_INIT;
    int pair[2], r;

    fault_pause();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    AUTO_FD broker = pair[0];
    answer(broker, network_reply, sizeof network_reply, 0);
    fault_resume();
    c.stream = varlink_new(pair[1], &limits);
    if (!c.stream) {
        fd_closep(&pair[1]);
        return -ENOMEM;
    }
    c.fd = pair[1];
    r = acquire(&c);
    if (r == 0 && tun >= 0) {
        fault_pause();
        answer(broker, interface_reply, sizeof interface_reply, 2);
        fault_resume();
        r = start(&c);
    }
    connection_close(&c);
    return r;
}

static void story(void)
{
    fault_begin();
    int r = talk();
    (void)fault_end();
    assert_true(r == 0 ? true : fault_happened());
    assert_true(r == 0 || r == -ENOMEM || r == -EPROTO || r == -ECONNRESET);
    assert_int_equal(talk(), 0);
}

static void a_network_and_an_interface(void **unused)
{
    (void)unused;
    fault_each(story, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(a_network_and_an_interface),
    };
    fault_in_jansson();
    tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    return cmocka_run_group_tests_name("faults in the library", tests, NULL, NULL);
}
