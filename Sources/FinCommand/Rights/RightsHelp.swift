extension RightsCommand {
  static let help = HelpText(
    usage: ["fin rights [--json] [--no-color]"],
    examples: """
      fin rights                      what this user sees, and what is hidden
      sudo fin rights                 the same for root
      """,
    details: """
      Takes a snapshot and counts what it shows and what it does not. Nothing is inferred from the list of \
      capabilities alone: a container, a security module or a mount option of /proc may hide what a capability allows.

        processes   whose descriptors can be read, so that their sockets have
                    an owner. Those of other users take CAP_SYS_PTRACE and
                    CAP_DAC_READ_SEARCH
        owners      sockets that a process holds, by whether it is known
        networks    network namespaces (containers). Entering the other ones
                    takes CAP_SYS_ADMIN, and CAP_SYS_PTRACE to open them
        fin kill    takes CAP_NET_ADMIN where the socket is
        one pass    a BPF program that lists all descriptors at once: faster,
                    with the same result. It takes CAP_BPF and CAP_PERFMON

      The sockets of the own network namespace, their states and their queues take no right at all.
      """,
    statuses: """
      0    everything is seen
      1    something is hidden
      64   the command was not understood
      71   the kernel could not be queried
      """)
}
