/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_pipe.c - pipes for splice(), lent for as long as they hold something.
 *
 * A flow whose receiver takes all at once needs its pipe for a moment only, so that a
 * thousand idle flows share the few that are kept here. The kernel counts pipes' pages by
 * user, and gives somebody who has many only small ones.
 */
#include "forwarder_part.h"

#include "fd.h"

#include <fcntl.h>
#include <stdlib.h>

#define PIPES_KEPT 16
#define PIPE_SIZE  (256 << 10) /* 64 KiB, the default, has four fifths of the speed */

static struct pipe *kept;
static unsigned n_kept;

static struct pipe *pipe_new(void)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);
    int ends[2], size;

    if (!pipe)
        return NULL;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(pipe);
        return NULL;
    }
    size = fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    if (size < 0)
        size = fcntl(ends[1], F_GETPIPE_SZ);
    *pipe = (struct pipe){ .in = ends[1], .out = ends[0], .size = size > 0 ? (size_t)size : 4096 };
    return pipe;
}

struct pipe *pipe_take(void)
{
    struct pipe *pipe = kept;

    if (!pipe)
        return pipe_new();
    kept = pipe->next;
    n_kept--;
    pipe->next = NULL;
    return pipe;
}

void pipe_give(struct pipe *pipe, bool empty)
{
    if (!pipe)
        return;
    if (empty && n_kept < PIPES_KEPT) {
        pipe->next = kept;
        kept = pipe;
        n_kept++;
        return;
    }
    fd_closep(&pipe->in);
    fd_closep(&pipe->out);
    free(pipe);
}
