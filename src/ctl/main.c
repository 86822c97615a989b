/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vmnet-brokerctl on Linux: its verbs. */
#include "command_line.h"
#include "mem.h"

static const struct verb verbs[] = {
    { "run", cmd_run,
      "--network NAME[,name=VM][,mac=MAC][,id=ID][,queues=N][,isolated] [--network ...]\n"
      "                           [--name VM] [-p [ADDRESS:]HOSTPORT:VMPORT[/udp] ...]\n"
      "                           [--in-namespace] [--] COMMAND [ARGUMENT ...]",
      "run a virtual machine with interfaces on networks" },
    { "acquire", cmd_acquire, "NAME [-- COMMAND [ARGUMENT ...]]",
      "hold a network, until ended or while COMMAND runs" },
    { "exec", cmd_exec, "[--] COMMAND [ARGUMENT ...]",
      "run a command inside the networks' namespace" },
    { "list", cmd_list, "", "list the networks that exist" },
    { "status", cmd_status, "[NAME]", "show clients, interfaces and the uplink" },
    { "leases", cmd_leases, "[NAME]", "show who has which address" },
    { "forward", cmd_forward,
      "add [--save] [--config-dir DIR] NETWORK [ADDRESS:]HOSTPORT:VM:VMPORT[/udp]\n"
      "       vmnet-brokerctl forward remove [--save] [--config-dir DIR] NETWORK "
      "[ADDRESS:]HOSTPORT[/udp]\n"
      "       vmnet-brokerctl forward list [NETWORK]",
      "lead ports of the host to virtual machines" },
    DEFINITION_VERBS,
    { "monitor", cmd_monitor, "", "show what happens, as it happens" },
    { "stop", cmd_stop, "", "ask an unused broker to exit" },
    { "doctor", cmd_doctor, "", "say what this machine lacks, and the remedy" },
};

int main(int argc, char **argv)
{
    static const struct program program = { verbs, N_ELEMENTS(verbs), .instances = true };
    return program_run(&program, argc, argv);
}
