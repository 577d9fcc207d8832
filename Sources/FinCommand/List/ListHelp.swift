import FinTerminal

extension ListCommand {
  static let help = HelpText(
    usage: ["fin list [PID|NAME …] [OPTIONS]"],
    examples: """
      fin list --state close-wait --sort since     not closed, the oldest first
      fin list nginx 812                           of all nginx, and process 812
      fin list --port 443 --fields state,remote,idle,owner
      fin list --address 10.0.0.0/8 --json
      """,
    details: """
      Lists the TCP, UDP and MPTCP sockets of every program, in every network namespace that may be entered. Sockets \
      without a descriptor are included: connections that wait for accept, connections that their program has \
      closed, and TIME-WAIT entries. So are descriptors whose socket is in no table of the kernel, because the \
      connection was reset or refused, or never made. Their state is shown as DETACHED; other tools do not show \
      them.

      Sockets of other kinds, such as packet and raw ones, are counted on standard error, and listed with --others: \
      their kind and owner. Their state is UNLISTED, because no table of the census has them.

      An MPTCP connection is listed once as mptcp, as its program sees it, and once as tcp for each of its subflows, \
      as ss -M and ss -t do. The findings of fin check count it once.

      SINCE is how long a socket has been in its state, as far as the kernel can tell: two bounds (3.2s-41min), or one \
      time when they are close; >3.2s is at least, <41min at most.

      The kernel does not record which process closed a connection. With --over, fin takes two snapshots and shows \
      which process held each closing or TIME-WAIT socket in the first: was nginx[812] fd 5.

      This needs no root. Without root, the owners of other users' sockets are missing, and standard error says how \
      many processes could not be read.

      Fields:
      \(ListField.allCases.map { "  \(Terminal.pad($0.rawValue, to: 17))\($0.meaning)" }.joined(separator: "\n"))
      """,
    statuses: """
      0    listed, also if nothing matched
      64   the command was not understood
      65   the file of --from is not valid
      66   the file of --from cannot be read
      71   the kernel could not be queried
      """)
}
