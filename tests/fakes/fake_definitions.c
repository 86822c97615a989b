/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_definitions.h"

#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t find_file(const struct fake_definitions *fake, const char *name)
{
    size_t i = 0;
    while (i < fake->n && strcmp(fake->files[i].name, name) != 0)
        i++;
    return i;
}

static int stamp(void *self, const char *name, struct file_stamp *ret)
{
    const struct fake_definitions *fake = self;
    size_t i = find_file(fake, name);
    if (i == fake->n || !fake->files[i].text)
        return -ENOENT;
    *ret = (struct file_stamp){ .ino = i + 1, .mtime_sec = fake->files[i].edition };
    return 0;
}

static int find(void *self, const char *name, struct definition **ret, char *file,
                struct complaints *out)
{
    struct fake_definitions *fake = self;
    size_t i = find_file(fake, name);
    struct definition *definition;

    fake->reads++;
    if (i == fake->n || !fake->files[i].text)
        return definition_builtin(name, ret);
    (void)sprintf(file, "/fake/%s.json", name);
    int r = definition_parse(name, file, fake->files[i].text, strlen(fake->files[i].text),
                             &definition, out);
    if (r < 0)
        return r;
    (void)stamp(fake, name, &definition->stamp);
    *ret = definition;
    return 0;
}

static int names(void *self, struct def_names *ret)
{
    const struct fake_definitions *fake = self;
    ret->names = calloc(fake->n + 1, sizeof *ret->names);
    ret->n = 0;
    if (!ret->names)
        return -ENOMEM;
    for (size_t i = 0; i < fake->n; i++)
        if (fake->files[i].text)
            (void)strcpy(ret->names[ret->n++], fake->files[i].name);
    return 0;
}

void fake_definitions_init(struct fake_definitions *fake)
{
    static const struct definition_source_ops ops = { find, stamp, names };
    *fake = (struct fake_definitions){
        .source = { .ops = &ops, .self = fake, .where = "/fake/NAME.json" },
    };
}

void fake_definitions_write(struct fake_definitions *fake, const char *name, const char *text)
{
    size_t i = find_file(fake, name);
    assert(i < N_ELEMENTS(fake->files));
    if (i == fake->n)
        fake->n++;
    fake->files[i].name = name;
    fake->files[i].text = text;
    fake->files[i].edition++;
}
