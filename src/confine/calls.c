/* SPDX-License-Identifier: Apache-2.0 */
/* calls.c - the lists that several programs share. Where old and new C libraries or
 * architectures of 32 bits do the same thing by different calls, all of them are here. */
#include "confine.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/ioctl.h>

const struct call_rule calls_c_library[] = {
    /* memory */
    CALL("brk"), CALL("madvise"), CALL("mmap"), CALL("mmap2"), CALL("mprotect"), CALL("mremap"),
    CALL("munmap"), CALL("map_shadow_stack"), CALL("mseal"),
    CALL_IF("prctl", 0, WHOLE, PR_SET_VMA), /* names for mappings */
    CALL("sysinfo"),                        /* qsort() asks how much there is */
    /* time */
    CALL("clock_getres"), CALL("clock_gettime"), CALL("clock_gettime64"), CALL("clock_nanosleep"),
    CALL("clock_nanosleep_time64"), CALL("gettimeofday"), CALL("nanosleep"), CALL("time"),
    /* signals, locks, itself */
    CALL("futex"), CALL("futex_time64"), CALL("futex_waitv"), CALL("getegid"), CALL("geteuid"),
    CALL("getgid"), CALL("getpid"), CALL("getrandom"), CALL("gettid"), CALL("getuid"),
    CALL("getrlimit"), CALL_IF("prlimit64", 2, ~0ull, 0), /* asks, sets nothing */
    CALL("membarrier"), CALL("riscv_hwprobe"), CALL("restart_syscall"), CALL("rseq"),
    CALL("rt_sigaction"), CALL("rt_sigprocmask"), CALL("rt_sigreturn"), CALL("sched_getaffinity"),
    CALL("sched_yield"), CALL("set_robust_list"), CALL("sigreturn"), CALL("ugetrlimit"),
    CALL("uname"),
    /* descriptors that are open */
    CALL("close"), CALL("close_range"), CALL("dup"), CALL("dup3"), CALL("fcntl"), CALL("fcntl64"),
    CALL("fstat"), CALL("fstat64"),
    CALL_IF("ioctl", 1, WHOLE, TCGETS), /* stdio: is it a terminal? */
#ifdef TCGETS2
    CALL_IF("ioctl", 1, WHOLE, TCGETS2),
#endif
    CALL("_llseek"), CALL("lseek"), CALL("poll"), CALL("ppoll"), CALL("ppoll_time64"), CALL("read"),
    CALL("readv"), CALL("write"), CALL("writev"),
    /* the end */
    CALL("exit"), CALL("exit_group"), CALLS_END
};

/* What the sanitizers do beside us: look at memory and limits, write their reports, and at
 * the end search for leaks from a process of their own that traces us. */
const struct call_rule calls_sanitizers[] = {
#if SANITIZED
    CALL("arch_prctl"),
    CALL("brk"),
    CALL("clock_gettime"),
    CALL("clone"),
    CALL("close"),
    CALL("dup2"),
    CALL("exit_group"),
    CALL("fcntl"),
    CALL("fstat"),
    CALL("futex"),
    CALL("getcwd"),
    CALL("getdents"),
    CALL("getdents64"),
    CALL("getpid"),
    CALL("getppid"),
    CALL("getrandom"),
    CALL("getrlimit"),
    CALL("gettid"),
    CALL("lseek"),
    CALL("madvise"),
    CALL("mincore"),
    CALL("mmap"),
    CALL("mprotect"),
    CALL("munmap"),
    CALL("newfstatat"),
    CALL("openat"),
    CALL("pipe"),
    CALL("pipe2"),
    CALL("prctl"),
    CALL("prlimit64"),
    CALL("process_vm_readv"),
    CALL("ptrace"),
    CALL("read"),
    CALL("readlink"),
    CALL("readlinkat"),
    CALL("rt_sigaction"),
    CALL("rt_sigprocmask"),
    CALL("sched_getaffinity"),
    CALL("sched_yield"),
    CALL("sigaltstack"),
    CALL("stat"),
    CALL("uname"),
    CALL("wait4"),
    CALL("write"),
#endif
    CALLS_END
};

const struct call_rule calls_event_loop[] = { CALL("epoll_create1"),
                                              CALL("epoll_ctl"),
                                              CALL("epoll_pwait"),
                                              CALL("epoll_pwait2"),
                                              CALL("epoll_wait"),
                                              CALL("eventfd2"),
                                              CALL("signalfd4"),
                                              CALL("timerfd_create"),
                                              CALL("timerfd_gettime"),
                                              CALL("timerfd_gettime64"),
                                              CALL("timerfd_settime"),
                                              CALL("timerfd_settime64"),
                                              CALLS_END };

#ifdef __s390__ /* the stack comes first there */
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

/* clone3() hides its flags in memory, where no filter can see them; without it the C
 * library takes clone(). */
const struct call_rule calls_thread[] = { CALL_IF("clone", CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD),
                                          CALL_FAILS("clone3", ENOSYS), CALLS_END };

/* What comes after opening, fstat() above all, is in calls_c_library. */
const struct call_rule calls_read_files[] = { CALL("access"),
                                              CALL("faccessat"),
                                              CALL("faccessat2"),
                                              CALL("fstatat64"),
                                              CALL("getdents64"),
                                              CALL("lstat"),
                                              CALL("newfstatat"),
                                              CALL_IF("open", 1, WRITING, O_RDONLY),
                                              CALL_IF("openat", 2, WRITING, O_RDONLY),
                                              CALL("pread64"),
                                              CALL("readlink"),
                                              CALL("readlinkat"),
                                              CALL("stat"),
                                              CALL("statx"),
                                              CALLS_END };

/* Not with O_RDONLY | O_TRUNC, which changes what Landlock takes for being read. */
const struct call_rule calls_write_files[] = { CALL_IF("open", 1, O_ACCMODE, O_WRONLY),
                                               CALL_IF("open", 1, O_ACCMODE, O_RDWR),
                                               CALL_IF("openat", 2, O_ACCMODE, O_WRONLY),
                                               CALL_IF("openat", 2, O_ACCMODE, O_RDWR),
                                               CALL("fdatasync"),
                                               CALL("flock"),
                                               CALL("fsync"),
                                               CALL("ftruncate"),
                                               CALL("ftruncate64"),
                                               CALL("pwrite64"),
                                               CALL("rename"),
                                               CALL("renameat"),
                                               CALL("renameat2"),
                                               CALL("unlink"),
                                               CALL("unlinkat"),
                                               CALLS_END };

const struct call_rule calls_sockets[] = {
    CALL("bind"),    CALL("getpeername"), CALL("getsockname"), CALL("getsockopt"),
    CALL("recv"),    CALL("recvfrom"),    CALL("recvmsg"),     CALL("send"),
    CALL("sendmsg"), CALL("sendto"),      CALL("setsockopt"),  CALLS_END
};

/* Not mount(), unshare() and the like: that is how pasta and slirp4netns confine
 * themselves. */
const struct call_rule calls_never[] = {
    /* other processes' memory and descriptors */
    CALL("pidfd_getfd"), CALL("process_madvise"), CALL("process_vm_writev"), CALL("userfaultfd"),
#if !SANITIZED
    CALL("process_vm_readv"), CALL("ptrace"),
#endif
    /* large and often broken parts of the kernel */
    CALL("bpf"), CALL("fanotify_init"), CALL("io_uring_enter"), CALL("io_uring_register"),
    CALL("io_uring_setup"), CALL("perf_event_open"), CALL("vmsplice"),
    /* keys */
    CALL("add_key"), CALL("keyctl"), CALL("request_key"),
    /* the machine */
    CALL("acct"), CALL("adjtimex"), CALL("clock_adjtime"), CALL("clock_settime"),
    CALL("delete_module"), CALL("finit_module"), CALL("init_module"), CALL("ioperm"), CALL("iopl"),
    CALL("kexec_file_load"), CALL("kexec_load"), CALL("lookup_dcookie"), CALL("open_by_handle_at"),
    CALL("quotactl"), CALL("reboot"), CALL("settimeofday"), CALL("swapoff"), CALL("swapon"),
    CALL("syslog"), CALLS_END
};
