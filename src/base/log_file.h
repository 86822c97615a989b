/* SPDX-License-Identifier: Apache-2.0 */
/* log_file.h - a log file of our own, which no journal keeps short.
 *
 * Others write to it as well (dnsmasq, the uplink's engine), and whoever makes VMs come and
 * go can make them do so: each daemon looks from time to time, and begins it afresh. It is
 * cut where it lies, since the others go on writing to the same file.
 */
#pragma once

#define LOG_FILE_MAX (4u << 20) /* bytes: some weeks of an ordinary life */

/* Standard error is such a file. Looks at once. */
void log_file_begin(void);
/* Nothing happens where log_file_begin() was not called. */
void log_file_look(void);
