/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - one TCP stream, and how fast it was:
 *
 *   bench-stream serve PORT                    until it is killed
 *   bench-stream up|down ADDRESS PORT SECONDS  prints Gbit/s
 *
 * The client says in one byte who sends. The receiver counts, between the first byte and the
 * last, so that neither a slow start of the handshake nor what stays in buffers is counted.
 * Congestion control is reno: the default of some machines, bbr, paces itself below what a local
 * path carries.
 */
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (128 * 1024)

struct result {
    uint64_t bytes;
    double usec;
};

static char chunk[CHUNK];

static int stream_socket(void)
{
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        give_up("socket: %s", strerror(errno));
    (void)setsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    return sock;
}

static void send_for(int sock, double seconds)
{
    double end = now_usec() + seconds * 1e6;
    while (now_usec() < end && send(sock, chunk, sizeof chunk, MSG_NOSIGNAL) > 0)
        ;
    (void)shutdown(sock, SHUT_WR);
}

static struct result receive_all(int sock)
{
    struct result result = { 0 };
    double first = 0, last = 0;
    ssize_t n;
    while ((n = recv(sock, chunk, sizeof chunk, 0)) > 0) {
        last = now_usec();
        if (first == 0)
            first = last;
        result.bytes += (uint64_t)n;
    }
    result.usec = last - first;
    return result;
}

/* The request: who sends, and for how long. */
struct request {
    char up;
    double seconds;
};

static void serve_one(int sock)
{
    struct request request;
    if (recv(sock, &request, sizeof request, MSG_WAITALL) != sizeof request)
        return;
    if (!request.up) {
        send_for(sock, request.seconds);
        (void)recv(sock, chunk, 1, 0); /* until the client has all */
        return;
    }
    struct result result = receive_all(sock);
    (void)send(sock, &result, sizeof result, MSG_NOSIGNAL);
}

/* A stream that never ends must not keep the next ones waiting: these would be blamed for it. */
static void serve_aside(int sock)
{
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork: %s", strerror(errno));
    if (pid > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve_one(sock);
    _exit(0);
}

static _Noreturn void serve(const char *port)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    int listener = stream_socket(), yes = 1;
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0 || listen(listener, 8) < 0)
        give_up("cannot listen on port %s: %s", port, strerror(errno));
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (sock < 0)
            give_up("accept: %s", strerror(errno));
        serve_aside(sock);
        close(sock);
    }
}

static int connect_to(const char *address, const char *port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    int sock = stream_socket();
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        give_up("%s is not an address", address);
    if (connect(sock, (struct sockaddr *)&to, sizeof to) < 0)
        give_up("cannot connect to %s: %s", address, strerror(errno));
    return sock;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    if (argc != 5)
        give_up("usage: bench-stream serve PORT | up|down ADDRESS PORT SECONDS");
    struct request request;
    memset(&request, 0, sizeof request); /* with its padding: it goes over the wire */
    request.up = strcmp(argv[1], "up") == 0;
    request.seconds = atof(argv[4]);
    int sock = connect_to(argv[2], argv[3]);
    if (send(sock, &request, sizeof request, 0) != sizeof request)
        give_up("send: %s", strerror(errno));
    struct result result = { 0 };
    if (request.up) {
        send_for(sock, request.seconds);
        if (recv(sock, &result, sizeof result, MSG_WAITALL) != sizeof result)
            give_up("the stream broke");
    } else {
        result = receive_all(sock);
    }
    if (result.usec <= 0)
        give_up("nothing came");
    printf("%.3f\n", (double)result.bytes * 8e-3 / result.usec);
    return 0;
}
