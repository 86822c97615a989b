/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - gives a fuzz target every file of the directories in its arguments.
 *
 * Where there is no libFuzzer: so seeds and past crashes are tests of every build, with
 * any compiler and under any sanitizer.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20), *exact = NULL;
    size_t size = file && data ? fread(data, 1, 1 << 20, file) : 0;
    int r = file && data && !ferror(file) ? 0 : -1;

    if (r == 0)
        exact = malloc(size + 1);
    if (exact) {
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    if (file)
        (void)fclose(file);
    return r;
}

/* Returns how many files, or -1. */
static int replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int n = 0;

    while (dir && n >= 0 && (entry = readdir(dir))) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        (void)printf("%s\n", entry->d_name);
        (void)fflush(stdout); /* the last one printed is the one that crashed */
        n = replay_file(name) < 0 ? -1 : n + 1;
    }
    if (dir)
        (void)closedir(dir);
    return dir ? n : -1;
}

int main(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++)
        if (replay_directory(argv[i]) <= 0) {
            (void)printf("%s: no seed can be read there\n", argv[i]);
            return 1;
        }
    return 0;
}
