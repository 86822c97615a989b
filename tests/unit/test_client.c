/* SPDX-License-Identifier: Apache-2.0 */
/* The client library against brokers that this test plays itself.
 *
 * A played broker is a child process with a list of connections; for each connection a
 * list of answers. It says what it is told to, whatever is asked, and the last thing it
 * does is to count how often it was asked, through its exit status.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "client.h"
#include "fd.h"
#include "mem.h"
#include "vmnet-broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NETWORK                                                                                    \
    "{\"parameters\":{\"network\":{\"name\":\"shared\",\"id\":\"u-1\",\"mode\":\"shared\","        \
    "\"mtu\":1500,\"uplink\":\"ok\",\"ipv4_subnet\":\"192.168.64.0/24\",\"ipv6_prefix\":null}}}"
#define IFACE(fds)                                                                                 \
    "{\"parameters\":{\"interface\":{\"id\":\"i-1\",\"network_name\":\"shared\","                  \
    "\"mac_address\":\"52:54:00:00:00:01\",\"mtu\":1500,\"max_packet_size\":1514,"                 \
    "\"ipv4_address\":\"192.168.64.2\",\"fds\":" fds "}}}"
#define NAMED(hold)                                                                                \
    "{\"parameters\":{\"interface\":{\"id\":\"i-1\",\"network_name\":\"shared\","                  \
    "\"mac_address\":\"52:54:00:00:00:01\",\"mtu\":1500,\"max_packet_size\":1514,"                 \
    "\"fds\":[],\"tap\":\"vt0.1\",\"hold_fd\":" hold "}}}"
#define NOT_FOUND                                                                                  \
    "{\"error\":\"com.github.nirs.vmnet-broker.NotFound\","                                        \
    "\"parameters\":{\"code\":5,\"message\":\"no network 'x' is defined\"}}"
#define EMPTY "{\"parameters\":{}}"

enum { CONNECTIONS = 4, ANSWERS = 4 };

struct answer {
    const char *text; /* NULL: hang up */
    int taps, others; /* descriptors to pass: open /dev/net/tun, open /dev/null */
};

struct script {
    struct answer answers[CONNECTIONS][ANSWERS];
};

/* ---- the played broker ---- */

static char dir[] = "/tmp/vmnet-broker-test-XXXXXX";
static char socket_path[64];

static int listen_here(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    unlink(socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static bool hear(int fd)
{
    char c;
    ssize_t n;
    while ((n = read(fd, &c, 1)) == 1 && c != '\0')
        ;
    return n == 1;
}

static void say(int fd, const struct answer *a)
{
    int fds[20];
    size_t n = 0;
    for (int i = 0; i < a->taps; i++)
        fds[n++] = open("/dev/net/tun", O_RDWR);
    for (int i = 0; i < a->others; i++)
        fds[n++] = open("/dev/null", O_RDWR);
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)a->text, strlen(a->text) + 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (n > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
    }
    (void)!sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n > 0)
        close(fds[--n]);
}

static int serve(int fd, const struct answer *answers)
{
    int heard = 0;
    for (int i = 0; i < ANSWERS && hear(fd); i++) {
        heard++;
        if (!answers[i].text)
            break;
        say(fd, &answers[i]);
    }
    close(fd);
    return heard;
}

static pid_t play(const struct script *script, int n_connections)
{
    int listener = listen_here();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int heard = 0;
        alarm(20);
        for (int i = 0; i < n_connections; i++)
            heard += serve(accept(listener, NULL, NULL), script->answers[i]);
        _exit(heard);
    }
    close(listener);
    return pid;
}

static int exit_status(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Each test is its own process: the library keeps one connection a process. */
static void in_own_process(void (*test)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20);
        test();
        _exit(0);
    }
    assert_int_equal(exit_status(pid), 0);
}

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #x,                            \
                    vmnet_broker_last_error());                                                    \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- acquire ---- */

static void check_acquire(void)
{
    vmnet_broker_return_t s = VMNET_BROKER_INTERNAL_ERROR;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    CHECK(net && s == VMNET_BROKER_SUCCESS);
    CHECK(strcmp(vmnet_broker_network_name(net), "shared") == 0);
    CHECK(strcmp(vmnet_broker_network_ipv4_subnet(net), "192.168.64.0/24") == 0);
    CHECK(!vmnet_broker_network_ipv6_prefix(net) && !vmnet_broker_network_ipv4_gateway(net));
    CHECK(vmnet_broker_network_mtu(net) == 1500);
    vmnet_broker_network_free(net);
    vmnet_broker_network_free(NULL);

    CHECK(!vmnet_broker_acquire_network("x", &s) && s == VMNET_BROKER_NOT_FOUND);
    CHECK(strcmp(vmnet_broker_last_error(), "no network 'x' is defined") == 0);
    CHECK(!vmnet_broker_acquire_network(NULL, &s) && s == VMNET_BROKER_INVALID_REQUEST);
    CHECK(!vmnet_broker_acquire_network("\xff", &s) && s == VMNET_BROKER_INVALID_REQUEST);
    CHECK(vmnet_broker_release_network("shared") == VMNET_BROKER_SUCCESS);
    CHECK(vmnet_broker_last_error()[0] == '\0');
}

static void an_acquire_gives_the_network_or_the_broker_s_words(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NOT_FOUND }, { EMPTY } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_acquire);
    assert_int_equal(exit_status(broker), 3);
}

static void check_two_attempts_fail(void)
{
    vmnet_broker_return_t s;
    CHECK(!vmnet_broker_acquire_network("shared", &s) && s == VMNET_BROKER_XPC_FAILURE);
}

static void a_broker_that_leaves_before_its_first_answer_is_asked_once_more(void **unused)
{
    (void)unused;
    static const struct script leaves_once = { { { { NULL } },
                                                 { { NETWORK }, { NOT_FOUND }, { EMPTY } } } };
    pid_t broker = play(&leaves_once, 2);
    in_own_process(check_acquire);
    assert_int_equal(exit_status(broker), 4);

    static const struct script leaves_always = { { { { NULL } }, { { NULL } } } };
    broker = play(&leaves_always, 2);
    in_own_process(check_two_attempts_fail);
    assert_int_equal(exit_status(broker), 2);
}

static void check_loss(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    CHECK(net);
    CHECK(!vmnet_broker_acquire_network("host", &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(!vmnet_broker_start_interface(net, NULL, &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(vmnet_broker_release_network("shared") == VMNET_BROKER_XPC_FAILURE);
    vmnet_broker_network_free(net);
    net = vmnet_broker_acquire_network("shared", &s);
    CHECK(net && s == VMNET_BROKER_SUCCESS);
    vmnet_broker_network_free(net);
}

static void losing_the_connection_is_heard_and_the_next_acquire_makes_a_new_one(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NULL } }, { { NETWORK } } } };
    pid_t broker = play(&s, 2);
    in_own_process(check_loss);
    assert_int_equal(exit_status(broker), 3);
}

static void check_mended(void)
{
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", NULL);
    CHECK(net);
    vmnet_broker_network_free(net);
    CHECK(vmnet_broker_release_network("shared") == VMNET_BROKER_SUCCESS);
    net = vmnet_broker_acquire_network("shared", NULL);
    CHECK(net);
    vmnet_broker_network_free(net);
}

static void a_connection_through_which_nothing_is_held_is_mended_silently(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { EMPTY }, { NULL } }, { { NETWORK } } } };
    pid_t broker = play(&s, 2);
    in_own_process(check_mended);
    assert_int_equal(exit_status(broker), 4);
}

/* ---- wrong answers ---- */

static const struct wrong {
    const char *what;
    struct answer answer;
} wrong_networks[] = {
    { "no network", { EMPTY } },
    { "no parameters", { "{}" } },
    { "a network that is text", { "{\"parameters\":{\"network\":\"shared\"}}" } },
    { "no mtu", { "{\"parameters\":{\"network\":{\"name\":\"a\",\"id\":\"b\",\"mode\":\"shared\","
                  "\"uplink\":\"ok\"}}}" } },
    { "an optional text that is a number",
      { "{\"parameters\":{\"network\":{\"name\":\"a\",\"id\":\"b\",\"mode\":\"shared\","
        "\"uplink\":\"ok\",\"mtu\":1500,\"ipv4_subnet\":7}}}" } },
    { "a descriptor where none belongs", { NETWORK, .others = 1 } },
    { "no JSON", { "hello" } },
    { "no object", { "[]" } },
    { "an error that is no text", { "{\"error\":5}" } },
    { "more to come", { "{\"continues\":true,\"parameters\":{}}" } },
}, wrong_interfaces[] = {
    { "no descriptor", { IFACE("[0]") } },
    { "one descriptor too many", { IFACE("[0]"), .taps = 2 } },
    { "too many to receive", { IFACE("[0]"), .taps = 18 } },
    { "two indexes for one queue", { IFACE("[0,1]"), .taps = 2 } },
    { "an index that does not exist", { IFACE("[1]"), .taps = 1 } },
    { "a negative index", { IFACE("[-1]"), .taps = 1 } },
    { "an index that is text", { IFACE("[\"0\"]"), .taps = 1 } },
    { "no indexes", { IFACE("null"), .taps = 1 } },
    { "a descriptor that is no TAP", { IFACE("[0]"), .others = 1 } },
    { "no interface", { EMPTY, .taps = 1 } },
};

static void check_wrong_network(void)
{
    vmnet_broker_return_t s;
    CHECK(!vmnet_broker_acquire_network("shared", &s));
    CHECK(s == VMNET_BROKER_INVALID_REPLY);
}

static void check_wrong_interface(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    CHECK(net);
    int before = count_fds();
    CHECK(!vmnet_broker_start_interface(net, NULL, &s));
    CHECK(s == VMNET_BROKER_INVALID_REPLY);
    CHECK(count_fds() <= before); /* less, when the connection was beyond repair */
    vmnet_broker_network_free(net);
}

static void wrong_answers_are_invalid_replies_and_leak_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(wrong_networks); i++) {
        struct script s = { { { wrong_networks[i].answer } } };
        pid_t broker = play(&s, 1);
        print_message("network: %s\n", wrong_networks[i].what);
        in_own_process(check_wrong_network);
        (void)exit_status(broker);
    }
    for (size_t i = 0; i < N_ELEMENTS(wrong_interfaces); i++) {
        struct script s = { { { { NETWORK }, wrong_interfaces[i].answer } } };
        pid_t broker = play(&s, 1);
        print_message("interface: %s\n", wrong_interfaces[i].what);
        in_own_process(check_wrong_interface);
        (void)exit_status(broker);
    }
}

/* ---- interfaces ---- */

static bool have_tun(void)
{
    AUTO_FD fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    return fd >= 0;
}

static void check_interface(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    vmnet_broker_interface_options o = VMNET_BROKER_INTERFACE_OPTIONS_INIT;
    o.name = "web";
    o.queues = 2;
    int before = count_fds();
    vmnet_broker_interface_ref iface = vmnet_broker_start_interface(net, &o, &s);
    CHECK(iface && s == VMNET_BROKER_SUCCESS);
    CHECK(strcmp(vmnet_broker_interface_mac_address(iface), "52:54:00:00:00:01") == 0);
    CHECK(vmnet_broker_interface_queues(iface) == 2);
    CHECK(vmnet_broker_interface_name(iface) == NULL);
    CHECK(count_fds() == before + 2);
    int fd = vmnet_broker_interface_take_fd(iface, 1);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(vmnet_broker_interface_take_fd(iface, 1) == -1);
    CHECK(vmnet_broker_interface_take_fd(iface, 2) == -1);
    vmnet_broker_interface_free(iface); /* closes the one that was not taken */
    CHECK(count_fds() == before + 1);
    close(fd);
    o.queues = 17;
    CHECK(!vmnet_broker_start_interface(net, &o, &s) && s == VMNET_BROKER_INVALID_REQUEST);
    vmnet_broker_network_free(net);
}

static void check_named_interface(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    vmnet_broker_interface_options o = VMNET_BROKER_INTERFACE_OPTIONS_INIT;
    o.by_name = 1;
    int before = count_fds();
    vmnet_broker_interface_ref iface = vmnet_broker_start_interface(net, &o, &s);
    CHECK(iface && s == VMNET_BROKER_SUCCESS);
    CHECK(strcmp(vmnet_broker_interface_tap(iface), "vt0.1") == 0);
    CHECK(vmnet_broker_interface_queues(iface) == 0);
    CHECK(vmnet_broker_interface_take_fd(iface, 0) == -1);
    CHECK(count_fds() == before + 1);
    vmnet_broker_interface_free(iface);
    CHECK(count_fds() == before);
    vmnet_broker_network_free(net);
}

static void an_interface_by_name_is_held_until_it_is_freed(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NAMED("0"), .others = 1 } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_named_interface);
    (void)exit_status(broker);
}

static void an_interface_owns_its_descriptors_until_they_are_taken(void **unused)
{
    (void)unused;
    if (!have_tun())
        skip();
    static const struct script s = { { { { NETWORK }, { IFACE("[1,0]"), .taps = 2 } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_interface);
    assert_int_equal(exit_status(broker), 2);
}

static void check_option_sizes(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    struct {
        vmnet_broker_interface_options known;
        const char *added; /* by a header of the future */
    } newer = { VMNET_BROKER_INTERFACE_OPTIONS_INIT, "x" };
    newer.known.size = sizeof newer;
    CHECK(!vmnet_broker_start_interface(net, &newer.known, &s));
    CHECK(s == VMNET_BROKER_INVALID_REQUEST);
    newer.added = NULL;
    CHECK(!vmnet_broker_start_interface(net, &newer.known, &s) && s == VMNET_BROKER_NOT_FOUND);
    newer.known.size = 0;
    CHECK(!vmnet_broker_start_interface(net, &newer.known, &s));
    CHECK(s == VMNET_BROKER_INVALID_REQUEST);
    vmnet_broker_network_free(net);
}

static void options_of_older_and_newer_headers_are_understood_or_refused(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NOT_FOUND } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_option_sizes);
    assert_int_equal(exit_status(broker), 2); /* what we refused was never sent */
}

/* ---- fork and threads ---- */

static void check_fork(void)
{
    vmnet_broker_return_t s;
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &s);
    CHECK(net && client_socket() >= 0);
    int inherited = client_socket();
    pid_t child = fork();
    if (child == 0) {
        alarm(5); /* not inherited */
        CHECK(client_socket() == -1);
        CHECK(fcntl(inherited, F_GETFD) < 0 && errno == EBADF);
        CHECK(!vmnet_broker_start_interface(net, NULL, &s) && s == VMNET_BROKER_XPC_FAILURE);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(!vmnet_broker_acquire_network("x", &s) && s == VMNET_BROKER_NOT_FOUND);
    vmnet_broker_network_free(net);
}

static void a_child_after_fork_leaves_the_parent_s_connection_alone(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NOT_FOUND } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_fork);
    assert_int_equal(exit_status(broker), 2);
}

static void *acquire_in_thread(void *arg)
{
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", NULL);
    CHECK(net);
    vmnet_broker_network_free(net);
    return arg;
}

static int silent_listener = -1;

static void check_fork_during_call(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire_in_thread, NULL) == 0);
    int broker = accept(silent_listener, NULL, NULL);
    CHECK(broker >= 0 && hear(broker)); /* now it waits for an answer that does not come */
    pid_t child = fork();
    if (child == 0) {
        alarm(5);                     /* not inherited */
        CHECK(client_socket() == -1); /* and does not wait for the thread it lacks */
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    _exit(0);
}

static void a_fork_while_another_thread_waits_for_an_answer_does_not_hang(void **unused)
{
    (void)unused;
    silent_listener = listen_here();
    in_own_process(check_fork_during_call);
    close(silent_listener);
}

static void check_threads(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, acquire_in_thread, NULL) == 0);
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void threads_share_one_connection(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK }, { NETWORK }, { NETWORK }, { NETWORK } } } };
    pid_t broker = play(&s, 1);
    in_own_process(check_threads);
    assert_int_equal(exit_status(broker), 4);
}

/* ---- who answers, and who is started ---- */

static void check_stranger(void)
{
    vmnet_broker_return_t s;
    CHECK(seteuid(4000) == 0); /* and the broker is served by another ordinary user */
    CHECK(!vmnet_broker_acquire_network("shared", &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(strstr(vmnet_broker_last_error(), "uid 4001"));
}

static void a_socket_that_a_stranger_serves_is_refused(void **unused)
{
    (void)unused;
    if (geteuid() != 0)
        skip();
    assert_int_equal(seteuid(4001), 0); /* listen() is when the kernel notes who serves */
    chmod(dir, 0777);
    assert_int_equal(seteuid(0), 0);
    chmod(dir, 0777);
    assert_int_equal(seteuid(4001), 0);
    int listener = listen_here();
    chmod(socket_path, 0777);
    assert_int_equal(seteuid(0), 0);
    in_own_process(check_stranger);
    close(listener);
    unlink(socket_path);
}

static char program[96], fake_socket[96];

static void write_program(const char *script)
{
    snprintf(program, sizeof program, "%s/program", dir);
    FILE *f = fopen(program, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    chmod(program, 0755);
    setenv("VMNET_BROKER_PROGRAM", program, 1);
}

static void check_start_fails(void)
{
    vmnet_broker_return_t s;
    unsetenv("VMNET_BROKER_SOCKET");
    setenv("XDG_RUNTIME_DIR", dir, 1);
    client_choose(ENDPOINT_USER);
    int before = count_fds();
    CHECK(!vmnet_broker_acquire_network("shared", &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(strcmp(vmnet_broker_last_error(), "no dnsmasq --user --background") == 0);
    signal(SIGCHLD, SIG_IGN); /* then nobody can know how it ended, but the socket is silent */
    CHECK(!vmnet_broker_acquire_network("shared", &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(strstr(vmnet_broker_last_error(), "no broker is running"));
    CHECK(count_fds() == before);
}

static void a_broker_that_cannot_start_says_why(void **unused)
{
    (void)unused;
    write_program("echo first a warning >&2; echo no dnsmasq \"$@\" >&2; exit 1");
    in_own_process(check_start_fails);
}

static void check_start_works(void)
{
    unsetenv("VMNET_BROKER_SOCKET");
    setenv("XDG_RUNTIME_DIR", dir, 1);
    client_choose(ENDPOINT_USER);
    vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", NULL);
    CHECK(net);
    vmnet_broker_network_free(net);
}

static void a_missing_broker_is_started(void **unused)
{
    (void)unused;
    static const struct script s = { { { { NETWORK } } } };
    char command[256];
    snprintf(fake_socket, sizeof fake_socket, "%s/vmnet-broker", dir);
    mkdir(fake_socket, 0700);
    pid_t broker = play(&s, 1);
    /* "Starting" it is to put the socket of one that runs already where it belongs. */
    snprintf(command, sizeof command, "mv %s %s/broker.sock", socket_path, fake_socket);
    write_program(command);
    in_own_process(check_start_works);
    assert_int_equal(exit_status(broker), 1);
}

static void check_explicit_is_not_started(void)
{
    vmnet_broker_return_t s;
    CHECK(!vmnet_broker_acquire_network("shared", &s) && s == VMNET_BROKER_XPC_FAILURE);
    CHECK(strstr(vmnet_broker_last_error(), socket_path));
}

static void an_explicit_socket_starts_nothing(void **unused)
{
    (void)unused;
    char mark[96];
    snprintf(mark, sizeof mark, "%s/mark", dir);
    write_program("touch $(dirname $0)/mark");
    unlink(socket_path);
    in_own_process(check_explicit_is_not_started);
    assert_int_equal(access(mark, F_OK), -1);
}

static int make_dir(void **unused)
{
    (void)unused;
    if (!mkdtemp(dir))
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/broker.sock", dir);
    return setenv("VMNET_BROKER_SOCKET", socket_path, 1);
}

static int remove_dir(void **unused)
{
    (void)unused;
    char path[128];
    static const char *const names[] = { "broker.sock", "program", "vmnet-broker/broker.sock",
                                         "vmnet-broker" };
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acquire_gives_the_network_or_the_broker_s_words),
        cmocka_unit_test(a_broker_that_leaves_before_its_first_answer_is_asked_once_more),
        cmocka_unit_test(losing_the_connection_is_heard_and_the_next_acquire_makes_a_new_one),
        cmocka_unit_test(a_connection_through_which_nothing_is_held_is_mended_silently),
        cmocka_unit_test(wrong_answers_are_invalid_replies_and_leak_nothing),
        cmocka_unit_test(an_interface_owns_its_descriptors_until_they_are_taken),
        cmocka_unit_test(an_interface_by_name_is_held_until_it_is_freed),
        cmocka_unit_test(options_of_older_and_newer_headers_are_understood_or_refused),
        cmocka_unit_test(a_child_after_fork_leaves_the_parent_s_connection_alone),
        cmocka_unit_test(a_fork_while_another_thread_waits_for_an_answer_does_not_hang),
        cmocka_unit_test(threads_share_one_connection),
        cmocka_unit_test(a_socket_that_a_stranger_serves_is_refused),
        cmocka_unit_test(a_broker_that_cannot_start_says_why),
        cmocka_unit_test(a_missing_broker_is_started),
        cmocka_unit_test(an_explicit_socket_starts_nothing),
    };
    return cmocka_run_group_tests_name("client", tests, make_dir, remove_dir);
}
