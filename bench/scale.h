/* SPDX-License-Identifier: Apache-2.0 */
/* scale.h - many networks and clients: what an Acquire costs then, and what the daemons weigh.
 *
 * 1,000 networks are defined ("net0" ...: bench/run writes the files); 1,000 clients of four
 * other users come, and 100 of these networks are active because some of them hold these.
 */
#pragma once

void measure_scale(const char *broker_path);
