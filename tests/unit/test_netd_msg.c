/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of wire/netd_msg.h: one good message of each kind, and what spoils it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd.h"
#include "mem.h"
#include "netd_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER sizeof(struct netd_header)

static size_t good(struct netd_msg *m, uint16_t op, uint32_t id, size_t body)
{
    memset(m, 0, sizeof *m);
    m->header =
        (struct netd_header){ .magic = NETD_MAGIC, .version = NETD_VERSION, .op = op, .id = id };
    return HEADER + body;
}

static void map_ipv4(uint8_t addr[static 16], uint32_t ipv4)
{
    memset(addr, 0, 16);
    addr[10] = addr[11] = 0xff;
    for (int i = 0; i < 4; i++)
        addr[12 + i] = (uint8_t)(ipv4 >> (24 - 8 * i));
}

static size_t good_build(struct netd_msg *m)
{
    size_t len = good(m, NETD_BUILD, 7, sizeof m->body.network);
    struct netd_network *n = &m->body.network;
    strcpy(n->name, "shared");
    strcpy(n->id, "b9ab6e0c-1111-4222-8333-444455556666");
    n->mode = NET_MODE_SHARED;
    n->flags = NETD_NET_FLAGS;
    n->mtu = MTU_DEFAULT;
    n->ipv4_base = 0xc0a84000;
    n->ipv4_prefix = 24;
    n->ipv6[0] = 0xfd;
    n->ipv6[7] = 1;
    n->ipv6_len = 64;
    n->n_dns_servers = 2;
    map_ipv4(n->dns_servers[0], 0xcb007135);
    memcpy(n->dns_servers[1], (uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, [15] = 0x53 }, 16);
    strcpy(n->external_interface, "eth0.5");
    strcpy(n->domain, "lab.example");
    return len;
}

/* The last two of three. */
static size_t good_update(struct netd_msg *m)
{
    size_t len = good(m, NETD_UPDATE, 9, sizeof m->body.update);
    struct netd_update *u = &m->body.update;
    strcpy(u->network, "lab");
    u->idle_timeout_sec = 120;
    u->total = 3;
    u->first = 1;
    u->count = 2;
    strcpy(u->reservations[0].name, "web");
    u->reservations[0].ipv4 = 0xc0a8400a;
    u->reservations[1].ipv4 = 0xc0a8400b;
    memcpy(u->reservations[0].mac, "\x52\x54\x00\x00\x00\x01", 6);
    memcpy(u->reservations[1].mac, "\x52\x54\x00\x00\x00\x02", 6);
    return len;
}

static size_t good_open(struct netd_msg *m)
{
    size_t len = good(m, NETD_OPEN_TAP, 8, sizeof m->body.interface);
    struct netd_interface *i = &m->body.interface;
    strcpy(i->network, "shared");
    strcpy(i->id, "web@shared");
    strcpy(i->name, "web");
    i->ipv4 = 0xc0a84002;
    memcpy(i->mac, "\x52\x54\x00\x12\x34\x56", 6);
    i->queues = 1;
    return len;
}

static size_t good_forward(struct netd_msg *m)
{
    size_t len = good(m, NETD_ADD_FORWARD, 9, sizeof m->body.forward);
    struct netd_forward *f = &m->body.forward;
    strcpy(f->network, "shared");
    strcpy(f->interface, "web@shared");
    f->protocol = NETD_UDP;
    f->families = NETD_IPV4 | NETD_IPV6;
    f->external_port = 65535;
    f->internal_port = 1;
    memcpy(f->target, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\xa8\x40\x02", 16);
    return len;
}

static void check(const char *what, const struct netd_msg *m, size_t len,
                  enum netd_direction direction, int want)
{
    int got = netd_msg_check(m, len, direction);
    if (got != want)
        fail_msg("%s: %d instead of %d", what, got, want);
}

static void request_sizes_are_those_of_the_bodies(void **state)
{
    (void)state;
    assert_int_equal(netd_request_size(NETD_HELLO), sizeof(struct netd_hello));
    assert_int_equal(netd_request_size(NETD_INVENTORY), 0);
    assert_int_equal(netd_request_size(NETD_BUILD), sizeof(struct netd_network));
    assert_int_equal(netd_request_size(NETD_OPEN_TAP), sizeof(struct netd_interface));
    assert_int_equal(netd_request_size(NETD_TAP_GONE), -EOPNOTSUPP);
    assert_int_equal(netd_request_size(0), -EOPNOTSUPP);
    assert_int_equal(netd_request_size(9999), -EOPNOTSUPP);
}

static void well_formed_requests_pass(void **state)
{
    (void)state;
    struct netd_msg m;
    size_t len = good(&m, NETD_HELLO, 1, sizeof m.body.hello);
    check("hello", &m, len, NETD_TO_HELPER, 0);
    len = good(&m, NETD_INVENTORY, 1, 0);
    check("inventory", &m, len, NETD_TO_HELPER, 0);
    len = good(&m, NETD_LEAVE, 1, 0);
    check("leave", &m, len, NETD_TO_HELPER, 0);
    check("build", &m, good_build(&m), NETD_TO_HELPER, 0);
    check("open", &m, good_open(&m), NETD_TO_HELPER, 0);
    check("update", &m, good_update(&m), NETD_TO_HELPER, 0);
    len = good_update(&m);
    memset(m.body.update.reservations, 0, sizeof m.body.update.reservations);
    m.body.update.total = m.body.update.first = m.body.update.count = 0;
    check("no reservations", &m, len, NETD_TO_HELPER, 0);
    len = good(&m, NETD_REMOVE, 1, sizeof m.body.name);
    strcpy(m.body.name.network, "host");
    check("remove", &m, len, NETD_TO_HELPER, 0);
}

static void well_formed_answers_and_events_pass(void **state)
{
    (void)state;
    struct netd_msg m;
    size_t len = good(&m, NETD_HELLO, 1, sizeof m.body.welcome);
    m.body.welcome.netd_pid = 12;
    m.body.welcome.anchor_pid = 13;
    strcpy(m.body.welcome.uplink_engine, "none");
    check("welcome", &m, len, NETD_TO_BROKER, 0);

    len = good_open(&m);
    strcpy(m.body.interface.tap, "vt0");
    check("opened", &m, len, NETD_TO_BROKER, 0);
    m.header.op = NETD_INVENTORY;
    m.header.flags = NETD_MORE;
    check("inventory, interface", &m, len, NETD_TO_BROKER, 0);
    m.header = (struct netd_header){ NETD_MAGIC, NETD_VERSION, NETD_TAP_GONE, 0, 0, 0, 0 };
    check("tap gone", &m, len, NETD_TO_BROKER, 0);

    len = good_build(&m);
    m.header.op = NETD_INVENTORY;
    m.header.flags = NETD_MORE;
    check("inventory, network", &m, len, NETD_TO_BROKER, 0);
    m.header.flags = 0;
    check("inventory, end", &m, HEADER, NETD_TO_BROKER, 0);

    len = good(&m, NETD_BUILD, 3, sizeof m.body.why);
    m.header.err = -EBUSY;
    strcpy(m.body.why.why, "subnet 192.168.64.0/24 is taken by 'lab'");
    check("refusal", &m, len, NETD_TO_BROKER, 0);

    len = good(&m, NETD_UPLINK, 0, sizeof m.body.uplink);
    strcpy(m.body.uplink.engine, "pasta");
    strcpy(m.body.uplink.state, "failed: no route");
    check("uplink", &m, len, NETD_TO_BROKER, 0);

    len = good(&m, NETD_NETWORK_LOST, 0, sizeof m.body.lost);
    strcpy(m.body.lost.network, "shared");
    strcpy(m.body.lost.why, "somebody deleted its bridge");
    check("lost", &m, len, NETD_TO_BROKER, 0);

    len = good(&m, NETD_STATS, 4, sizeof m.body.stats);
    m.header.flags = NETD_MORE;
    strcpy(m.body.stats.network, "shared");
    strcpy(m.body.stats.tap, "vt0");
    check("stats", &m, len, NETD_TO_BROKER, 0);
}

/* One thing wrong at a time. */
#define SPOIL(what, make, direction, change)                                                       \
    do {                                                                                           \
        struct netd_msg m;                                                                         \
        size_t len = make(&m);                                                                     \
        change;                                                                                    \
        check(what, &m, len, direction, -EPROTO);                                                  \
    } while (0)

static void a_spoilt_header_is_refused(void **state)
{
    (void)state;
    SPOIL("magic", good_build, NETD_TO_HELPER, m.header.magic++);
    SPOIL("op", good_build, NETD_TO_HELPER, m.header.op = 55);
    SPOIL("event as request", good_build, NETD_TO_HELPER, m.header.op = NETD_TAP_GONE);
    SPOIL("id", good_build, NETD_TO_HELPER, m.header.id = 0);
    SPOIL("flags", good_build, NETD_TO_HELPER, m.header.flags = NETD_MORE);
    SPOIL("err", good_build, NETD_TO_HELPER, m.header.err = -1);
    SPOIL("zero", good_build, NETD_TO_HELPER, m.header.zero = 1);
    SPOIL("a byte short", good_build, NETD_TO_HELPER, len--);
    SPOIL("a byte long", good_build, NETD_TO_HELPER, len++);
    SPOIL("no header", good_build, NETD_TO_HELPER, len = HEADER - 1);
    SPOIL("positive err", good_build, NETD_TO_BROKER, m.header.err = 5);
    SPOIL("event with id", good_open, NETD_TO_BROKER, m.header.op = NETD_TAP_GONE);
    SPOIL("more where none", good_open, NETD_TO_BROKER,
          (strcpy(m.body.interface.tap, "vt0"), m.header.flags = NETD_MORE));
}

static void another_version_has_its_own_answer(void **state)
{
    (void)state;
    struct netd_msg m;
    size_t len = good_build(&m);
    m.header.version++;
    check("version", &m, len, NETD_TO_HELPER, -EPROTONOSUPPORT);
}

static void a_spoilt_network_is_refused(void **state)
{
    (void)state;
#define NET(what, change) SPOIL(what, good_build, NETD_TO_HELPER, m.body.network.change)
    NET("empty name", name[0] = 0);
    NET("path in name", name[2] = '/');
    NET("no end of name", name[63] = 'x');
    NET("bytes behind the end", name[10] = 'x');
    NET("blank in id", id[3] = ' ');
    NET("mode", mode = 2);
    NET("anti-spoofing", anti_spoofing = 3);
    NET("flags", flags = NETD_NET_FLAGS + 1);
    NET("small mtu", mtu = 1279);
    NET("big mtu", mtu = 65522);
    NET("host bits", ipv4_base++);
    NET("no subnet", ipv4_base = 0);
    NET("loopback", ipv4_base = 0x7f000000);
    NET("multicast", ipv4_base = 0xe0000000);
    NET("prefix 0", ipv4_prefix = 0);
    NET("prefix 31", ipv4_prefix = 31);
    NET("prefix 200", ipv4_prefix = 200);
    NET("host bits, v6", ipv6[15] = 1);
    NET("prefix, v6", ipv6_len = 48);
    NET("link-local", ipv6[0] = 0xfe);
    NET("address without v6", ipv6_len = 0);
    NET("uplink", uplink = 3);
    NET("5 DNS servers", n_dns_servers = 5);
    NET("a DNS server too few", n_dns_servers = 1);
    NET("a DNS server too many", n_dns_servers = 3);
    NET("path as external interface", external_interface[3] = '/');
    NET("bytes behind the external interface", external_interface[12] = 'x');
    NET("capital in the domain", domain[0] = 'L');
    NET("line end in the domain", domain[3] = '\n');
    NET("empty label in the domain", domain[4] = '.');
    NET("domain that begins with a dot", domain[0] = '.');
    NET("domain that ends with a dot", domain[10] = '.');
    NET("domain without end", domain[255] = 'x');
    SPOIL("DNS server on the VM's own loopback", good_build, NETD_TO_HELPER,
          (m.body.network.dns_servers[0][12] = 127, m.body.network.flags = 0));
    NET("DNS server that is a group", dns_servers[0][12] = 0xe0);
    NET("DNS server that is a group, v6", dns_servers[1][0] = 0xff);
    SPOIL("long label in the domain", good_build, NETD_TO_HELPER,
          memset(m.body.network.domain, 'x', 64));
    SPOIL("link-local DNS server", good_build, NETD_TO_HELPER,
          memcpy(m.body.network.dns_servers[1], "\xfe\x80", 2));
    SPOIL("0.0.0.0 as DNS server", good_build, NETD_TO_HELPER,
          map_ipv4(m.body.network.dns_servers[0], 0));
}

static void a_spoilt_update_is_refused(void **state)
{
    (void)state;
#define UP(what, change) SPOIL(what, good_update, NETD_TO_HELPER, m.body.update.change)
    UP("network", network[0] = '.');
    UP("more than there are", total = 2);
    UP("beyond the limit", total = NETD_RESERVATIONS_MAX + 1);
    UP("a sum that overflows", first = UINT32_MAX);
    UP("17 in one message", count = 17);
    UP("one less than there are", count = 1);
    UP("one more than there are", count = 3);
    UP("none of three", count = 0);
    UP("no address", reservations[0].ipv4 = 0);
    UP("broadcast", reservations[0].ipv4 = UINT32_MAX);
    UP("multicast MAC", reservations[1].mac[0] = 1);
    UP("name", reservations[0].name[0] = '-');
    UP("padding", reservations[1].zero[1] = 1);
}

static void a_spoilt_interface_is_refused(void **state)
{
    (void)state;
#define IF(what, change) SPOIL(what, good_open, NETD_TO_HELPER, m.body.interface.change)
    IF("network", network[0] = '.');
    IF("no id", id[0] = 0);
    IF("control character", id[1] = '\n');
    IF("name", name[0] = '-');
    IF("a TAP in the request", tap[0] = 'x');
    IF("bytes behind an empty TAP", tap[5] = 'x');
    IF("uid", uid = UINT32_MAX);
    IF("multicast mac", mac[0] = 1);
    IF("offload", offload = 2);
    IF("isolated", isolated = 255);
    IF("by name", by_name = 2);
    IF("padding", zero[2] = 1);
    IF("no queues", queues = 0);
    IF("17 queues", queues = 17);
    IF("broadcast", ipv4 = UINT32_MAX);
    SPOIL("no TAP in the answer", good_open, NETD_TO_BROKER, (void)0);
    SPOIL("path as TAP", good_open, NETD_TO_BROKER, strcpy(m.body.interface.tap, "a/b"));
    SPOIL("TAP without end", good_open, NETD_TO_BROKER, memset(m.body.interface.tap, 'x', 16));
}

static void a_forward_may_lead_to_either_family_and_end_with_a_network(void **state)
{
    (void)state;
    struct netd_msg m;
    size_t len = good_forward(&m);
    struct netd_forward *f = &m.body.forward;
    check("forward", &m, len, NETD_TO_HELPER, 0);
    f->interface[0] = '\0';
    memset(f->interface, 0, sizeof f->interface);
    memcpy(f->target, "\xfd\0\0\x64\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
    f->families = NETD_IPV6;
    f->listen[15] = 1;
    check("forward of IPv6 from loopback", &m, len, NETD_TO_HELPER, 0);
    m.header.op = NETD_INVENTORY;
    m.header.flags = NETD_MORE;
    f->flags = NETD_FORWARD_LIVE | NETD_FORWARD_DEFINED;
    check("listed", &m, len, NETD_TO_BROKER, 0);
    m.header = (struct netd_header){ NETD_MAGIC, NETD_VERSION, NETD_FORWARD, 0, 0, 0, 0 };
    check("told of", &m, len, NETD_TO_BROKER, 0);
}

static void a_spoilt_forward_is_refused(void **state)
{
    (void)state;
#define FORWARD(what, change) SPOIL(what, good_forward, NETD_TO_HELPER, m.body.forward.change)
    FORWARD("network", network[0] = 0);
    FORWARD("blank in the interface", interface[1] = ' ');
    FORWARD("uid", uid = UINT32_MAX);
    FORWARD("alive before it is asked for", flags = NETD_FORWARD_LIVE);
    FORWARD("flags", flags = 4);
    FORWARD("protocol", protocol = 2);
    FORWARD("no family", families = 0);
    FORWARD("families", families = 4);
    FORWARD("external port 0", external_port = 0);
    FORWARD("external port", external_port = 65536);
    FORWARD("internal port 0", internal_port = 0);
    FORWARD("internal port", internal_port = 65536);
    FORWARD("two families on one address", listen[15] = 1);
    FORWARD("IPv4 on an IPv6 address", listen[15] = 1; m.body.forward.families = NETD_IPV4);
    FORWARD("to nobody", target[12] = m.body.forward.target[13] = m.body.forward.target[14] =
                             m.body.forward.target[15] = 0);
    FORWARD("to loopback", target[12] = 127);
    FORWARD("to everybody", target[12] = 224);
    FORWARD("to link-local", target[0] = 0xfe);
    SPOIL("listed with other flags", good_forward, NETD_TO_BROKER,
          (m.header.op = NETD_INVENTORY, m.header.flags = NETD_MORE, m.body.forward.flags = 4));
}

static void pair(int sock[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
}

static void a_message_arrives_with_its_descriptors(void **state)
{
    (void)state;
    int sock[2], fds[2], got[4];
    pair(sock);
    assert_int_equal(pipe(fds), 0);
    struct netd_msg out, in;
    size_t len = good_open(&out), n = N_ELEMENTS(got), in_len;
    assert_int_equal(netd_msg_send(sock[0], &out, len - HEADER, fds, 2), 0);
    assert_int_equal(netd_msg_recv(sock[1], &in, &in_len, got, &n), 0);
    assert_int_equal(in_len, len);
    assert_memory_equal(&in, &out, len);
    assert_int_equal(n, 2);
    assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);

    close(sock[0]);
    n = N_ELEMENTS(got);
    assert_int_equal(netd_msg_recv(sock[1], &in, &in_len, NULL, &n), 0);
    assert_int_equal(in_len, 0);
    int all[] = { sock[1], fds[0], fds[1], got[0], got[1] };
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        close(all[i]);
}

/* The next free descriptor number tells whether anything stayed open. */
static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void descriptors_beyond_the_room_are_closed(void **state)
{
    (void)state;
    int sock[2], fds[] = { 0, 0, 0 }, got[2];
    pair(sock);
    struct netd_msg out, in;
    size_t len = good_open(&out), n = 2, in_len;
    int before = next_fd();
    assert_int_equal(netd_msg_send(sock[0], &out, len - HEADER, fds, 3), 0);
    assert_int_equal(netd_msg_recv(sock[1], &in, &in_len, got, &n), -EPROTO);
    assert_int_equal(next_fd(), before);

    n = 0;
    assert_int_equal(netd_msg_send(sock[0], &out, 0, fds, 1), 0);
    assert_int_equal(netd_msg_recv(sock[1], &in, &in_len, NULL, &n), -EPROTO);
    assert_int_equal(next_fd(), before);
    close(sock[0]);
    close(sock[1]);
}

static void an_oversized_packet_is_refused_and_a_full_socket_says_so(void **state)
{
    (void)state;
    int sock[2];
    pair(sock);
    struct netd_msg msg;
    char big[sizeof msg + 8] = { 0 };
    size_t n = 0, len;
    assert_int_equal(send(sock[0], big, sizeof big, 0), sizeof big);
    assert_int_equal(netd_msg_recv(sock[1], &msg, &len, NULL, &n), -EPROTO);

    int r = 0;
    len = good_build(&msg);
    for (int i = 0; i < 100000 && r == 0; i++)
        r = netd_msg_send(sock[0], &msg, len - HEADER, NULL, 0);
    assert_int_equal(r, -EAGAIN);
    close(sock[0]);
    close(sock[1]);
    pair(sock);
    close(sock[1]);
    assert_int_equal(netd_msg_send(sock[0], &msg, 0, NULL, 0), -EPIPE);
    close(sock[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_sizes_are_those_of_the_bodies),
        cmocka_unit_test(well_formed_requests_pass),
        cmocka_unit_test(well_formed_answers_and_events_pass),
        cmocka_unit_test(a_spoilt_header_is_refused),
        cmocka_unit_test(another_version_has_its_own_answer),
        cmocka_unit_test(a_spoilt_network_is_refused),
        cmocka_unit_test(a_spoilt_update_is_refused),
        cmocka_unit_test(a_spoilt_interface_is_refused),
        cmocka_unit_test(a_forward_may_lead_to_either_family_and_end_with_a_network),
        cmocka_unit_test(a_spoilt_forward_is_refused),
        cmocka_unit_test(a_message_arrives_with_its_descriptors),
        cmocka_unit_test(descriptors_beyond_the_room_are_closed),
        cmocka_unit_test(an_oversized_packet_is_refused_and_a_full_socket_says_so),
    };
    return cmocka_run_group_tests_name("netd_msg", tests, NULL, NULL);
}
