/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_doctor.c - says what this machine lacks, and the remedy.
 *
 * It tries instead of guessing: makes a namespace and uses it, opens the TAP device, asks
 * each program for its version. Only when a thing is refused it looks for who refuses.
 * No broker is needed, none is started, and nothing stays behind.
 */
#include "doctor.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>

DEFINE_AUTO(json_t *, json_decref);

static const char *const result_names[] = {
    [FINE] = "ok", [WARNING] = "warning", [MISSING] = "missing"
};

void doctor_found(struct exam *e, enum result result, const char *fmt, ...)
{
    va_list ap;
    e->finding.result = result;
    va_start(ap, fmt);
    (void)vsnprintf(e->finding.what, sizeof e->finding.what, fmt, ap);
    va_end(ap);
}

void doctor_remedy(struct exam *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->finding.remedy, sizeof e->finding.remedy, fmt, ap);
    va_end(ap);
}

static const struct check {
    const char *name;
    void (*run)(struct exam *e);
    bool of_user; /* a system instance has no use for it */
} checks[] = {
    { "namespaces", doctor_namespaces }, { "tun", doctor_tun },
    { "sandbox", doctor_sandbox },       { "vmnet-broker", doctor_broker_program },
    { "dnsmasq", doctor_dnsmasq },       { "uplink", doctor_engine },
    { "wmem_max", doctor_wmem },         { "runtime", doctor_runtime, true },
    { "state", doctor_state, true },     { "system", doctor_system },
    { "broker", doctor_broker },
};

static void print_finding(const struct check *check, const struct finding *f)
{
    printf("%-8s  %-13s %s\n", result_names[f->result], check->name, f->what);
    if (f->remedy[0])
        printf("          %-13s remedy: %s\n", "", f->remedy);
}

static int note_finding(json_t *list, const struct check *check, const struct finding *f)
{
    return json_array_append_new(list,
                                 json_pack("{s:s, s:s, s:s, s:s*}", "check", check->name, "result",
                                           result_names[f->result], "message", f->what, "remedy",
                                           f->remedy[0] ? f->remedy : NULL));
}

int cmd_doctor(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;
    AUTO(json_decref) json_t *list = json_array();
    enum result worst = FINE;
    for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
        struct exam exam = { .ctl = ctl };
        if (checks[i].of_user && ctl->choice == ENDPOINT_SYSTEM)
            continue;
        checks[i].run(&exam);
        if (exam.finding.result > worst)
            worst = exam.finding.result;
        if (!ctl->json)
            print_finding(&checks[i], &exam.finding);
        else if (note_finding(list, &checks[i], &exam.finding) < 0)
            return EXIT_FAILED;
    }
    if (ctl->json && print_json(list) != EXIT_OK)
        return EXIT_FAILED;
    return worst == MISSING ? EXIT_FAILED : EXIT_OK;
}
