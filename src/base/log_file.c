/* SPDX-License-Identifier: Apache-2.0 */
#include "log_file.h"

#include "log.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours;

void log_file_begin(void)
{
    is_ours = true;
    log_file_look();
}

void log_file_look(void)
{
    struct stat st;

    if (!is_ours || fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size <= LOG_FILE_MAX || ftruncate(STDERR_FILENO, 0) < 0)
        return;
    log_warning("this log had more than %u bytes: begun afresh", LOG_FILE_MAX);
}
