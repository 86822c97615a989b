/* SPDX-License-Identifier: Apache-2.0 */
/* packet.h - one packet with descriptors, over a socket pair of our own.
 *
 * For questions that wait for their answer. Were one of the two lost, the next question would
 * get this one's answer: so a moment without memory is waited out.
 */
#pragma once
#include <stddef.h>

#define PACKET_FDS 3 /* at most */

/* From now on who waits there waits for some seconds at most, and gets -EAGAIN: the other end has
 * been stopped. 0 or a negative errno. */
int packet_set_patience(int sock);

/* 0 or a negative errno. */
int packet_send(int sock, void *data, size_t len, const int *fds, size_t n_fds);
/* A whole packet or an error; -EPIPE when the other end has gone. fds has room for
 * PACKET_FDS, of which *ret_n came, close-on-exec and the caller's, also with -EPROTO. */
int packet_receive(int sock, void *data, size_t len, int *fds, size_t *ret_n);
