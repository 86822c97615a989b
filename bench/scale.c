/* SPDX-License-Identifier: Apache-2.0 */
#include "scale.h"
#include "client.h"
#include "crowd.h"
#include "measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USERS      4
#define FIRST_UID  5100
#define SETTLE_SEC 5 /* what has just happened is written down and looked at once more */
#define QUIET_SEC  10

/* What /proc/PID/FILE says behind `word`, a number; -1: nothing. */
static long number_in(int pid, const char *file, const char *word)
{
    char path[300], line[256];
    long value = -1;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    FILE *in = fopen(path, "re");
    while (in && value < 0 && fgets(line, sizeof line, in))
        if (strncmp(line, word, strlen(word)) == 0)
            value = atol(line + strlen(word));
    if (in)
        fclose(in);
    return value;
}

/* The one process of that name: bench/run has process numbers of its own. 0: none. */
static int find_process(const char *name)
{
    DIR *proc = opendir("/proc");
    int found = 0;
    for (struct dirent *e; proc && found == 0 && (e = readdir(proc));) {
        char path[64], comm[64] = "";
        int pid = atoi(e->d_name);
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *in = pid > 0 ? fopen(path, "re") : NULL;
        if (in && fgets(comm, sizeof comm, in)) {
            comm[strcspn(comm, "\n")] = '\0';
            found = strcmp(comm, name) == 0 ? pid : 0;
        }
        if (in)
            fclose(in);
    }
    if (proc)
        closedir(proc);
    return found;
}

static void report_processes(const char *when)
{
    static const char *const names[] = { "vmnet-broker", "vmnet-netd" };
    int pid[2];
    long before[2];
    sleep(SETTLE_SEC);
    for (size_t i = 0; i < 2; i++) {
        pid[i] = find_process(names[i]);
        before[i] = number_in(pid[i], "status", "voluntary_ctxt_switches:");
    }
    sleep(QUIET_SEC);
    for (size_t i = 0; i < 2; i++)
        printf("%-14s %-22s %6.1f MB resident, %5.1f MB of its own, woke up %ld times in %d s\n",
               names[i], when, (double)number_in(pid[i], "status", "VmRSS:") / 1024,
               (double)number_in(pid[i], "smaps_rollup", "Pss_Anon:") / 1024,
               number_in(pid[i], "status", "voluntary_ctxt_switches:") - before[i], QUIET_SEC);
    fflush(stdout);
}

void measure_scale(const char *broker_path)
{
    struct series empty = { 0 }, full = { 0 };
    int sock = client_connect(broker_path);
    int crowds[USERS];
    report_processes("with one network");
    for (size_t i = 0; i < ROUNDS; i++) {
        series_add(&empty, client_polite_median(sock));
        for (unsigned k = 0; k < USERS; k++)
            crowds[k] = crowd_start(broker_path, CROWD_USING, FIRST_UID + k);
        if (i == 0)
            report_processes("with 101, 1,000 clients");
        series_add(&full, client_polite_median(sock));
        for (unsigned k = 0; k < USERS; k++)
            crowd_end(crowds[k]);
        sleep(3); /* until their networks have gone */
    }
    report_processes("with one again");
    report_ratio("acquire with 100 networks and 1,000 clients", "us", &full, &empty, "<= 2.0");
    close(sock);
}
