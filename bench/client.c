/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int client_connect(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof addr.sun_path)
        give_up("socket path too long: %s", path);
    strcpy(addr.sun_path, path);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof addr) < 0)
        give_up("connect %s: %s", path, strerror(errno));
    return sock;
}

static ssize_t receive(int sock, char *buf, size_t size, int *fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { buf, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fd) {
        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof control.buf;
    }
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = fd ? CMSG_FIRSTHDR(&msg) : NULL;
    if (n > 0 && c && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return n;
}

size_t client_call(int sock, const char *request, char *buf, size_t size, int *fd)
{
    if (fd)
        *fd = -1;
    size_t len = strlen(request) + 1;
    if (send(sock, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        give_up("send: %s", strerror(errno));
    size_t have = 0;
    do {
        ssize_t n = receive(sock, buf + have, size - have, fd && *fd < 0 ? fd : NULL);
        if (n <= 0)
            give_up("the broker closed the connection after: %s", request);
        have += (size_t)n;
    } while (buf[have - 1] != '\0');
    return have - 1;
}

size_t client_must(int sock, const char *request, char *buf, size_t size, int *fd)
{
    size_t n = client_call(sock, request, buf, size, fd);
    if (strstr(buf, "\"error\""))
        give_up("%s\n  answered %s", request, buf);
    return n;
}

void client_text(const char *reply, const char *key, char *text, size_t size)
{
    char quoted[32];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *value = strstr(reply, quoted);
    if (!value)
        give_up("no %s in %s", key, reply);
    value += strlen(quoted);
    (void)snprintf(text, size, "%.*s", (int)strcspn(value, "\""), value);
}

struct mac client_mac(const char *reply)
{
    struct mac mac = { { 0 } };
    char text[MAC_TEXT];
    client_text(reply, "mac_address", text, sizeof text);
    if (mac_parse(text, &mac) < 0)
        give_up("%s is not a MAC", text);
    return mac;
}

double client_polite_median(int sock)
{
    enum { ASKED = 400, PAUSE_USEC = 1000 };
    static char reply[65536];
    double took[ASKED];
    for (size_t i = 0; i < ASKED; i++) {
        usleep(PAUSE_USEC);
        double start = now_usec();
        (void)client_must(sock, ACQUIRE("host"), reply, sizeof reply, NULL);
        took[i] = now_usec() - start;
    }
    return median(took, ASKED);
}
