/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_file.h"

#include "file.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME           "memory.json"
#define SIZE_MAX_BYTES (64u << 20) /* MEMORY_NETWORKS_MAX full networks are less */
#define DELAY_USEC     UINT64_C(50000)

struct memory_file {
    sd_event *event;
    int dirfd;
    struct memory *memory;
    sd_event_source *timer;
    bool dirty, failing;
};

static void load(struct memory_file *file)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    struct memory_loss loss;

    int r = file_read(file->dirfd, NAME, SIZE_MAX_BYTES, &text, &len);
    if (r < 0) {
        if (r != -ENOENT)
            (void)log_failure(r, "cannot read " NAME ", starting without memory of subnets and "
                                 "addresses");
        return;
    }
    memory_parse(file->memory, text, len, &loss);
    if (loss.count > 0)
        log_error(NAME ": %u entries cannot be used and are forgotten, the first: %s", loss.count,
                  loss.first);
}

/* Says once that it does not work, and once that it does again. */
static void save(struct memory_file *file)
{
    AUTO_FREE char *text = memory_format(file->memory);
    int r = text ? file_replace(file->dirfd, NAME, text, strlen(text), 0600) : -ENOMEM;
    if (r < 0 && !file->failing)
        (void)log_failure(r, "cannot write " NAME "; going on, but addresses given now will be "
                             "forgotten with this broker");
    if (r == 0 && file->failing)
        log_info(NAME " can be written again");
    file->failing = r < 0;
    file->dirty = r < 0; /* tried again with the next change */
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    save(arg);
    return 0;
}

void memory_file_changed(struct memory_file *file)
{
    int enabled = SD_EVENT_OFF;
    if (!file)
        return;
    file->dirty = true;
    if (sd_event_source_get_enabled(file->timer, &enabled) > 0)
        return;
    (void)sd_event_source_set_time_relative(file->timer, DELAY_USEC);
    (void)sd_event_source_set_enabled(file->timer, SD_EVENT_ONESHOT);
}

int memory_file_open(sd_event *event, int dirfd, struct memory *memory, struct memory_file **ret)
{
    struct memory_file *file = calloc(1, sizeof *file);
    if (!file)
        return -ENOMEM;
    file->event = event;
    file->dirfd = dirfd;
    file->memory = memory;
    int r = sd_event_add_time_relative(event, &file->timer, CLOCK_MONOTONIC, DELAY_USEC, 0,
                                       on_timer, file);
    if (r >= 0)
        r = sd_event_source_set_enabled(file->timer, SD_EVENT_OFF);
    if (r < 0) {
        (void)sd_event_source_disable_unref(file->timer);
        free(file);
        return r;
    }
    load(file);
    *ret = file;
    return 0;
}

void memory_file_close(struct memory_file *file)
{
    if (!file)
        return;
    if (file->dirty)
        save(file);
    (void)sd_event_source_disable_unref(file->timer);
    free(file);
}
