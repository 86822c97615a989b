/* SPDX-License-Identifier: Apache-2.0 */
/* background.h - run on, detached from whoever started us.
 *
 * A daemon started on demand must not die with its first client's process
 * group, terminal or control group, nor inherit its descriptors, signal mask or
 * working directory. background_detach() forks twice; the original process waits
 * until the daemon says that it is ready, or why it is not, and exits with that
 * answer - so that "the command returned" means "the socket answers".
 */
#pragma once

/* Returns 0 in the daemon, with *ret_ready to be passed to one of the two below
 * exactly once; the original process never returns from this call. Before the
 * fork, a negative errno. Standard input and output become /dev/null, standard
 * error becomes log_fd (borrowed), other descriptors above 2 are closed except keep
 * (-1: none); new session, working directory /, umask 077, default signals. */
int background_detach(int log_fd, int keep, int *ret_ready);

/* The waiting process exits 0. */
void background_ready(int ready);
/* The waiting process prints why on standard error and exits 1. */
void background_failed(int ready, const char *why);
