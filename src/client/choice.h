/* SPDX-License-Identifier: Apache-2.0 */
/* choice.h - which broker was asked for on the command line; endpoint.h says what that means. */
#pragma once

enum endpoint_choice {
    ENDPOINT_AUTO,
    ENDPOINT_USER,   /* `vmnet-brokerctl --user`; the environment is not asked */
    ENDPOINT_SYSTEM, /* `--system`                                             */
};
